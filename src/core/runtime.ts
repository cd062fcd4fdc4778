/**
 * What the outside world is made of: clock, timers, randomness. Handed in as values everywhere below `main`, so that a
 * simulator can be the world (the idea is TigerBeetle's). Stored or compared times are never taken from here:
 * those are PostgreSQL's (`store/transaction.ts`). This clock measures durations inside one process.
 */

export interface Clock {
  /** Milliseconds, only ever growing, no relation to the calendar. For durations. */
  monotonicMs(): number;
  /** Milliseconds since 1970. For ids, log lines and the time of an observation; never for a decision. */
  wallMs(): number;
}

export interface Timers {
  /** Resolves after `ms`, or at once when `signal` is aborted. Never rejects. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Entropy {
  /** A new UUIDv7; ids from one process only ever grow. */
  uuid(): string;
  /** Cryptographically strong bytes. */
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1), for jitter. */
  fraction(): number;
}

export interface Runtime {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly entropy: Entropy;
}

/** What the program says about itself. `main` binds it to a JSON logger; secrets and specs are never passed in. */
export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}
