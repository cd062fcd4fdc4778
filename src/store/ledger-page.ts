/**
 * Pages of history in the order of positions, put together from walks along indexes in the order of batches (`ledger-scan.ts`).
 *
 * Forward from a cursor: the walk begins at its *anchor*, the last batch up to it that is not late. Whatever lies behind the cursor and
 * has a lower number is late and is fetched by itself. A late batch that the walk meets belongs further behind; a walk that ended
 * early is therefore whole only up to the last row of it that is not late: its *horizon*. Backward it is the mirror: the walk is whole
 * down to its last row that is not late, once the late batches from below that row were fetched.
 */
import { compareCursors, type LedgerCursor, lastOrdinal } from "../core/cursor.ts";
import type { Database } from "./database.ts";
import { cursorBehind, type LedgerState, oldestCursor } from "./ledger.ts";
import type { EventRow, LedgerFilter } from "./ledger-event.ts";
import {
  anchorAtBatch,
  anchorAtPosition,
  type BatchPlace,
  type Direction,
  hasResidue,
  type Keys,
  type LateRange,
  type Scan,
  type ScannedRow,
  scanEnds,
  scanEvents,
  scanLate,
} from "./ledger-scan.ts";

export interface PageRequest {
  readonly ledger: LedgerState;
  readonly filter: LedgerFilter;
  readonly keys: Keys;
  readonly direction: Direction;
  /** Both exclusive. */
  readonly after: LedgerCursor;
  readonly before: LedgerCursor;
  readonly size: number;
  /** What a filter may make us look at for one page, in rows; beyond it the page stays short and says where to go on. */
  readonly mostRows: number;
}

export interface KeyPage {
  /** In the order of positions, at most `size`: the first ones (forward) or the last ones (backward) between the cursors. */
  readonly rows: readonly EventRow[];
  /** Whether there is more beyond the page in its direction; of a walk that had gone as far as it may, whether there may be. */
  readonly more: boolean;
  /** Everything between where the page began and this place, inclusive, is on the page or does not match. */
  readonly horizon: LedgerCursor;
}

/** Rows read beyond a page, so that a few late batches at its end do not cost a second walk. */
function slack(size: number): number {
  return Math.min(16, 2 + Math.floor(size / 4));
}

export interface PageAnswer {
  readonly pages: ReadonlyMap<string | null, KeyPage>;
  /** Over all keys together; only where one page of all was asked for. */
  readonly oldest: bigint;
}

/**
 * A page of each key. One walk as a rule; more where late batches or unmatched rows left a page short that need not be, or where
 * a full one has seen nothing of what follows but rows that do not count.
 */
export async function readPages(db: Database, request: PageRequest): Promise<PageAnswer> {
  const { keys, size, ledger, mostRows } = request;
  const start = await walkStart(db, request);
  const share = Math.ceil(mostRows / Math.max(1, keys.ids.length));
  let limit = Math.min(size + slack(size), share);
  let reach = Math.max(limit, share);
  for (let round = 1; ; round++) {
    const scan: Scan = { filter: request.filter, keys, direction: request.direction, from: start.from, limit, reach };
    const answer = await walkOnce(db, request, scan, start.late);
    const short = [...answer.pages.values()].filter((page) => page.more && page.rows.length < size);
    const stuck = short.some((page) => page.rows.length === 0 && compareCursors(page.horizon, start.edge) === 0);
    const cheap = short.length > 0 && answer.limited && limit < mostRows / Math.max(1, keys.ids.length);
    if (round >= 6 || !(stuck || cheap || answer.undecided)) return { pages: answer.pages, oldest: answer.oldest };
    limit *= 4;
    if (stuck) reach *= 4;
    else reach = Math.max(reach, limit);
    if (answer.oldest > ledger.oldest) return { pages: answer.pages, oldest: answer.oldest };
  }
}

interface WalkStart {
  readonly from: BatchPlace;
  readonly late: readonly LateRange[];
  /** Where the page begins. */
  readonly edge: LedgerCursor;
}

async function walkStart(db: Database, request: PageRequest): Promise<WalkStart> {
  const { ledger, keys, direction, after, before } = request;
  const edge = direction === "forward" ? after : before;
  const anchor = await anchorAtPosition(db, ledger, edge.position);
  const at = anchor !== null && anchor.position === edge.position;
  if (direction === "backward") {
    // Everything older is late where there is no anchor: nothing to walk along.
    const from = anchor === null ? { batch: -1n, ordinal: 0 } : { batch: anchor.batch, ordinal: at ? edge.ordinal : lastOrdinal };
    const late = anchor === null ? keys.ids.map((key) => ({ key, batch: ledger.topBatch + 1n, position: ledger.oldest })) : [];
    return { from, late, edge };
  }
  if (anchor === null) return { from: { batch: -1n, ordinal: 0 }, late: [], edge };
  const late = keys.ids.map((key) => ({ key, batch: anchor.batch, position: edge.position }));
  return { from: { batch: anchor.batch, ordinal: at ? edge.ordinal : lastOrdinal }, late, edge };
}

interface WalkAnswer extends PageAnswer {
  /** Whether a walk ended because enough rows matched, not because it had gone far. */
  readonly limited: boolean;
  /** Whether a walk ended so with a full page, and nothing of what it saw tells whether more follows. */
  readonly undecided: boolean;
}

async function walkOnce(db: Database, request: PageRequest, scan: Scan, startLate: readonly LateRange[]): Promise<WalkAnswer> {
  const { ledger, keys, direction, size } = request;
  const { rows, oldest } = await scanEvents(db, ledger, scan);
  const byKey = new Map<string | null, ScannedRow[]>(keys.ids.map((id) => [id, []]));
  for (const row of rows) byKey.get(row.key)?.push(row);
  const unlimited = [...byKey.values()].some((found) => found.length < scan.limit);
  const ends = unlimited && hasResidue(scan.filter, keys) ? await scanEnds(db, ledger, scan) : new Map<string | null, BatchPlace>();

  const horizons = new Map<string | null, Horizon | null>();
  const full = new Set<string | null>();
  for (const [key, found] of byKey) {
    const end = ends.get(key);
    if (found.length >= scan.limit) {
      full.add(key);
      horizons.set(key, horizonOfRows(found, ledger.incarnation));
    } else if (end !== undefined) horizons.set(key, await horizonOfEnd(db, request, end));
  }
  const ranges = [...startLate];
  if (direction === "backward") {
    for (const [key, horizon] of horizons) if (horizon !== null) ranges.push({ key, batch: horizon.batch, position: horizon.cursor.position });
  }
  const edge = direction === "forward" ? request.after : request.before;
  const late = await scanLate(db, ledger, { ...scan, limit: size + 1 }, ranges, edge);
  for (const row of late) byKey.get(row.key)?.push(row);

  const pages = new Map<string | null, KeyPage>();
  let undecided = false;
  for (const [key, found] of byKey) {
    const truncated = horizons.has(key);
    const page = cutPage(request, found, truncated ? (horizons.get(key)?.cursor ?? edge) : null);
    pages.set(key, page);
    if (full.has(key) && page.more && !page.seen && page.rows.length === size) undecided = true;
  }
  return { pages, oldest, limited: full.size > 0, undecided };
}

interface Horizon {
  readonly cursor: LedgerCursor;
  readonly batch: bigint;
}

/** Of a walk that ended at its limit: the last row that is not late. null: there was none, so nothing is certain. */
function horizonOfRows(rows: readonly ScannedRow[], incarnation: number): Horizon | null {
  const last = rows.findLast((row) => row.position !== null && row.late === false);
  if (last === undefined || last.position === null) return null;
  return { cursor: { incarnation, position: last.position, ordinal: last.ordinal }, batch: last.batch };
}

/** Of a walk that ended because it had gone far: the nearest batch on its way that is not late. */
async function horizonOfEnd(db: Database, request: PageRequest, end: BatchPlace): Promise<Horizon | null> {
  const { ledger, direction } = request;
  const anchor = await anchorAtBatch(db, ledger, end.batch, direction);
  if (anchor === null) return null;
  const whole = direction === "forward" ? lastOrdinal : 0;
  const cursor = { incarnation: ledger.incarnation, position: anchor.position, ordinal: anchor.batch === end.batch ? end.ordinal : whole };
  const edge = direction === "forward" ? request.after : request.before;
  const onward = direction === "forward" ? compareCursors(cursor, edge) > 0 : compareCursors(cursor, edge) < 0;
  return onward ? { cursor, batch: anchor.batch } : null;
}

interface CutPage extends KeyPage {
  /** Whether a row was seen that lies between the cursors and beyond the page. */
  readonly seen: boolean;
}

/** Sorts what was found, leaves out what lies beyond the cursors or the horizon, and cuts the page. `horizon` null: the walk came to its end. */
function cutPage(request: PageRequest, found: readonly ScannedRow[], horizon: LedgerCursor | null): CutPage {
  const { direction, size, ledger } = request;
  const { incarnation } = ledger;
  const forward = direction === "forward";
  const between = rowsBetween(request, found);
  const inside = between.filter(({ position, ordinal }) => {
    const sign = horizon === null ? 0 : compareCursors({ incarnation, position, ordinal }, horizon);
    return forward ? sign <= 0 : sign >= 0;
  });
  const rows = forward ? inside.slice(0, size) : inside.slice(-size);
  const seen = between.length > rows.length;
  const edgeRow = forward ? rows.at(-1) : rows[0];
  if (inside.length > rows.length && edgeRow !== undefined) {
    return { rows, more: true, seen, horizon: { incarnation, position: edgeRow.position, ordinal: edgeRow.ordinal } };
  }
  const bound = forward ? request.before : request.after;
  // Nothing of interest lies beyond the other cursor, however far the walk went.
  const beyond = horizon === null || (forward ? compareCursors(horizon, bound) >= 0 : compareCursors(horizon, bound) <= 0);
  return { rows, more: !beyond, seen, horizon: beyond ? edgeOf(bound, forward) : horizon };
}

/** What lies between the cursors, each row once, in the order of positions. */
function rowsBetween({ after, before, ledger: { incarnation } }: PageRequest, found: readonly ScannedRow[]): EventRow[] {
  const between = new Map<string, EventRow>();
  for (const row of found) {
    const { position, ordinal } = row;
    if (position === null) continue;
    const cursor = { incarnation, position, ordinal };
    if (compareCursors(cursor, after) > 0 && compareCursors(cursor, before) < 0) between.set(`${row.batch}.${ordinal}`, { ...row, position });
  }
  return [...between.values()].sort((a, b) => (a.position === b.position ? a.ordinal - b.ordinal : a.position < b.position ? -1 : 1));
}

/** The last place inside an exclusive bound. */
function edgeOf(bound: LedgerCursor, forward: boolean): LedgerCursor {
  return forward ? { ...bound, ordinal: Math.max(0, bound.ordinal - 1) } : bound;
}

/** The bounds of everything that is there: exclusive on both sides. */
export function wholeLedger(ledger: LedgerState): { after: LedgerCursor; before: LedgerCursor } {
  return { after: oldestCursor(ledger), before: { ...cursorBehind(ledger), position: ledger.head + 1n, ordinal: 0 } };
}
