/**
 * One subscriber's way through the ledger: from its cursor through the database, page by page as it asks; through the lines kept in
 * memory once it is near; then by the mailbox that the tail fills. The step from one to the next is taken in one go between two
 * ticks of the process, so nothing falls between them and nothing comes twice. A subscriber that overruns its mailbox and still
 * reads falls back to the first way; one that does not is ended.
 */
import { compareCursors, encodeCursor, type LedgerCursor } from "../core/cursor.ts";
import type { Runtime } from "../core/runtime.ts";
import type { Database } from "../store/database.ts";
import { isAbsence, isTimeout } from "../store/failure.ts";
import { type LedgerEvent, type LedgerFilter, matcher } from "../store/ledger-event.ts";
import { type Expired, type HistoryPage, readEvents } from "../store/ledger-read.ts";
import type { Interest } from "./interest.ts";
import { LiveError } from "./live-error.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Recent } from "./recent.ts";

/** What a subscription needs of the feed. */
export interface Source {
  readonly db: Database;
  readonly runtime: Runtime;
  readonly recent: Recent;
  readonly interest: Pick<Interest, "add">;
  /** Up to where the tail has read. */
  head(): LedgerCursor;
  /** The feed has ended: so does every stream. */
  isClosed(): boolean;
  /** Opens a mailbox for what the tail reads from now on, and how to close it. */
  join(filter: LedgerFilter, matches: (event: LedgerEvent) => boolean, from: LedgerCursor): { mailbox: Mailbox; leave: () => void };
  /** Why a stream whose cursor is no place of this ledger ends. */
  expired(oldest?: LedgerCursor): LiveError;
}

/** Events that a stream yields, many at a time. */
export interface EventStream extends AsyncIterable<readonly LedgerEvent[]> {
  /** Whoever comes back after this misses nothing: what matches up to it was yielded, and the next asked for. */
  position(): LedgerCursor;
}

/** Lines per step while catching up: what is held for a subscriber that does not read on. */
const pageSize = 500;
/** Before the database is asked again after it was away, ms. */
const retryMs = 500;

export function subscribe(source: Source, filter: LedgerFilter, after: LedgerCursor | null, signal: AbortSignal): EventStream {
  const walk = new Walk(source, filter, after ?? source.head(), signal);
  return {
    position: () => walk.position(),
    [Symbol.asyncIterator]: () => walk.run(),
  };
}

class Walk {
  private readonly source: Source;
  private readonly filter: LedgerFilter;
  private readonly matches: (event: LedgerEvent) => boolean;
  private readonly signal: AbortSignal;
  /** Everything up to here was yielded and, as the next was asked for, taken. */
  private at: LedgerCursor;
  /** The database has said that `at` is a place of this ledger. */
  private known = false;
  private mailbox: Mailbox | null = null;
  private idle = false;

  constructor(source: Source, filter: LedgerFilter, at: LedgerCursor, signal: AbortSignal) {
    this.source = source;
    this.filter = filter;
    this.matches = matcher(filter);
    this.at = at;
    this.signal = signal;
  }

  position(): LedgerCursor {
    const head = this.source.head();
    const reached = this.idle && this.mailbox?.events === 0 && this.mailbox.overrunSinceMs === null && this.mailbox.ended === null;
    return reached && compareCursors(head, this.at) > 0 ? head : this.at;
  }

  async *run(): AsyncGenerator<readonly LedgerEvent[], void, undefined> {
    // Before the first look at what is in memory: from here on all that matches is there.
    const leave = this.source.interest.add(this.filter);
    try {
      yield* this.walk();
    } finally {
      leave();
    }
  }

  private async *walk(): AsyncGenerator<readonly LedgerEvent[], void, undefined> {
    while (!this.signal.aborted && !this.source.isClosed()) {
      const near = this.nearby();
      if (near === null) {
        const page = await this.readPage();
        if (page === null) continue;
        if (page.events.length > 0) yield page.events;
        this.at = page.resume;
        continue;
      }
      if (near.length > 0) yield near;
      const last = near.at(-1);
      if (last !== undefined) this.at = last.cursor;
      // A full step may not be all there is; and while it was out the tail went on.
      if (near.length > 0) continue;
      yield* this.live();
    }
  }

  /** The next lines from memory; empty: at the tail's place. null: the database must be asked. */
  private nearby(): readonly LedgerEvent[] | null {
    const head = this.source.head();
    if (!this.source.recent.reaches(this.at)) return null;
    if (compareCursors(this.at, head) > 0) return this.known ? [] : null;
    return this.source.recent.after(this.at, this.matches, pageSize);
  }

  /** By the mailbox, until it overruns. Called at the tail's place, with nothing awaited since that was so. */
  private async *live(): AsyncGenerator<readonly LedgerEvent[], void, undefined> {
    const { mailbox, leave } = this.source.join(this.filter, this.matches, this.at);
    this.mailbox = mailbox;
    const stop = (): void => mailbox.end("closed");
    this.signal.addEventListener("abort", stop, { once: true });
    try {
      for (;;) {
        const events = mailbox.take();
        const last = events.at(-1);
        if (last !== undefined) {
          yield events;
          this.at = last.cursor;
          continue;
        }
        if (mailbox.ended === "closed" || this.signal.aborted) return;
        if (mailbox.ended === "slow") throw new LiveError("SLOW_CONSUMER", { cursor: encodeCursor(this.at) });
        if (mailbox.ended === "expired") throw this.source.expired();
        if (mailbox.overrunSinceMs !== null) {
          this.known = true;
          return;
        }
        this.idle = true;
        await mailbox.wait();
        this.idle = false;
      }
    } finally {
      this.idle = false;
      this.mailbox = null;
      this.signal.removeEventListener("abort", stop);
      leave();
    }
  }

  /** null: the database was away, or we were ended. */
  private async readPage(): Promise<HistoryPage | null> {
    let answer: HistoryPage | Expired;
    try {
      answer = await readEvents(this.source.db, this.filter, { first: pageSize, after: this.at });
    } catch (error) {
      if (!isAbsence(error) && !isTimeout(error)) throw error;
      await this.source.runtime.timers.wait(retryMs, this.signal);
      return null;
    }
    if (this.signal.aborted || this.source.isClosed()) return null;
    if ("expired" in answer) throw this.source.expired(answer.expired);
    this.known = true;
    return answer;
  }
}
