/** Waiting for a wake-up or a time, whichever is first. A ring while nobody waits is kept: one, however many there were. */
import type { Timers } from "../core/runtime.ts";

export interface Doorbell {
  ring(): void;
  /** Resolves at the next ring, at once if it rang since the last wait, or after `ms`. One waiter at a time. */
  wait(ms: number): Promise<void>;
}

export function createDoorbell(timers: Timers): Doorbell {
  let rung = false;
  let waiting: AbortController | null = null;
  return {
    ring: () => {
      rung = true;
      waiting?.abort();
    },
    wait: async (ms) => {
      if (!rung) {
        waiting = new AbortController();
        await timers.wait(ms, waiting.signal);
        waiting = null;
      }
      rung = false;
    },
  };
}
