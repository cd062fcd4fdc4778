/** Waiting for a wake-up or a time, whichever is first. A ring while nobody waits is kept: one, however many there were. Losing one costs latency only. */
import type { Timers } from "../core/runtime.ts";

export interface Doorbell {
  ring(): void;
  /** Resolves at the next ring, at once if it rang since the last wait, or after `ms`: whether it rang. One waiter at a time. */
  wait(ms: number): Promise<boolean>;
  /** From now on every wait returns at once. */
  stop(): void;
  readonly stopped: boolean;
}

export function createDoorbell(timers: Timers): Doorbell {
  let rung = false;
  let stopped = false;
  let waiting: AbortController | null = null;
  const ring = (): void => {
    rung = true;
    waiting?.abort("rung");
  };
  return {
    ring,
    wait: async (ms) => {
      if (!rung && !stopped && ms > 0) {
        waiting = new AbortController();
        await timers.wait(ms, waiting.signal);
        waiting = null;
      }
      const rang = rung;
      rung = false;
      return rang;
    },
    stop: () => {
      stopped = true;
      ring();
    },
    get stopped() {
      return stopped;
    },
  };
}
