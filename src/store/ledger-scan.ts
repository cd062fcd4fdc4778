/**
 * The statements that read history. Rows lie in the indexes by batch, readers want them by position. The two orders are the same
 * but for *late* batches, which got their position after a higher batch had; they stand further behind than their number says, by
 * `maxLag` at most. So a page is a walk along one index by batch, plus the late batches that were passed before it began
 * (`ledger-page.ts` puts them together).
 */
import { type RawBuilder, sql } from "kysely";
import type { LedgerCursor } from "../core/cursor.ts";
import { eventLevelCodes } from "../core/event.ts";
import type { Database } from "./database.ts";
import type { LedgerState } from "./ledger.ts";
import { type EventRow, eventColumns, type LedgerFilter } from "./ledger-event.ts";

/** What a walk goes along: the events of each of these objects, or all of them. */
export interface Keys {
  readonly column: "cluster_id" | "node_id" | "action_id" | "project_id" | null;
  /** `[null]` where there is no column. */
  readonly ids: readonly (string | null)[];
}

export type Direction = "forward" | "backward";

/** Between two events, in the order of batches: a walk begins behind it (forward) or before it (backward). */
export interface BatchPlace {
  readonly batch: bigint;
  readonly ordinal: number;
}

export interface ScannedRow extends Omit<EventRow, "position"> {
  readonly key: string | null;
  /** null: without a position as far as the asker's state of the ledger goes, so it does not exist yet. */
  readonly position: bigint | null;
  readonly late: boolean | null;
}

/** The narrowest way to everything a filter can match: few nodes before many clusters before the whole project. */
export function keysOf(filter: LedgerFilter): Keys {
  if (filter.nodeIds !== undefined) return { column: "node_id", ids: unique(filter.nodeIds) };
  if (filter.actionIds !== undefined) return { column: "action_id", ids: unique(filter.actionIds) };
  if (filter.clusterIds !== undefined) return { column: "cluster_id", ids: unique(filter.clusterIds) };
  return filter.projectId === null ? { column: null, ids: [null] } : { column: "project_id", ids: [filter.projectId] };
}

function unique(ids: readonly string[]): string[] {
  return [...new Set(ids)];
}

type Fragment = RawBuilder<unknown>;

/** Conditions that the walked index does not answer. Empty: none are left. */
function residue(filter: LedgerFilter, { column }: Keys): Fragment[] {
  const found: Fragment[] = [];
  if (filter.clusterIds !== undefined && column !== "cluster_id") found.push(sql`s.cluster_id = any(${filter.clusterIds}::uuid[])`);
  if (filter.actionIds !== undefined && column !== "action_id") found.push(sql`s.action_id = any(${filter.actionIds}::uuid[])`);
  if (filter.typeCodes !== undefined) found.push(sql`s.type = any(${filter.typeCodes}::smallint[])`);
  if (filter.minLevel !== undefined) found.push(sql`s.level >= ${eventLevelCodes[filter.minLevel]}::smallint`);
  return found;
}

export function hasResidue(filter: LedgerFilter, keys: Keys): boolean {
  return residue(filter, keys).length > 0;
}

const ordered = { forward: sql.raw("order by batch, ordinal"), backward: sql.raw("order by batch desc, ordinal desc") };

/** Objects are of one project for ever: rows of another project's object are none, as if it did not exist. */
function ownRows(filter: LedgerFilter, rows: ScannedRow[]): ScannedRow[] {
  return filter.projectId === null ? rows : rows.filter((row) => row.project_id === filter.projectId);
}

/** The same in SQL, by the newest event of an object, where rows that do not match are counted. */
function ownKeys(filter: LedgerFilter, { column }: Keys): Fragment {
  if (filter.projectId === null || column === null || column === "project_id") return sql`true`;
  return sql`(select f.project_id from muster.event f where f.${sql.ref(column)} = k.id order by f.batch desc, f.ordinal desc limit 1) = ${filter.projectId}::uuid`;
}

/** Events along one key, behind or before a place. The bound on batch by itself is what partitions are chosen by. */
function walk(keys: Keys, direction: Direction, from: BatchPlace, topBatch: bigint): Fragment {
  const key = keys.column === null ? sql`true` : sql`e.${sql.ref(keys.column)} = k.id`;
  const { batch, ordinal } = from;
  return direction === "forward"
    ? sql`muster.event e where ${key} and e.batch >= ${batch}::bigint and e.batch <= ${topBatch}::bigint and (e.batch, e.ordinal) > (${batch}::bigint, ${ordinal}::integer)`
    : sql`muster.event e where ${key} and e.batch <= ${batch}::bigint and (e.batch, e.ordinal) < (${batch}::bigint, ${ordinal}::integer)`;
}

/** A batch's position is never far from its number, which names the partitions it can be in. */
function positionOf(ledger: LedgerState): Fragment {
  const unused = ledger.topBatch - ledger.head + ledger.maxLag;
  return sql`
    select p.position, p.late from muster.position p
     where p.batch = e.batch and p.position >= e.batch - ${unused}::bigint and p.position <= e.batch + ${ledger.maxLag}::bigint
       and p.position >= ${ledger.oldest}::bigint and p.position <= ${ledger.head}::bigint`;
}

export interface Scan {
  readonly filter: LedgerFilter;
  readonly keys: Keys;
  readonly direction: Direction;
  readonly from: BatchPlace;
  /** Rows per key that are answered. */
  readonly limit: number;
  /** Rows per key that are looked at. */
  readonly reach: number;
}

/** The rows of each key, in the order of batches, and what is the oldest position by the time they were read. */
export async function scanEvents(db: Database, ledger: LedgerState, scan: Scan): Promise<{ rows: ScannedRow[]; oldest: bigint }> {
  const { filter, keys, direction, from, limit, reach } = scan;
  const left = residue(filter, keys);
  const order = ordered[direction];
  const columns = sql.raw(eventColumns);
  const rows = sql`select ${columns} from ${walk(keys, direction, from, ledger.topBatch)} ${order} limit ${left.length > 0 ? reach : limit}::integer`;
  const matching = left.length > 0 ? sql`select * from (${rows}) s where ${sql.join(left, sql` and `)} ${order} limit ${limit}::integer` : rows;
  const answer = await sql<ScannedRow & { oldest: bigint; there: boolean | null }>`
    /* ledger.scan.${sql.raw(direction)} */
    select l.oldest, r.*
      from muster.ledger l
      left join lateral (
        select true as there, k.id as key, e.*, p.position, p.late
          from unnest(${keys.ids}::uuid[]) as k(id)
          cross join lateral (${matching}) e
          left join lateral (${positionOf(ledger)}) p on true
      ) r on true`.execute(db);
  return {
    rows: ownRows(
      filter,
      answer.rows.filter((row) => row.there === true),
    ),
    oldest: answer.rows[0]?.oldest ?? ledger.oldest,
  };
}

/** How far walks came that looked at `reach` rows: per key the last place, where there were so many. */
export async function scanEnds(db: Database, ledger: LedgerState, scan: Scan): Promise<Map<string | null, BatchPlace>> {
  const { keys, direction, from, reach } = scan;
  const { rows } = await sql<BatchPlace & { key: string | null }>`
    /* ledger.scan.end.${sql.raw(direction)} */
    select k.id as key, e.batch, e.ordinal
      from unnest(${keys.ids}::uuid[]) as k(id)
      cross join lateral (
        select e.batch, e.ordinal from ${walk(keys, direction, from, ledger.topBatch)} ${ordered[direction]} offset ${reach - 1}::integer limit 1) e
     where ${ownKeys(scan.filter, keys)}`.execute(db);
  return new Map(rows.map((row) => [row.key, { batch: row.batch, ordinal: row.ordinal }]));
}

/** A batch that is not late, where the orders by batch and by position agree. */
export interface Anchor {
  readonly position: bigint;
  readonly batch: bigint;
}

/** The last batch that is not late at or below a position. */
export async function anchorAtPosition(db: Database, ledger: LedgerState, position: bigint): Promise<Anchor | null> {
  const { rows } = await sql<Anchor>`
    /* ledger.anchor.position */
    select position, batch from muster.position
     where position <= ${position}::bigint and position >= ${ledger.oldest}::bigint and not late order by position desc limit 1`.execute(db);
  return rows[0] ?? null;
}

/** The nearest batch that is not late: at or below a batch (forward), or at or above it (backward). */
export async function anchorAtBatch(db: Database, ledger: LedgerState, batch: bigint, direction: Direction): Promise<Anchor | null> {
  const side = direction === "forward" ? sql`batch <= ${batch}::bigint` : sql`batch >= ${batch}::bigint`;
  const order = sql.raw(direction === "forward" ? "desc" : "asc");
  const { rows } = await sql<Anchor>`
    /* ledger.anchor.batch.${sql.raw(direction)} */
    select position, batch from muster.position
     where ${side} and position >= ${ledger.oldest}::bigint and position <= ${ledger.head}::bigint and not late order by batch ${order} limit 1`.execute(
    db,
  );
  return rows[0] ?? null;
}

/** Where to look for late batches of a key: numbers below `batch`, positions from `position` on. */
export interface LateRange {
  readonly key: string | null;
  readonly batch: bigint;
  readonly position: bigint;
}

interface LateBatch {
  readonly key: string | null;
  readonly batch: bigint;
  readonly position: bigint;
}

/** Mostly there are none: then nothing else is asked. */
async function findLate(db: Database, ledger: LedgerState, ranges: readonly LateRange[]): Promise<readonly LateBatch[]> {
  const { rows } = await sql<LateBatch>`
    /* ledger.late */
    select k.id as key, p.batch, p.position
      from unnest(${ranges.map((range) => range.key)}::uuid[], ${ranges.map((range) => range.batch)}::bigint[],
                  ${ranges.map((range) => range.position)}::bigint[]) as k(id, batch, position)
      cross join lateral (
        select p.batch, p.position from muster.position p
         where p.late and p.batch < k.batch and p.batch >= k.batch - ${ledger.maxLag}::bigint
           and p.position >= k.position and p.position >= ${ledger.oldest}::bigint and p.position <= ${ledger.head}::bigint) p`.execute(db);
  return rows;
}

/** Rows of batches whose number lies before a walk and whose position does not. At most `limit` of each batch: more of one never fit a page. */
export async function scanLate(
  db: Database,
  ledger: LedgerState,
  scan: Pick<Scan, "filter" | "keys" | "direction" | "limit">,
  ranges: readonly LateRange[],
  /** Where the page begins: of its batch only what lies beyond. */
  edge: Pick<LedgerCursor, "position" | "ordinal">,
): Promise<ScannedRow[]> {
  if (ledger.maxLag === 0n || ranges.length === 0) return [];
  const late = await findLate(db, ledger, ranges);
  if (late.length === 0) return [];
  const { filter, keys, direction, limit } = scan;
  const key = keys.column === null ? sql`true` : sql`e.${sql.ref(keys.column)} = k.id`;
  const beyond = sql.raw(direction === "forward" ? ">" : "<");
  const conditions = sql.join(
    [sql`(k.position <> ${edge.position}::bigint or s.ordinal ${beyond} ${edge.ordinal}::integer)`, ...residue(filter, keys)],
    sql` and `,
  );
  const { rows } = await sql<ScannedRow>`
    /* ledger.scan.late.${sql.raw(direction)} */
    select k.id as key, e.*, k.position, true as late
      from unnest(${late.map((one) => one.key)}::uuid[], ${late.map((one) => one.batch)}::bigint[],
                  ${late.map((one) => one.position)}::bigint[]) as k(id, batch, position)
      cross join lateral (
        select s.* from (select ${sql.raw(eventColumns)} from muster.event e where ${key} and e.batch = k.batch) s
         where ${conditions} ${ordered[direction]} limit ${limit}::integer) e`.execute(db);
  return ownRows(filter, rows);
}
