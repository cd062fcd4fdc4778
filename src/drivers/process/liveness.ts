/** Who really runs: /proc asked about the process that a record names, and about what it left behind. */
import { readdirSync, readFileSync } from "node:fs";
import type { Timers } from "../../core/runtime.ts";
import type { MemberRecord } from "./record.ts";
import { codeOf } from "./state.ts";

export interface ProcessSight {
  readonly pid: number;
  readonly state: string;
  readonly group: number;
  readonly session: number;
  readonly startTicks: string;
}

/** What /proc says of a pid, or null where there is no such process. /proc lies in memory: reading it never waits. */
function sightOf(pid: number): ProcessSight | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return null;
    throw error;
  }
  // The program's name stands in brackets and may hold anything, also brackets and spaces.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, , group, session] = fields;
  const startTicks = fields[19];
  if (state === undefined || startTicks === undefined) return null;
  return { pid, state, group: Number(group), session: Number(session), startTicks };
}

/** A zombie has ended and only waits to be told so. */
function lives(sight: ProcessSight): boolean {
  return sight.state !== "Z" && sight.state !== "X";
}

/** Whether the very process of the record runs. A reused pid has another start time, another boot another incarnation. */
export function isRunning(record: MemberRecord, incarnation: string): boolean {
  if (record.incarnation !== incarnation) return false;
  const sight = sightOf(record.pid);
  return sight !== null && sight.startTicks === record.startTicks && lives(sight);
}

/** Whether it has become its command, or is about to in its next step: until then it is a shell in the group of its shim. */
export function hasOwnSession(record: MemberRecord): boolean {
  return sightOf(record.pid)?.session === record.pid;
}

/** All processes of the machine. Listing them costs milliseconds, so members that end at the same time share a list. */
export interface ProcessTable {
  /** A list that was begun after it was asked for: an older one could miss what has been started since. */
  list(): Promise<readonly ProcessSight[]>;
}

/** So long a list waits for others who want one, ms. */
const gatherMs = 4;

export function createProcessTable(timers: Timers): ProcessTable {
  let next: Promise<readonly ProcessSight[]> | null = null;
  return {
    list: () => {
      next ??= timers.wait(gatherMs).then(() => {
        next = null;
        return allSights();
      });
      return next;
    },
  };
}

function allSights(): readonly ProcessSight[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 1)
    .map(sightOf)
    .filter((sight) => sight !== null)
    .filter(lives);
}

/**
 * Everything of the member that runs: itself, and what it started in its group or session. The kernel gives a pid to nobody while a
 * group or session of that number is left, so where the pid is somebody else's by now, nothing of ours can be left. Nor can anything
 * new appear once nothing is left: only a process of the session could start one.
 */
async function remainsOf(record: MemberRecord, incarnation: string, table: ProcessTable): Promise<readonly ProcessSight[]> {
  if (record.incarnation !== incarnation) return [];
  const sights = await table.list();
  const leader = sightOf(record.pid);
  if (leader !== null && leader.startTicks !== record.startTicks) return [];
  return sights.filter((sight) => sight.pid === record.pid || sight.group === record.pid || sight.session === record.pid);
}

/** Kills whatever of it is left. Resolves to how many processes that were. */
export async function killRemains(record: MemberRecord, incarnation: string, table: ProcessTable): Promise<number> {
  const remains = await remainsOf(record, incarnation, table);
  for (const before of remains) {
    // Looked at again: between the list and now its pid may have become somebody else's.
    const now = sightOf(before.pid);
    if (now !== null && now.startTicks === before.startTicks) send(before.pid, "SIGKILL");
  }
  return remains.length;
}

/** Signals the member's process group. Before it has made its own, a member is still alone. */
export function signalGroup(record: MemberRecord, incarnation: string, signal: NodeJS.Signals): void {
  if (!isRunning(record, incarnation)) return;
  if (!send(-record.pid, signal)) send(record.pid, signal);
}

/** Signals a process, or (a negative number) a group. False: there is none that we may signal. */
export function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    // Not there any more; or it has become another user's, and whoever counts what is left will say so.
    if (codeOf(error) === "ESRCH" || codeOf(error) === "EPERM") return false;
    throw error;
  }
}

/** This very process, in the form of a member's record. */
export function ownRecord(incarnation: string): string {
  const own = sightOf(process.pid);
  if (own === null) throw new Error("this process does not find itself in /proc");
  return `muster1 ${own.pid} ${own.startTicks} ${incarnation} - -\n`;
}
