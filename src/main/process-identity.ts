/**
 * Who a process is, beyond its number: pids are used again. A pid together with its start time (and, on Linux, the boot and the pid
 * namespace in which both mean something) names one process for ever.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { systemCode } from "./complaint.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal for the same process. */
  readonly startedAt: string;
  /** In which world the pid means something: boot id and pid namespace. */
  readonly world: string;
}

export function ownIdentity(): ProcessIdentity {
  const startedAt = startTimeOf(process.pid);
  if (startedAt === null) throw new Error("this process does not find itself");
  return { pid: process.pid, startedAt, world: ownWorld() };
}

/** Whether that very process still runs. `elsewhere`: it belongs to another boot, container or machine, where we cannot look. */
export function stateOf(identity: ProcessIdentity): "running" | "gone" | "elsewhere" {
  if (identity.world !== ownWorld()) return "elsewhere";
  return startTimeOf(identity.pid) === identity.startedAt ? "running" : "gone";
}

/** When the process with this pid started, or null where none runs. A zombie runs no more. */
export function startTimeOf(pid: number): string | null {
  if (process.platform === "linux") {
    const fields = statFields(pid);
    return fields === null || fields[0] === "Z" || fields[0] === "X" ? null : (fields[19] ?? null);
  }
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim() || null;
  } catch {
    // ps ends with 1 when there is no such process.
    return null;
  }
}

/** The fields of /proc/<pid>/stat behind the program's name, which may itself hold spaces and brackets: state, parent, … */
function statFields(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ESRCH") return null;
    throw error;
  }
}

function ownWorld(): string {
  if (process.platform !== "linux") return process.platform;
  return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
}
