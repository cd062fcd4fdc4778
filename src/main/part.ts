/**
 * A part of Muster: an API process or a worker. What it is given, and what it says to the supervisor that keeps it. Secrets reach a
 * part over the pipe between the two, never through its environment or arguments, which others of the same user can read.
 */

import type { ProcessPolicy } from "../commands/command.ts";
import type { HostId } from "../core/ids.ts";
import type { Config } from "./config.ts";

export type PartKind = "api" | "worker";

export interface PartSettings {
  readonly kind: PartKind;
  /** Shown by `ps`, and the first word of its log lines: `api`, `worker 2`. */
  readonly name: string;
  readonly config: Pick<
    Config,
    "host" | "port" | "data" | "corsOrigins" | "hosts" | "graphiql" | "ledgerDays" | "logLevel" | "limits" | "driverLimits" | "environment"
  >;
  readonly databaseUrl: string;
  /** For sessions: never through a pooler. */
  readonly directUrl: string;
  readonly secretKeys: readonly Uint8Array[];
  /** Where they are kept, to be read again when a value names another one. Null: in a variable. */
  readonly secretKeyFile: string | null;
  readonly process: ProcessPolicy["mode"];
  readonly hostId: HostId;
  /** Null: standard error. */
  readonly logFile: string | null;
}

export interface RunningPart {
  /** Where the API is, for an API process. */
  readonly url: string | null;
  stop(): Promise<void>;
}

/** Supervisor → part. */
export type Order = { readonly order: "begin"; readonly settings: PartSettings } | { readonly order: "stop" };

/** Part → supervisor. A `final` failure is a complaint, which another try will hardly mend. */
export type Notice =
  | { readonly notice: "ready"; readonly url: string | null }
  | { readonly notice: "failed"; readonly sentence: string; readonly final: boolean };

export function isOrder(message: unknown): message is Order {
  return typeof message === "object" && message !== null && "order" in message;
}

export function isNotice(message: unknown): message is Notice {
  return typeof message === "object" && message !== null && "notice" in message;
}
