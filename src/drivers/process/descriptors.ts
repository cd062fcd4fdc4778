/**
 * Descriptors that would be handed down to every process we start. Node.js opens its own so that they close on exec, but one that was
 * open when Muster was started (a terminal's, a build tool's) may not be so, and a member would keep it open for as long as it lives.
 */
import { closeSync, readdirSync, readFileSync } from "node:fs";
import { codeOf } from "./state.ts";

/** O_CLOEXEC in the `flags` of /proc/self/fdinfo, which are octal. */
const closeOnExec = 0o2000000;

/** Closes what nobody in this process opened and every child would get. Returns the numbers that were closed. */
export function closeInherited(): readonly number[] {
  return readdirSync("/proc/self/fdinfo")
    .map(Number)
    .filter((fd) => fd > 2 && isHandedDown(fd))
    .filter((fd) => {
      try {
        closeSync(fd);
        return true;
      } catch (error) {
        if (codeOf(error) === "EBADF") return false;
        throw error;
      }
    });
}

function isHandedDown(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0;
  } catch (error) {
    // The folder's own descriptor, closed again by now.
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}
