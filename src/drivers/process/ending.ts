/** How a member ended, told to people and programs. */
import { constants } from "node:os";
import type { NodeId } from "../../core/ids.ts";
import { safeText } from "../../core/json.ts";
import type { DriverError } from "../driver.ts";
import { lastLinesOf } from "./log.ts";
import { readExit, type StateFolder } from "./state.ts";

/** Enough of the output to see why; the whole is in the log. */
const lineCount = 8;
const longestLine = 300;
const longestMessage = 1_500;
/** Shells and `env` answer so when a program cannot be run, or is not there. */
const cannotRun: ReadonlySet<number> = new Set([126, 127]);

const signalNames = new Map<number, string>(Object.entries(constants.signals).map(([name, number]) => [number, name]));

export interface Ending {
  readonly code: number | "lost";
  /** With the exit code and the last lines. */
  readonly message: string;
}

/** `exit code 1`, or what killed it. */
export function exitText(code: number | "lost"): string {
  if (code === "lost") return "ended, and nobody saw how";
  const signal = code > 128 ? signalNames.get(code - 128) : undefined;
  return signal === undefined ? `exit code ${code}` : `exit code ${code} (${signal})`;
}

export async function endingOf(state: StateFolder, id: NodeId, epoch: number): Promise<Ending> {
  const code = (await readExit(state, id, epoch)) ?? "lost";
  const lines = (await lastLinesOf(state, id, epoch, lineCount)) ?? [];
  const output = lines.map((line) => safeText(line, longestLine)).filter((line) => line.trim() !== "");
  const message = output.length === 0 ? `${exitText(code)}; it printed nothing` : `${exitText(code)}; last lines: ${output.join(" ⏎ ")}`;
  return { code, message: safeText(message, longestMessage) };
}

/** The answer to a create whose process has ended. Its epoch is used up: another attempt needs the next one. */
export function endedError(ending: Ending): DriverError {
  const permanent = ending.code !== "lost" && cannotRun.has(ending.code);
  return { class: permanent ? "permanent" : "transient", code: "EXITED", message: ending.message, epochClosed: true };
}
