/**
 * What waits for one subscriber: bounded in events and bytes, whatever happens. When it is full nothing more is put in: it has
 * *overrun*. A subscriber that then takes what waits goes on reading by itself (`subscription.ts`); one that leaves it lying is slow
 * and loses it.
 */
import type { LedgerCursor } from "../core/cursor.ts";
import type { LedgerEvent } from "../store/ledger-event.ts";

/** An event and about what it weighs, bytes: measured once, shared by all subscribers. */
export interface Weighed {
  readonly event: LedgerEvent;
  readonly bytes: number;
}

export interface MailboxLimits {
  readonly events: number;
  readonly bytes: number;
}

export type MailboxEnd = "slow" | "expired" | "closed";

export interface Mailbox {
  /** Events up to this place were read another way. */
  readonly from: LedgerCursor;
  put(weighed: Weighed): void;
  /** Everything that waits; it is the taker's from now on. */
  take(): readonly LedgerEvent[];
  /** Resolves when there is something to take, or it has overrun or ended. */
  wait(): Promise<void>;
  /** Drops what waits and ends it; the first end counts. */
  end(how: MailboxEnd): void;
  readonly events: number;
  readonly bytes: number;
  /** Since when it has overrun, by the process's clock, ms; null: it has not. */
  readonly overrunSinceMs: number | null;
  readonly ended: MailboxEnd | null;
}

export function createMailbox(from: LedgerCursor, limits: MailboxLimits, clock: { monotonicMs(): number }): Mailbox {
  let waiting: LedgerEvent[] = [];
  let bytes = 0;
  let overrunSinceMs: number | null = null;
  let ended: MailboxEnd | null = null;
  let wake: (() => void) | null = null;
  const ring = (): void => {
    wake?.();
    wake = null;
  };
  return {
    from,
    put: (weighed) => {
      if (ended !== null || overrunSinceMs !== null) return;
      if (waiting.length + 1 > limits.events || bytes + weighed.bytes > limits.bytes) {
        // A single event above the limit of bytes passes when nothing else waits.
        if (waiting.length > 0) {
          overrunSinceMs = clock.monotonicMs();
          return;
        }
      }
      waiting.push(weighed.event);
      bytes += weighed.bytes;
      ring();
    },
    take: () => {
      const taken = waiting;
      waiting = [];
      bytes = 0;
      return taken;
    },
    wait: () =>
      waiting.length > 0 || overrunSinceMs !== null || ended !== null ? Promise.resolve() : new Promise<void>((resolve) => (wake = resolve)),
    end: (how) => {
      if (ended !== null) return;
      ended = how;
      waiting = [];
      bytes = 0;
      ring();
    },
    get events() {
      return waiting.length;
    },
    get bytes() {
      return bytes;
    },
    get overrunSinceMs() {
      return overrunSinceMs;
    },
    get ended() {
      return ended;
    },
  };
}
