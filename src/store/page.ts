/**
 * Keyset pages: "after this key" and "before this key", never an offset, so a page costs what it holds and stays put under writes.
 * Rows are always read one too many, which says whether there is a next page. Cursor texts are the API's business: a key here is
 * the value of the order's column and the row's id.
 */
import { type RawBuilder, sql } from "kysely";

/** Where a page begins or ends. `value` is absent where the order is by id alone. */
export interface Keyset {
  readonly id: string;
  /** The order's column: text, code or ISO time. */
  readonly value?: string | number;
}

export interface PageRequest {
  /** At most so many rows. */
  readonly limit: number;
  /** True for `last`: the rows at the end of the range, still answered in the order asked for. */
  readonly backward: boolean;
  readonly after: Keyset | null;
  readonly before: Keyset | null;
}

export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly hasNext: boolean;
  readonly hasPrevious: boolean;
  /**
   * Set where a walk had to stop before the page was full (a filter that nearly nothing matches): where to go on from. `hasNext`
   * (or `hasPrevious`) is then true.
   */
  readonly stoppedAt?: Keyset;
}

/** The first `limit` rows. */
export function firstPage(limit: number): PageRequest {
  return { limit, backward: false, after: null, before: null };
}

export interface Order {
  /** The order's column, or null for by id. */
  readonly by: { readonly column: RawBuilder<unknown>; readonly cast: "text" | "smallint" | "timestamptz" } | null;
  readonly id: RawBuilder<unknown>;
  readonly descending: boolean;
}

/** The range's condition: `and …` per bound, or nothing. */
export function within(order: Order, request: PageRequest): RawBuilder<unknown> {
  const bound = (key: Keyset | null, later: boolean): RawBuilder<unknown> => {
    if (key === null) return sql``;
    const sign = sql.raw(later === order.descending ? "<" : ">");
    if (order.by === null) return sql`and ${order.id} ${sign} ${key.id}::uuid`;
    return sql`and (${order.by.column}, ${order.id}) ${sign} (${key.value ?? null}::${sql.raw(order.by.cast)}, ${key.id}::uuid)`;
  };
  return sql`${bound(request.after, true)} ${bound(request.before, false)}`;
}

/** `order by … limit …`, one row more than asked for. */
export function ordered(order: Order, request: PageRequest): RawBuilder<unknown> {
  const direction = sql.raw(order.descending !== request.backward ? "desc" : "asc");
  const first = order.by === null ? sql`` : sql`${order.by.column} ${direction},`;
  return sql`order by ${first} ${order.id} ${direction} limit ${request.limit + 1}`;
}

/**
 * Rows of one parent in the order of their ids, as a stretch of an index over (parent …, id). Written as ranges, not as equality: with
 * `parent = x order by id` PostgreSQL may walk the ids of the whole table in search of the parent's.
 */
export interface Stretch {
  readonly parents: readonly { readonly column: RawBuilder<unknown>; readonly value: RawBuilder<unknown> }[];
  readonly id: RawBuilder<unknown>;
}

/** The stretch's condition, between the page's bounds. */
export function stretchWithin({ parents, id }: Stretch, request: PageRequest): RawBuilder<unknown> {
  const columns = parents.map(({ column }) => column);
  const values = parents.map(({ value }) => value);
  const bound = (key: Keyset | null, strict: ">" | "<"): RawBuilder<unknown> =>
    key === null
      ? sql`(${sql.join(columns)}) ${sql.raw(`${strict}=`)} (${sql.join(values)})`
      : sql`(${sql.join([...columns, id])}) ${sql.raw(strict)} (${sql.join([...values, sql`${key.id}::uuid`])})`;
  return sql`${bound(request.after, ">")} and ${bound(request.before, "<")}`;
}

/** `order by` of a stretch, without the words. */
export function stretchOrder({ parents, id }: Stretch, backward: boolean): RawBuilder<unknown> {
  const direction = sql.raw(backward ? "desc" : "asc");
  return sql.join([...parents.map(({ column }) => column), id].map((column) => sql`${column} ${direction}`));
}

/** Cuts the row too many off and puts a backward page the right way round. */
export function pageOf<Row>(rows: readonly Row[], request: PageRequest): Page<Row> {
  const more = rows.length > request.limit;
  const kept = more ? rows.slice(0, request.limit) : rows;
  return request.backward
    ? { rows: [...kept].reverse(), hasNext: request.before !== null, hasPrevious: more }
    : { rows: kept, hasNext: more, hasPrevious: request.after !== null };
}

/** Rows of many parents, each parent's in its page's order, as one page per parent. */
export function pagesByParent<Parent, Row>(
  parents: readonly Parent[],
  rows: readonly Row[],
  parentOf: (row: Row) => Parent,
  page: PageRequest,
): Map<Parent, Page<Row>> {
  const grouped = new Map<Parent, Row[]>(parents.map((parent) => [parent, []]));
  for (const row of rows) grouped.get(parentOf(row))?.push(row);
  return new Map([...grouped].map(([parent, own]) => [parent, pageOf(own, page)]));
}

/**
 * One page, by id, of what several parents' pages of the same request hold. Where one parent's walk stopped early, nothing beyond
 * that place is known to be next.
 */
export function mergePages<Row extends { readonly id: string }>(pages: readonly Page<Row>[], request: PageRequest): Page<Row> {
  const { backward, limit } = request;
  const isBefore = (a: string, b: string): boolean => (backward ? a > b : a < b);
  let stop: string | null = null;
  for (const { stoppedAt } of pages) if (stoppedAt !== undefined && (stop === null || isBefore(stoppedAt.id, stop))) stop = stoppedAt.id;
  const more = pages.some((page) => (backward ? page.hasPrevious : page.hasNext));
  const rows = pages
    .flatMap((page) => page.rows)
    .filter((row) => stop === null || !isBefore(stop, row.id))
    .sort((a, b) => (isBefore(a.id, b.id) ? -1 : 1));
  const kept = rows.slice(0, limit);
  const beyond = more || rows.length > limit;
  const stoppedAt = stop !== null && kept.length < limit ? { stoppedAt: { id: stop } } : {};
  return backward
    ? { rows: kept.reverse(), hasNext: request.before !== null, hasPrevious: beyond, ...stoppedAt }
    : { rows: kept, hasNext: beyond, hasPrevious: request.after !== null, ...stoppedAt };
}
