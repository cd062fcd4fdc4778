/**
 * When to plan a cluster: one row per cluster, `infinity` at rest. Whoever changes what a plan depends on marks it, in the same
 * transaction and as its very last statement (the row is shared by all writers of a cluster). A planner takes it, in a
 * transaction of its own, *before* it reads: it waits for those who are marking, so it sees what they wrote or is due again.
 */
import { sql } from "kysely";
import type { ClusterId, ProjectId } from "../core/ids.ts";
import type { Database } from "./database.ts";
import { unforced } from "./unforced.ts";

/** Makes clusters due now. Writes the row also where it is due already: a mark that was skipped could be lost to a planner just taking it. */
export async function markDue(db: Database, clusterIds: readonly ClusterId[]): Promise<void> {
  if (clusterIds.length === 0) return;
  // Of several, by id, as whoever else locks several does.
  const ids = [...clusterIds].sort();
  const which =
    ids.length === 1
      ? sql`cluster_id = ${ids[0]}`
      : sql`cluster_id = any(array(select cluster_id from muster.cluster_due where cluster_id = any(${ids}::uuid[]) order by cluster_id for no key update))`;
  await sql`
    /* due.mark */
    update muster.cluster_due set due_at = least(due_at, clock_timestamp()) where ${which}`.execute(db);
}

export interface DueCluster {
  readonly clusterId: ClusterId;
  readonly projectId: ProjectId;
  readonly lane: number;
}

/**
 * Takes clusters that are due in these lanes, oldest first, by moving them `leaseMs` into the future: should the planner die, they
 * are due again then. The lane's owner is the only one who asks.
 */
export async function takeDue(
  db: Database,
  lanes: readonly number[],
  limit: number,
  leaseMs: number,
): Promise<(DueCluster & { leasedUntil: Date })[]> {
  const { rows } = await sql<{ cluster_id: ClusterId; project_id: ProjectId; lane: number; due_at: Date }>`
    /* due.take */
    update muster.cluster_due d
       set due_at = date_trunc('milliseconds', clock_timestamp()) + make_interval(secs => ${leaseMs}::float8 / 1000)
     where d.cluster_id = any(array(
             select c.cluster_id from unnest(${lanes}::int[]) as l(lane)
              cross join lateral (
                select cluster_id, due_at from muster.cluster_due
                 where lane = l.lane and due_at <= (select clock_timestamp()) order by due_at limit ${limit}) c
              order by c.due_at limit ${limit}))
       and d.due_at <= clock_timestamp() and ${unforced}
    returning cluster_id, project_id, lane, due_at`.execute(db);
  return rows.map((row) => ({ clusterId: row.cluster_id, projectId: row.project_id, lane: row.lane, leasedUntil: row.due_at }));
}

export interface Settled {
  readonly clusterId: ClusterId;
  readonly leasedUntil: Date;
  /** null: at rest. */
  readonly at: Date | null;
}

/** Sets when to look again, unless something has made a cluster due meanwhile. Rows are locked by id, as whoever marks many locks them. */
export async function settleDue(db: Database, settled: readonly Settled[]): Promise<void> {
  if (settled.length === 0) return;
  const ids = settled.map(({ clusterId }) => clusterId);
  await sql`
    /* due.settle */
    with locked as materialized (
      select cluster_id from muster.cluster_due where cluster_id = any(${[...ids].sort()}::uuid[]) order by cluster_id for no key update)
    update muster.cluster_due d set due_at = coalesce(s.at, 'infinity')
      from unnest(${ids}::uuid[], ${settled.map(({ leasedUntil }) => leasedUntil)}::timestamptz[], ${settled.map(({ at }) => at)}::timestamptz[]) as s(id, leased, at)
     where d.cluster_id = any(array(select cluster_id from locked)) and d.cluster_id = s.id and due_at = s.leased and ${unforced}`.execute(db);
}

/** How long until the next cluster of these lanes is due, ms; null: none is. */
export async function nextDueMs(db: Database, lanes: readonly number[]): Promise<number | null> {
  const { rows } = await sql<{ ms: number | null }>`
    /* due.next */
    select extract(epoch from min(d.due_at) - clock_timestamp()) * 1000 as ms
      from unnest(${lanes}::int[]) as l(lane)
      cross join lateral (
        select due_at from muster.cluster_due where lane = l.lane and due_at < 'infinity' order by due_at limit 1) d`.execute(db);
  const ms = rows[0]?.ms ?? null;
  return ms === null ? null : Number(ms);
}

/** Lanes have a new owner: clusters that a former planner had taken are due again. */
export async function redoLeasedClusters(db: Database, lanes: readonly number[]): Promise<void> {
  await sql`
    /* due.redo */
    update muster.cluster_due set due_at = clock_timestamp()
     where cluster_id = any(array(
             select cluster_id from muster.cluster_due
              where lane = any(${lanes}::int[]) and due_at > clock_timestamp() and due_at < 'infinity' order by cluster_id for no key update))`.execute(
    db,
  );
}
