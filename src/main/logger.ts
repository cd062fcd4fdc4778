/** The program's log: JSON lines on standard error (or into a file), by pino. Secrets and specs are never handed to it. */
import { type DestinationStream, destination, pino } from "pino";
import type { Logger } from "../core/runtime.ts";
import type { LogLevel } from "./config.ts";

export interface LogOptions {
  readonly level: LogLevel;
  /** Which process speaks: `start`, `api`, `worker 2`. */
  readonly process: string;
  /** Null: standard error. */
  readonly file: string | null;
}

export function createLogger({ level, process: name, file }: LogOptions): Logger {
  // Synchronous: the last lines before a death are the ones that are read.
  const to: DestinationStream = destination({ dest: file ?? 2, sync: true, mkdir: true });
  const log = pino({ level, base: { process: name, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, to);
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
  };
}
