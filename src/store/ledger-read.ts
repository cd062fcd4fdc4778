/** Reading history: pages by filter, the newest or oldest events of many objects at once, single events by id. */
import { sql } from "kysely";
import { compareCursors, type LedgerCursor, lastOrdinal } from "../core/cursor.ts";
import { type EventId, eventKey } from "../core/ids.ts";
import type { Database } from "./database.ts";
import { cursorBehind, isWithin, type LedgerState, oldestCursor, readLedger } from "./ledger.ts";
import { type EventRow, eventColumns, eventsOf, type LedgerEvent, type LedgerFilter } from "./ledger-event.ts";
import { type KeyPage, readPages, wholeLedger } from "./ledger-page.ts";
import { type Direction, keysOf } from "./ledger-scan.ts";

export type { LedgerEvent, LedgerFilter } from "./ledger-event.ts";

export interface HistoryRange {
  /** Exactly one of `first` and `last`; it says from which end the page is cut. */
  readonly first?: number;
  readonly last?: number;
  /** Both exclusive. */
  readonly after?: LedgerCursor | null;
  readonly before?: LedgerCursor | null;
}

export interface HistoryPage {
  readonly events: readonly LedgerEvent[];
  readonly hasNext: boolean;
  readonly hasPrevious: boolean;
  /** Subscribed `after` this, or read on `after` it, nothing between this page and what follows is missed, also where it is empty. */
  readonly resume: LedgerCursor;
  /** Read on `before` this for what precedes, also where the page is empty. */
  readonly back: LedgerCursor;
}

/** Lines behind a cursor were dropped, or belong to another incarnation. */
export interface Expired {
  /** The oldest cursor that can still be used. */
  readonly expired: LedgerCursor;
}

/** What one page may cost, in rows looked at. */
const usualRows = 20_000;

/**
 * A page of what matches, in the order of positions. Short with `hasNext` (or `hasPrevious`) where the filter would make us look at
 * more than `mostRows`.
 */
export async function readEvents(db: Database, filter: LedgerFilter, range: HistoryRange, mostRows = usualRows): Promise<HistoryPage | Expired> {
  for (;;) {
    const ledger = await readLedger(db);
    if (hasExpired(ledger, range)) return { expired: oldestCursor(ledger) };
    const { after, before } = boundsOf(ledger, range);
    const direction: Direction = range.last === undefined ? "forward" : "backward";
    const size = sizeToRead(range);
    const keys = keysOf(filter);
    const { pages, oldest } = await readPages(db, { ledger, filter, keys, direction, after, before, size, mostRows });
    // Partitions went while we read: what was found may have holes. The cursors are judged anew.
    if (oldest > ledger.oldest) continue;
    const page = mergePages([...pages.values()], direction, size) ?? emptyPage(direction === "forward" ? before : after);
    return historyPage(ledger, page, { direction, after, before, range });
  }
}

function emptyPage(horizon: LedgerCursor): KeyPage {
  return { rows: [], more: false, horizon };
}

/** The pages of several objects as one: whole as far as the least far of them. null: of none. */
function mergePages(pages: readonly KeyPage[], direction: Direction, size: number): KeyPage | null {
  const [first, ...others] = pages;
  if (first === undefined) return null;
  if (others.length === 0) return first;
  const sign = direction === "forward" ? 1 : -1;
  const open = pages.filter((page) => page.more);
  const nearest = (open.length > 0 ? open : pages).reduce((a, b) => (compareCursors(a.horizon, b.horizon) * sign <= 0 ? a : b));
  const { incarnation } = nearest.horizon;
  const cursorOf = (row: EventRow): LedgerCursor => ({ incarnation, position: row.position, ordinal: row.ordinal });
  const inside = pages
    .flatMap((page) => page.rows)
    .filter((row) => open.length === 0 || compareCursors(cursorOf(row), nearest.horizon) * sign <= 0)
    .sort((a, b) => compareCursors(cursorOf(a), cursorOf(b)));
  const rows = direction === "forward" ? inside.slice(0, size) : inside.slice(-size);
  const edge = direction === "forward" ? rows.at(-1) : rows[0];
  if (inside.length > rows.length && edge !== undefined) return { rows, more: true, horizon: cursorOf(edge) };
  return { rows, more: open.length > 0, horizon: nearest.horizon };
}

/** A page of none still says whether there is more: it is read as a page of one, and that one left out. */
function sizeToRead(range: HistoryRange): number {
  return Math.max(1, range.first ?? range.last ?? 50);
}

interface Asked {
  readonly direction: Direction;
  readonly after: LedgerCursor;
  readonly before: LedgerCursor;
  readonly range: HistoryRange;
}

function historyPage(ledger: LedgerState, page: KeyPage, asked: Asked): HistoryPage {
  const whole = wholePage(ledger, page, asked);
  const { direction, after, before, range } = asked;
  if ((range.first ?? range.last) !== 0 || whole.events.length === 0) return whole;
  return direction === "forward"
    ? { ...whole, events: [], hasNext: true, resume: after, back: following(after) }
    : { ...whole, events: [], hasPrevious: true, back: before };
}

function wholePage(ledger: LedgerState, page: KeyPage, { direction, after, before, range }: Asked): HistoryPage {
  const events = eventsOf(page.rows, ledger.incarnation);
  const end = range.before ? inclusive(range.before) : cursorBehind(ledger);
  if (direction === "forward") {
    const resume = page.more ? page.horizon : end;
    return {
      events,
      hasNext: page.more,
      hasPrevious: compareCursors(after, oldestCursor(ledger)) > 0,
      resume,
      back: events[0]?.cursor ?? following(after),
    };
  }
  return {
    events,
    hasNext: range.before != null && compareCursors(before, cursorBehind(ledger)) < 0,
    hasPrevious: page.more,
    resume: end,
    back: page.more ? page.horizon : (events[0]?.cursor ?? following(after)),
  };
}

/** The last place before an exclusive bound. */
function inclusive(bound: LedgerCursor): LedgerCursor {
  return { ...bound, ordinal: Math.max(0, bound.ordinal - 1) };
}

/** `before` this is everything up to and with the place. */
function following(place: LedgerCursor): LedgerCursor {
  return { ...place, ordinal: Math.min(lastOrdinal, place.ordinal + 1) };
}

/** Objects whose events are asked for at once. */
export interface EventsOf {
  readonly by: "cluster" | "node" | "action";
  readonly ids: readonly string[];
  /** What else must match; its own ids of the same kind are not looked at. */
  readonly filter: LedgerFilter;
  /** The same range for each: cursors of the ledger are good for every object. */
  readonly range: HistoryRange;
}

/** The same page of the history of each object: a bounded number of statements for any number of objects. */
export async function readEventsOf(db: Database, asked: EventsOf): Promise<ReadonlyMap<string, HistoryPage> | Expired> {
  const field = ({ cluster: "clusterIds", node: "nodeIds", action: "actionIds" } as const)[asked.by];
  const column = ({ cluster: "cluster_id", node: "node_id", action: "action_id" } as const)[asked.by];
  const filter: LedgerFilter = { ...asked.filter, [field]: asked.ids };
  const { range } = asked;
  const direction: Direction = range.last === undefined ? "forward" : "backward";
  const size = sizeToRead(range);
  for (;;) {
    const ledger = await readLedger(db);
    if (hasExpired(ledger, range)) return { expired: oldestCursor(ledger) };
    const { after, before } = boundsOf(ledger, range);
    const keys = { column, ids: [...new Set(asked.ids)] };
    const { pages, oldest } = await readPages(db, { ledger, filter, keys, direction, after, before, size, mostRows: usualRows });
    if (oldest > ledger.oldest) continue;
    const found = new Map<string, HistoryPage>();
    for (const [id, page] of pages) {
      if (id !== null) found.set(id, historyPage(ledger, page, { direction, after, before, range }));
    }
    return found;
  }
}

function hasExpired(ledger: LedgerState, { after, before }: HistoryRange): boolean {
  return [after, before].some((cursor) => cursor != null && !isWithin(ledger, cursor));
}

/** The range with its open ends at those of the ledger. */
function boundsOf(ledger: LedgerState, range: HistoryRange): { readonly after: LedgerCursor; readonly before: LedgerCursor } {
  const whole = wholeLedger(ledger);
  const after = range.after && compareCursors(range.after, whole.after) > 0 ? range.after : whole.after;
  return { after, before: range.before ?? whole.before };
}

/** Events by id, in the order of the ids; null for what is not there (any more), has no position yet, or is of another project. */
export async function readEventsById(
  db: Database,
  ids: readonly EventId[],
  projectId: string | null = null,
): Promise<readonly (LedgerEvent | null)[]> {
  if (ids.length === 0) return [];
  const keys = ids.map(eventKey);
  const ledger = await readLedger(db);
  const { rows } = await sql<EventRow>`
    /* event.by-id */
    select p.position, ${sql.raw(eventColumns)}
      from unnest(${keys.map((key) => key.batch)}::bigint[], ${keys.map((key) => key.ordinal)}::integer[]) as k(batch, ordinal)
      join muster.event e on e.batch = k.batch and e.ordinal = k.ordinal
      join lateral (select p.position from muster.position p
                     where p.batch = k.batch and p.position >= ${ledger.oldest}::bigint and p.position <= ${ledger.head}::bigint) p on true
     where ${projectId}::uuid is null or e.project_id = ${projectId}::uuid`.execute(db);
  // The id also tells when it happened: one with another time is somebody's invention.
  const found = new Map(eventsOf(rows, ledger.incarnation).map((event) => [event.id, event]));
  return ids.map((id) => found.get(id) ?? null);
}

export async function readEvent(db: Database, id: EventId, projectId: string | null = null): Promise<LedgerEvent | null> {
  const [event] = await readEventsById(db, [id], projectId);
  return event ?? null;
}
