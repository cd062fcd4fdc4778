/**
 * The ledger's partitions: `event` by ranges of batch, `position` by ranges of position, no default one, at least three ahead of what
 * is being written. A partition is the unit of retention, so its span follows the pace: about a day of events.
 */
import { sql } from "kysely";
import type { Database } from "./database.ts";
import { isTimeout } from "./failure.ts";
import { partitionLock, singletonSpace } from "./ledger.ts";

const kinds = ["event", "position"] as const;
type Kind = (typeof kinds)[number];

/** Partitions that exist beyond the one that is being written. */
export const partitionsAhead = 3;
const firstSpan = 2n ** 18n;
/** Below this partitions would be many, above it one would hold back retention for long. */
const leastSpan = 2n ** 16n;
const mostSpan = 2n ** 26n;
const dayMs = 86_400_000;

/**
 * How wide the next partition is, given the newest one that was filled. Doubles or halves towards a day's worth, so that a wrong
 * guess is one partition's mistake only.
 * @param filledInMs how long that one took; null: none was filled so far
 */
export function nextSpan(span: bigint, filledInMs: number | null): bigint {
  if (filledInMs === null) return span;
  if (filledInMs < dayMs / 2) return span * 2n > mostSpan ? mostSpan : span * 2n;
  if (filledInMs > dayMs * 2) return span / 2n < leastSpan ? leastSpan : span / 2n;
  return span;
}

/**
 * Makes the partitions that are missing and notes when the present ones were begun and filled. Safe for any number at once, and
 * cheap when there is nothing to do. Blocks nobody who reads or writes events.
 */
export async function ensurePartitions(db: Database): Promise<void> {
  await db
    .transaction()
    .setIsolationLevel("read committed")
    .execute(async (tx) => {
      await sql`/* partition.lock */ select pg_advisory_xact_lock(${singletonSpace}::integer, ${partitionLock}::integer)`.execute(tx);
      await noteSpans(tx);
      for (const kind of kinds) {
        const plan = await planKind(tx, kind);
        let { lower } = plan;
        for (let missing = plan.missing; missing > 0; missing--) {
          await createPartition(tx, kind, lower, lower + plan.span);
          lower += plan.span;
        }
      }
    });
}

/** Where the highest number of each kind is now. */
const currentOf = {
  event: sql<bigint>`(select last_value from muster.batch)`,
  position: sql<bigint>`(select position from muster.ledger)`,
} as const satisfies Record<Kind, unknown>;

async function noteSpans(db: Database): Promise<void> {
  await sql`
    /* partition.spans */
    update muster.ledger_partition p
       set first_at = coalesce(p.first_at, clock_timestamp()),
           last_at = case when c.current >= p.upper_bound then coalesce(p.last_at, clock_timestamp()) end
      from (values ('event', ${currentOf.event}), ('position', ${currentOf.position})) as c(kind, current)
     where p.kind = c.kind and c.current >= p.lower_bound
       and (p.first_at is null or (p.last_at is null and c.current >= p.upper_bound))`.execute(db);
}

async function planKind(db: Database, kind: Kind): Promise<{ lower: bigint; span: bigint; missing: number }> {
  const { rows } = await sql<{ top: bigint | null; there: bigint; span: bigint | null; filled_ms: number | null }>`
    /* partition.plan */
    select max(upper_bound) as top,
           count(*) filter (where lower_bound > ${currentOf[kind]}) as there,
           (array_agg(upper_bound - lower_bound order by lower_bound desc))[1] as span,
           (array_agg((extract(epoch from last_at - first_at) * 1000)::float8 order by lower_bound desc) filter (where last_at is not null))[1] as filled_ms
      from muster.ledger_partition where kind = ${kind}`.execute(db);
  const [row] = rows;
  const top = row?.top ?? null;
  if (row === undefined || top === null || row.span === null) return { lower: 0n, span: firstSpan, missing: partitionsAhead + 1 };
  return { lower: top, span: nextSpan(row.span, row.filled_ms), missing: Math.max(0, partitionsAhead - Number(row.there)) };
}

/** How many partitions there are beyond those that are being written, of the kind that has fewer: at zero, the next one to be filled is the last. */
export async function countPartitionsAhead(db: Database): Promise<number> {
  const { rows } = await sql<{ ahead: number }>`
    /* partition.ahead */
    select least(count(*) filter (where kind = 'event' and lower_bound > ${currentOf.event}),
                 count(*) filter (where kind = 'position' and lower_bound > ${currentOf.position}))::int as ahead
      from muster.ledger_partition`.execute(db);
  return rows[0]?.ahead ?? 0;
}

/** Not `create table … partition of`, which would lock the parent against everybody: made apart, then attached. */
async function createPartition(db: Database, kind: Kind, lower: bigint, upper: bigint): Promise<void> {
  const table = tableOf(kind, lower);
  const parent = sql.table(`muster.${kind}`);
  await sql`/* partition.create */ create table ${table} (like ${parent} including defaults including constraints)`.execute(db);
  await sql`/* partition.attach */ alter table ${parent} attach partition ${table} for values from (${sql.lit(String(lower))}) to (${sql.lit(String(upper))})`.execute(
    db,
  );
  await sql`
    /* partition.insert */
    insert into muster.ledger_partition (kind, lower_bound, upper_bound) values (${kind}, ${lower}, ${upper})`.execute(db);
}

function tableOf(kind: Kind, lower: bigint): ReturnType<typeof sql.table> {
  return sql.table(`muster.${kind}_${lower}`);
}

/** How long a lock is waited for before the rest is left to the next time, ms. */
const dropLockMs = 2_000;

/**
 * Retention: takes away what was filled before `olderThan`. First `oldest` moves, so that no reader takes what is missing for what
 * never was; then partitions are detached without blocking anybody, and dropped. What a stranger's lock holds up is left to the next call.
 * @returns how many partitions were dropped
 */
export async function dropExpired(db: Database, olderThan: Date): Promise<number> {
  return db.connection().execute(async (connection) => {
    const { rows } = await sql<{ held: boolean }>`
      /* partition.try-lock */ select pg_try_advisory_lock(${singletonSpace}::integer, ${partitionLock}::integer) as held`.execute(connection);
    if (rows[0]?.held !== true) return 0;
    try {
      await sql`/* partition.patience */ select set_config('lock_timeout', ${String(dropLockMs)}, false)`.execute(connection);
      await expire(connection, olderThan);
      return await dropMarked(connection);
    } finally {
      await sql`/* partition.unlock */
        select set_config('lock_timeout', reset_val, false), pg_advisory_unlock(${singletonSpace}::integer, ${partitionLock}::integer)
          from pg_settings where name = 'lock_timeout'`.execute(connection);
    }
  });
}

/**
 * Marks what has expired and moves `oldest` behind it, in one statement. An event partition goes when it was filled before the time and
 * every batch of it and of its forerunners has a position; a partition of positions when no cursor may lead there any more.
 */
async function expire(db: Database, olderThan: Date): Promise<void> {
  await sql`
    /* partition.expire */
    with gone as (
      select max(p.upper_bound) as batch
        from muster.ledger_partition p, muster.ledger l
       where p.kind = 'event' and p.upper_bound <= l.top_batch
         and not exists (select from muster.ledger_partition q
                          where q.kind = 'event' and q.lower_bound <= p.lower_bound and (q.last_at is null or q.last_at >= ${olderThan}))
         and not exists (select from muster.marker m where m.batch < p.upper_bound)
    ), bound as (
      select gone.batch, greatest(
               (select position from muster.position where batch < gone.batch and not late order by batch desc limit 1),
               (select max(p.position) from muster.position p, muster.ledger l where p.late and p.batch < gone.batch and p.batch >= gone.batch - l.max_lag)
             ) + 1 as oldest
        from gone where gone.batch is not null
    ), moved as (
      update muster.ledger l set oldest = greatest(l.oldest, bound.oldest) from bound where bound.oldest is not null returning l.oldest
    )
    update muster.ledger_partition p set expired = true
      from bound, moved
     where (p.kind = 'event' and p.upper_bound <= bound.batch) or (p.kind = 'position' and p.upper_bound <= moved.oldest)`.execute(db);
}

/** Each step finds what an interrupted one left: attached, half detached, or detached and not yet dropped. */
async function dropMarked(db: Database): Promise<number> {
  const { rows } = await sql<{ kind: Kind; lower_bound: bigint; pending: boolean | null }>`
    /* partition.expired */
    select p.kind, p.lower_bound, i.inhdetachpending as pending
      from muster.ledger_partition p
      left join pg_inherits i on i.inhrelid = to_regclass('muster.' || p.kind || '_' || p.lower_bound)
     where p.expired order by p.kind, p.lower_bound`.execute(db);
  let dropped = 0;
  for (const { kind, lower_bound: lower, pending } of rows) {
    try {
      if (pending !== null) {
        const how = sql.raw(pending ? "finalize" : "concurrently");
        await sql`/* partition.detach */ alter table ${sql.table(`muster.${kind}`)} detach partition ${tableOf(kind, lower)} ${how}`.execute(db);
      }
      await sql`/* partition.drop */ drop table if exists ${tableOf(kind, lower)}`.execute(db);
      await sql`/* partition.forget */ delete from muster.ledger_partition where kind = ${kind} and lower_bound = ${lower}`.execute(db);
      dropped++;
    } catch (error) {
      if (!isTimeout(error)) throw error;
      return dropped;
    }
  }
  return dropped;
}
