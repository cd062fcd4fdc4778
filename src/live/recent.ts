/** The newest lines of the ledger, kept so that who was away for a moment, or is a page behind, need not ask the database. */
import { compareCursors, type LedgerCursor } from "../core/cursor.ts";
import type { LedgerEvent } from "../store/ledger-event.ts";
import type { Weighed } from "./mailbox.ts";

/** What is kept at most. */
const mostEvents = 10_000;
const mostBytes = 8 * 1024 * 1024;

export interface Recent {
  /** Forgets everything: from now on the lines behind `from` are kept. */
  reset(from: LedgerCursor): void;
  push(weighed: Weighed): void;
  /** Whether every line behind the cursor (up to the newest one pushed) is here. */
  reaches(cursor: LedgerCursor): boolean;
  /** The first lines behind the cursor that match, `limit` at most. */
  after(cursor: LedgerCursor, matches: (event: LedgerEvent) => boolean, limit: number): LedgerEvent[];
}

export function createRecent(start: LedgerCursor): Recent {
  let from = start;
  let kept: Weighed[] = [];
  /** The first of `kept` that counts; those before it are forgotten and removed in bulk. */
  let first = 0;
  let bytes = 0;
  return {
    reset: (cursor) => {
      from = cursor;
      kept = [];
      first = 0;
      bytes = 0;
    },
    push: (weighed) => {
      kept.push(weighed);
      bytes += weighed.bytes;
      while (kept.length - first > mostEvents || bytes > mostBytes) {
        const gone = kept[first];
        if (gone === undefined) break;
        from = gone.event.cursor;
        bytes -= gone.bytes;
        first++;
      }
      if (first > mostEvents) {
        kept = kept.slice(first);
        first = 0;
      }
    },
    reaches: (cursor) => cursor.incarnation === from.incarnation && compareCursors(cursor, from) >= 0,
    after: (cursor, matches, limit) => {
      let low = first;
      let high = kept.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        const weighed = kept[middle];
        if (weighed !== undefined && compareCursors(weighed.event.cursor, cursor) <= 0) low = middle + 1;
        else high = middle;
      }
      const found: LedgerEvent[] = [];
      for (let i = low; i < kept.length && found.length < limit; i++) {
        const event = kept[i]?.event;
        if (event !== undefined && matches(event)) found.push(event);
      }
      return found;
    },
  };
}
