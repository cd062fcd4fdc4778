/** A simulated process: real code of ours with its own connections, timers, clock and dice. It can freeze, stall, lose its network and die. */

import { uuidV7 } from "../../src/core/ids.ts";
import type { Logger, Runtime } from "../../src/core/runtime.ts";
import type { Database } from "../../src/store/database.ts";
import type { Session } from "../../src/store/session.ts";
import type { Store } from "../../src/store/transaction.ts";
import { createWake } from "../../src/store/wake.ts";
import type { Dice } from "./dice.ts";
import { type Line, openSimulatedSession, simulatedDatabase } from "./line.ts";
import { zeroMs } from "./server.ts";
import type { Stage } from "./stage.ts";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly end: () => void;
}

/** Connections of its pool: fewer than in production, so that they are waited for. */
const poolSize = 4;

export class SimulatedProcess {
  readonly name: string;
  readonly kind: "worker" | "api";
  readonly dice: Dice;
  readonly runtime: Runtime;
  readonly db: Database;
  readonly store: Store;
  readonly logger: Logger;
  /** Ids under which it has registered as a worker. */
  readonly workerIds: string[] = [];
  readonly died: Promise<void>;
  alive = true;
  /** Until then nothing in it moves. */
  frozenUntilMs = 0;
  /** Until then nothing that it says reaches the server, and no answer comes. */
  stalledUntilMs = 0;
  /** Until then it opens no connection. */
  unreachableUntilMs = 0;
  /** How likely its statements are the next. */
  weight = 1;
  private readonly stage: Stage;
  private readonly timers: Timer[] = [];
  private readonly ends: () => void;

  constructor(stage: Stage, name: string, kind: SimulatedProcess["kind"]) {
    this.stage = stage;
    this.name = name;
    this.kind = kind;
    this.dice = stage.dice.fork(name);
    let end = (): void => undefined;
    this.died = new Promise((resolve) => {
      end = resolve;
    });
    this.ends = () => end();
    const bornMs = stage.nowMs;
    this.runtime = {
      clock: { monotonicMs: () => stage.nowMs - bornMs, wallMs: () => Math.floor(zeroMs + stage.nowMs) },
      timers: { wait: (ms, signal) => this.wait(ms, signal) },
      entropy: { uuid: uuidSource(stage, this.dice), bytes: (count) => this.dice.bytes(count), fraction: () => this.dice.fraction() },
    };
    this.db = simulatedDatabase(this, poolSize);
    const wake = createWake(this.db, this.runtime);
    this.store = { db: this.db, runtime: this.runtime, wake, writer: 0 };
    const quiet = (): void => undefined;
    this.logger = { debug: quiet, info: quiet, warn: quiet, error: (fields, message) => stage.logged(this, message, fields) };
  }

  openSession(): Promise<Session> {
    return openSimulatedSession(this);
  }

  openLine(kind: Line["kind"]): Line {
    return this.stage.openLine(this, kind);
  }

  closeLine(line: Line): void {
    this.stage.closeLine(line);
  }

  reachable(): boolean {
    return this.unreachableUntilMs <= this.stage.nowMs;
  }

  frozen(): boolean {
    return this.frozenUntilMs > this.stage.nowMs;
  }

  stalled(): boolean {
    return this.stalledUntilMs > this.stage.nowMs;
  }

  private wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        signal?.removeEventListener("abort", end);
        const at = this.timers.indexOf(timer);
        if (at >= 0) this.timers.splice(at, 1);
        resolve();
      };
      const timer: Timer = { atMs: this.stage.nowMs + Math.max(0, ms), order: this.stage.nextOrder(), end };
      this.timers.push(timer);
      signal?.addEventListener("abort", end, { once: true });
    });
  }

  /** Its earliest timer. */
  firstTimer(): Timer | null {
    let first: Timer | null = null;
    for (const timer of this.timers) {
      if (first === null || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) first = timer;
    }
    return first;
  }

  die(): void {
    this.alive = false;
    this.timers.length = 0;
    this.ends();
  }
}

/** UUIDv7s that only grow. */
function uuidSource(stage: Stage, own: Dice): () => string {
  let last = 0n;
  return () => {
    const at = BigInt(Math.floor(zeroMs + stage.nowMs)) << 74n;
    const random = BigInt(own.below(2 ** 30)) << 43n;
    last = last >= at + random ? last + 1n + BigInt(own.below(1_000)) : at + random;
    return uuidV7(Number(last >> 74n), last & ((1n << 74n) - 1n));
  };
}
