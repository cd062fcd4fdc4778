/**
 * Deadlines that are nearly always met: one timer looks after all of them, instead of one each that is made and cancelled with every
 * request. All last equally long, so they stand in the order in which they end.
 */
import type { Clock, Timers } from "../core/runtime.ts";

/** How late a deadline may be noticed. */
const lookEveryMs = 50;

interface Deadline {
  readonly atMs: number;
  readonly onLate: () => void;
}

export class Deadlines {
  private readonly pending = new Set<Deadline>();
  private readonly clock: Pick<Clock, "monotonicMs">;
  private readonly timers: Timers;
  private readonly ms: number;
  private looking = false;

  constructor(clock: Pick<Clock, "monotonicMs">, timers: Timers, ms: number) {
    this.clock = clock;
    this.timers = timers;
    this.ms = ms;
  }

  /** Starts one. @returns what to call when it was met */
  start(onLate: () => void): () => void {
    const deadline: Deadline = { atMs: this.clock.monotonicMs() + this.ms, onLate };
    this.pending.add(deadline);
    if (!this.looking) void this.look();
    return () => this.pending.delete(deadline);
  }

  private async look(): Promise<void> {
    this.looking = true;
    while (this.pending.size > 0) {
      await this.timers.wait(lookEveryMs);
      const now = this.clock.monotonicMs();
      for (const deadline of this.pending) {
        if (deadline.atMs > now) break;
        this.pending.delete(deadline);
        deadline.onLate();
      }
    }
    this.looking = false;
  }
}
