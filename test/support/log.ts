/** A logger that keeps what was said: a test that fails can show it, and an error that nobody expected fails the test. */
import type { Logger } from "../../src/core/runtime.ts";

interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface TestLog extends Logger {
  readonly lines: readonly LogLine[];
  /** The lines of level error, as text. */
  errors(): string[];
}

/** The newest lines are kept; a long run does not fill the memory. */
const kept = 5_000;

export function createTestLog(): TestLog {
  const lines: LogLine[] = [];
  const at =
    (level: LogLine["level"]) =>
    (fields: Readonly<Record<string, unknown>>, message: string): void => {
      lines.push({ level, message, fields });
      if (lines.length > 2 * kept) lines.splice(0, kept);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    lines,
    errors: () => lines.filter((line) => line.level === "error").map(show),
  };
}

function show({ message, fields }: LogLine): string {
  const parts = Object.entries(fields).map(([name, value]) => `${name}=${value instanceof Error ? (value.stack ?? value.message) : String(value)}`);
  return `${message} ${parts.join(" ")}`;
}
