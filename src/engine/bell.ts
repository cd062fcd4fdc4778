/** A bell that a loop waits at: rung at any time before or during the wait, it ends the wait. Losing a ring costs latency only. */
import type { Timers } from "../core/runtime.ts";

export interface Bell {
  ring(): void;
  /** Until somebody rings, `ms` have passed, or the bell is stopped. Returns at once if it was rung since the last wait. */
  wait(ms: number): Promise<void>;
  /** From now on every wait returns at once. */
  stop(): void;
  readonly stopped: boolean;
}

export function createBell(timers: Timers): Bell {
  let rung = false;
  let stopped = false;
  let waiter: AbortController | null = null;
  const wake = (): void => {
    rung = true;
    waiter?.abort();
  };
  return {
    ring: wake,
    stop: () => {
      stopped = true;
      wake();
    },
    get stopped() {
      return stopped;
    },
    wait: async (ms) => {
      if (!rung && !stopped && ms > 0) {
        waiter = new AbortController();
        await timers.wait(ms, waiter.signal);
        waiter = null;
      }
      rung = false;
    },
  };
}
