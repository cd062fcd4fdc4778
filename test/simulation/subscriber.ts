/** A subscriber: follows the ledger through whichever API process is there, comes back with its last cursor, and keeps what it saw. */
import { decodeCursor, encodeCursor, type LedgerCursor } from "../../src/core/cursor.ts";
import type { Feed } from "../../src/live/feed.ts";
import { LiveError } from "../../src/live/live-error.ts";
import type { Dice } from "./dice.ts";
import type { SimulatedProcess } from "./process.ts";
import type { Stage } from "./stage.ts";

export interface FeedProcess {
  readonly process: SimulatedProcess;
  readonly feed: Feed | null;
}

/** More than any seed has. */
const mostEvents = 10_000;

export class Subscriber {
  /** Cursors of what it saw, in that order. */
  readonly seen: string[] = [];
  private readonly stage: Stage;
  private readonly dice: Dice;
  private readonly feeds: () => readonly FeedProcess[];
  private at: LedgerCursor;

  /** @param start from the very beginning of this incarnation */
  constructor(stage: Stage, name: string, start: LedgerCursor, feeds: () => readonly FeedProcess[]) {
    this.stage = stage;
    this.dice = stage.dice.fork(name);
    this.feeds = feeds;
    this.at = start;
  }

  async follow(): Promise<void> {
    for (;;) {
      const ready = this.feeds().filter(({ feed }) => feed !== null);
      const chosen = ready.length === 0 ? undefined : this.dice.pick(ready);
      if (chosen?.feed != null) await this.followThrough(chosen.feed, chosen.process);
      await this.stage.wait(this.dice.between(5, 200));
    }
  }

  /** Until the stream ends, the process dies, or it pleases to come back elsewhere. */
  private async followThrough(feed: Feed, process: SimulatedProcess): Promise<void> {
    const leaving = new AbortController();
    const stream = feed.subscribe({ filter: { projectId: null }, after: this.at, signal: leaving.signal })[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await Promise.race([stream.next(), process.died.then(() => null)]);
        if (next === null || next.done === true) return;
        for (const event of next.value) this.seen.push(encodeCursor(event.cursor));
        if (this.seen.length > mostEvents) {
          this.stage.violate(`a subscriber saw ${this.seen.length} events: there is no end of them`);
          await new Promise(() => undefined);
        }
        const last = next.value.at(-1);
        // As clients hold it: text.
        if (last !== undefined) this.at = decodeCursor(encodeCursor(last.cursor)) ?? last.cursor;
        if (this.stage.rates === null) continue;
        if (this.dice.chance(0.1)) return;
        if (this.dice.chance(0.1)) await this.stage.wait(this.dice.between(1, 1_500));
      }
    } catch (error) {
      if (!(error instanceof LiveError)) this.stage.violate(`a subscriber's stream broke: ${String(error)}`);
      else if (error.code !== "SLOW_CONSUMER") this.stage.violate(`a subscriber's stream ended: ${error.code}`);
    } finally {
      leaving.abort();
    }
  }
}
