/**
 * The live feed of one API process: one tail of the ledger, a bus, bounded mailboxes. A subscriber that comes back with
 * its last cursor misses nothing and sees nothing twice; one that does not read is ended; none makes the process grow.
 */
import { compareCursors, encodeCursor, type LedgerCursor } from "../core/cursor.ts";
import type { ActionId, ClusterId } from "../core/ids.ts";
import type { Limits } from "../core/limits.ts";
import type { Logger } from "../core/runtime.ts";
import { cursorBehind, type LedgerState, oldestCursor } from "../store/ledger.ts";
import type { LedgerEvent, LedgerFilter } from "../store/ledger-event.ts";
import type { Session } from "../store/session.ts";
import type { Store } from "../store/transaction.ts";
import { createBus } from "./bus.ts";
import { changes, type Watched } from "./changes.ts";
import { createInterest } from "./interest.ts";
import { LiveError } from "./live-error.ts";
import { createMailbox, type Mailbox, type Weighed } from "./mailbox.ts";
import { createRecent } from "./recent.ts";
import { type EventStream, type Source, subscribe } from "./subscription.ts";
import { startTail, type TailSink } from "./tail.ts";

export interface FeedStats {
  /** Streams that wait for what comes. Those still catching up are not counted. */
  readonly subscribers: number;
  /** What waits for all of them together. */
  readonly bufferedEvents: number;
  readonly bufferedBytes: number;
  /** Positions that were given and are not delivered yet, as far as the tail knows. */
  readonly lag: number;
  /** Events that were put into mailboxes, and streams that were ended for not reading, since the start. */
  readonly delivered: number;
  readonly slowEnded: number;
}

export interface Feed {
  /** True while it follows the ledger. */
  readonly ready: boolean;
  /** Where "from now on" is. */
  cursor(): LedgerCursor;
  /** What matches behind `after` (null: from now on, and now is the moment of this call). Throws LiveError while it is read. */
  subscribe(options: { filter: LedgerFilter; after: LedgerCursor | null; signal: AbortSignal }): EventStream;
  /** At once, then whenever the cluster or the action may have changed, at most ten times a second. */
  changes(options: { clusterId?: ClusterId; actionId?: ActionId; signal: AbortSignal }): AsyncGenerator<"changed", void, undefined>;
  stats(): FeedStats;
  /** Ends all streams, then the tail. */
  close(): Promise<void>;
}

export interface FeedDeps {
  readonly store: Store;
  readonly openSession: () => Promise<Session>;
  readonly logger: Logger;
  readonly limits: Pick<Limits, "streamEvents" | "streamBytes">;
}

/** How long a full mailbox may be left lying before its subscriber counts as slow, ms. */
const overrunGraceMs = 3_000;
/** Lines per page of the tail. A mailbox holds two such pages at least, so that a reader has a page's time to come. */
const tailPage = 500;

/** What the tail brings, spread over the mailboxes. */
interface Hub extends Source, Watched {
  readonly sink: TailSink;
  stats(): FeedStats;
  close(): void;
}

function createHub({ store, limits }: FeedDeps): Hub {
  const { clock } = store.runtime;
  const bus = createBus();
  const mailboxes = new Set<Mailbox>();
  const rings = new Set<() => void>();
  let closed = false;
  // Until the tail has found the ledger; nobody sees it.
  let head: LedgerCursor = { incarnation: 0, position: 0n, ordinal: 0 };
  const recent = createRecent(head);
  // What was passed over so far is in the database only.
  const interest = createInterest(clock, () => recent.reset(head));
  let ledger: LedgerState | null = null;
  const counted = { delivered: 0, slowEnded: 0 };

  const sink: TailSink = {
    interest,
    advance: (events, end, state) => {
      for (const event of events) {
        const weighed = { event, bytes: weightOf(event) };
        recent.push(weighed);
        bus.publish(weighed);
      }
      head = end;
      ledger = state;
    },
    restart: (state) => {
      ledger = state;
      head = cursorBehind(state);
      recent.reset(head);
      for (const mailbox of mailboxes) mailbox.end("expired");
      for (const ring of rings) ring();
    },
    tick: () => {
      interest.tidy();
      const nowMs = clock.monotonicMs();
      for (const mailbox of mailboxes) {
        if (mailbox.overrunSinceMs === null || mailbox.events === 0 || nowMs - mailbox.overrunSinceMs < overrunGraceMs) continue;
        mailbox.end("slow");
        counted.slowEnded++;
      }
    },
  };
  const join: Source["join"] = (filter, matches, from) => {
    const mailbox = createMailbox(from, { events: limits.streamEvents, bytes: limits.streamBytes }, clock);
    mailboxes.add(mailbox);
    const offer = (weighed: Weighed): void => {
      if (!matches(weighed.event) || compareCursors(weighed.event.cursor, from) <= 0) return;
      mailbox.put(weighed);
      counted.delivered++;
    };
    const remove = bus.add({ filter, offer });
    const leave = (): void => {
      remove();
      mailboxes.delete(mailbox);
    };
    return { mailbox, leave };
  };
  const expired = (oldest?: LedgerCursor): LiveError => {
    const first = oldest ?? (ledger === null ? undefined : oldestCursor(ledger));
    return new LiveError("CURSOR_EXPIRED", first === undefined ? {} : { oldest: encodeCursor(first) });
  };
  const stats = (): FeedStats => {
    const waiting = [...mailboxes];
    return {
      subscribers: waiting.length,
      bufferedEvents: waiting.reduce((sum, mailbox) => sum + mailbox.events, 0),
      bufferedBytes: waiting.reduce((sum, mailbox) => sum + mailbox.bytes, 0),
      lag: ledger === null ? 0 : Number(ledger.head - head.position),
      ...counted,
    };
  };
  const close = (): void => {
    closed = true;
    for (const mailbox of mailboxes) mailbox.end("closed");
    for (const ring of rings) ring();
  };
  const { db, runtime } = store;
  return { db, runtime, recent, interest, head: () => head, isClosed: () => closed, join, expired, sink, rings, bus, stats, close };
}

/** Resolves when the ledger was found, which may take as long as the server is away. */
export async function startFeed(deps: FeedDeps): Promise<Feed> {
  const { store, limits, openSession, logger } = deps;
  const hub = createHub(deps);
  const pageSize = Math.max(1, Math.min(tailPage, Math.floor(limits.streamEvents / 2)));
  const tail = await startTail({ runtime: store.runtime, openSession, logger, pageSize }, hub.sink);
  return {
    get ready() {
      return tail.ready;
    },
    cursor: hub.head,
    subscribe: ({ filter, after, signal }) => subscribe(hub, filter, after, signal),
    changes: ({ clusterId, actionId, signal }) => {
      const filters: LedgerFilter[] = [];
      if (clusterId !== undefined) filters.push({ projectId: null, clusterIds: [clusterId] });
      if (actionId !== undefined) filters.push({ projectId: null, actionIds: [actionId] });
      return changes(hub, filters, signal);
    },
    stats: hub.stats,
    close: async () => {
      hub.close();
      await tail.close();
    },
  };
}

/** About what an event holds in memory, bytes: its texts and a fixed share for the rest. */
function weightOf(event: LedgerEvent): number {
  return 300 + JSON.stringify(event.data).length + event.message.length;
}
