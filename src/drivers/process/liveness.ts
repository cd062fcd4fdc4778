/** Who really runs: /proc asked about the process that a record names, and about what it left behind. */
import { readdirSync, readFileSync } from "node:fs";
import type { MemberRecord } from "./record.ts";
import { codeOf } from "./state.ts";

interface ProcessSight {
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

/**
 * Everything of the member that runs: itself, and what it started in its group or session. The kernel gives a pid to nobody while a
 * group or session of that number is left, so where the pid is somebody else's by now, nothing of ours can be left.
 */
export function remainsOf(record: MemberRecord, incarnation: string): readonly number[] {
  if (record.incarnation !== incarnation) return [];
  const leader = sightOf(record.pid);
  if (leader !== null && leader.startTicks !== record.startTicks) return [];
  return allPids().filter((pid) => {
    const sight = sightOf(pid);
    return sight !== null && lives(sight) && (sight.pid === record.pid || sight.group === record.pid || sight.session === record.pid);
  });
}

function allPids(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 1);
}

/** Signals the member's process group. Before it has made its own, a member is still alone. */
export function signalGroup(record: MemberRecord, incarnation: string, signal: NodeJS.Signals): void {
  if (!isRunning(record, incarnation)) return;
  if (!send(-record.pid, signal)) send(record.pid, signal);
}

/** Kills whatever of it is left. Returns how many there were. */
export function killRemains(record: MemberRecord, incarnation: string): number {
  const pids = remainsOf(record, incarnation);
  for (const pid of pids) send(pid, "SIGKILL");
  return pids.length;
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false;
    throw error;
  }
}

/** This very process, in the form of a member's record. */
export function ownRecord(incarnation: string): string {
  const own = sightOf(process.pid);
  if (own === null) throw new Error("this process does not find itself in /proc");
  return `muster1 ${own.pid} ${own.startTicks} ${incarnation} - -\n`;
}
