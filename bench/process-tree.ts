/** The processes under one, and what memory they hold. Linux: reads /proc. */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessMemory {
  readonly pid: number;
  /** What it calls itself. */
  readonly title: string;
  /** Resident set, MiB. PostgreSQL's processes share most of theirs: of those take the proportional share. */
  readonly mib: number;
}

/** The process and all that it started, directly or not. */
export function processTree(root: number): ProcessMemory[] {
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
  return [...parents.keys()].filter(isBelow).flatMap((pid) => {
    const rollup = readOrNull(`/proc/${pid}/smaps_rollup`);
    const kib = /^Pss:\s+(\d+) kB$/m.exec(rollup ?? "")?.[1];
    const title = readOrNull(`/proc/${pid}/cmdline`)?.replaceAll("\0", " ").trim() ?? "";
    return kib === undefined || title === "" ? [] : [{ pid, title, mib: Number(kib) / 1024 }];
  });
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
