/** The processes under one, and what memory they hold. Linux: reads /proc. */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessMemory {
  readonly pid: number;
  /** What it calls itself. */
  readonly title: string;
  /** Resident set, MiB. PostgreSQL's processes share most of theirs: of those take the proportional share. */
  readonly mib: number;
}

/** Pids of the process and of all that it started, directly or not. */
function pidsUnder(root: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readOrNull(`/proc/${entry}/stat`);
    // The name in parentheses may hold anything; what follows the last one is regular.
    const parent = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  const isBelow = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at)) if (at === root) return true;
    return false;
  };
  return [...parents.keys()].filter(isBelow);
}

/** What memory the process holds, and each that it started. */
export function processTree(root: number): ProcessMemory[] {
  return pidsUnder(root).flatMap((pid) => {
    const rollup = readOrNull(`/proc/${pid}/smaps_rollup`);
    const kib = /^Pss:\s+(\d+) kB$/m.exec(rollup ?? "")?.[1];
    const title = readOrNull(`/proc/${pid}/cmdline`)?.replaceAll("\0", " ").trim() ?? "";
    return kib === undefined || title === "" ? [] : [{ pid, title, mib: Number(kib) / 1024 }];
  });
}

/** CPU time that they have used so far, s, with that of children that have ended. @param wanted by title; else all */
export function cpuSecondsUnder(root: number, wanted: (title: string) => boolean = () => true): number {
  const counted = pidsUnder(root).filter((pid) => wanted(readOrNull(`/proc/${pid}/cmdline`) ?? ""));
  const ticks = counted.map((pid) => {
    const stat = readOrNull(`/proc/${pid}/stat`);
    const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
    return [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field] ?? 0), 0);
  });
  return ticks.reduce((total, each) => total + each, 0) / ticksPerSecond;
}

/** Linux' USER_HZ: the same on all its platforms that Node.js runs on. */
const ticksPerSecond = 100;

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
