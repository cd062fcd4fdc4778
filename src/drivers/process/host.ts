/**
 * Which machine this is, in the one sense that matters to pids: two moments of equal incarnation share one process table. And
 * whether this machine can run members at all.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { findTool } from "./tool.ts";

/**
 * Boot id and pid namespace: another value means that nothing of the former one can be running. No white space in it.
 * On systems without /proc it is null: see `processUnavailable`.
 */
export function readHostIncarnation(): string | null {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const namespace = readlinkSync("/proc/self/ns/pid");
    return `${boot}.${namespace.replace(/\D/g, "")}`;
  } catch {
    // Not Linux, or /proc is not mounted: nothing here may be called the same process later.
    return null;
  }
}

/** Why members of type `process` cannot be run on this machine, or null: they can. */
export function processUnavailable(path: string): string | null {
  if (process.platform !== "linux") return `Processes can be told apart for certain only with Linux's /proc; this is ${process.platform}.`;
  if (readHostIncarnation() === null) return "/proc is not mounted, so processes cannot be told apart.";
  for (const tool of ["sh", "env", "setsid", "ln", "rm"]) {
    if (findTool(tool, path) === null) return `The program ${tool} is missing.`;
  }
  return null;
}
