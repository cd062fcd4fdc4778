/** Member counts and running totals: increments in a row of this writer's own, written last before the ledger. */
import { sql } from "kysely";
import type { ClusterId } from "../core/ids.ts";
import type { NodeStatus } from "../core/node.ts";
import type { Database } from "./database.ts";

export const countFields = [
  "planned",
  "creating",
  "active",
  "updating",
  "recovering",
  "suspended",
  "warning",
  "error",
  "unknown",
  "deleting",
  "healthy",
  "unhealthy",
  "created_total",
  "deleted_total",
  "recovered_total",
  "checked_total",
  "failed_total",
  "replacing",
  "updated_total",
  "update_failed_total",
] as const;
export type CountField = (typeof countFields)[number];

export const statusField = {
  PLANNED: "planned",
  CREATING: "creating",
  ACTIVE: "active",
  UPDATING: "updating",
  RECOVERING: "recovering",
  SUSPENDED: "suspended",
  WARNING: "warning",
  ERROR: "error",
  UNKNOWN: "unknown",
  DELETING: "deleting",
} as const satisfies Record<NodeStatus, CountField>;

/** A worker's loops write beside each other: one row for all of them would have each wait for the others' commits. */
export const countDesks = ["planner", "executor", "outbox", "maintenance"] as const;
export type CountDesk = (typeof countDesks)[number];

/** Workers at most: a writer's number is a smallint. */
export const mostWorkers = 8_000;

/** Whose row a loop of a worker writes; 0 while it has no number. */
export function countWriter(workerNumber: number, desk: CountDesk): number {
  return workerNumber === 0 ? 0 : workerNumber * countDesks.length + countDesks.indexOf(desk);
}

export type CountDeltas = Map<ClusterId, Partial<Record<CountField, number>>>;

export function addCount(deltas: CountDeltas, clusterId: ClusterId, field: CountField, delta: number): void {
  const row = deltas.get(clusterId) ?? {};
  row[field] = (row[field] ?? 0) + delta;
  deltas.set(clusterId, row);
}

/** Adds the deltas to this writer's rows, in id order. */
export async function writeCounts(db: Database, writer: number, deltas: CountDeltas): Promise<void> {
  const rows = [...deltas].filter(([, row]) => Object.values(row).some((n) => n !== 0)).sort(([a], [b]) => (a < b ? -1 : 1));
  if (rows.length === 0) return;
  const columns = countFields.filter((field) => rows.some(([, row]) => (row[field] ?? 0) !== 0));
  const names = sql.join(columns.map((field) => sql.ref(field)));
  const arrays = sql.join(columns.map((field) => sql`${rows.map(([, row]) => row[field] ?? 0)}::bigint[]`));
  const sums = sql.join(columns.map((field) => sql`${sql.ref(field)} = c.${sql.ref(field)} + excluded.${sql.ref(field)}`));
  await sql`
    /* count.add */
    insert into muster.cluster_count as c (cluster_id, writer, ${names})
    select d.cluster_id, ${writer}, ${sql.join(columns.map((field) => sql`d.${sql.ref(field)}`))}
      from unnest(${rows.map(([id]) => id)}::uuid[], ${arrays}) as d(cluster_id, ${names})
    on conflict (cluster_id, writer) do update set ${sums}`.execute(db);
}

export type Counts = Readonly<Record<CountField, number>>;

/** The counts of clusters, summed over writers. A cluster without rows has zeroes. */
export async function readCounts(db: Database, clusterIds: readonly ClusterId[]): Promise<Map<ClusterId, Counts>> {
  const sums = sql.join(countFields.map((field) => sql`coalesce(sum(${sql.ref(field)}), 0)::float8 as ${sql.ref(field)}`));
  const { rows } = await sql<Counts & { cluster_id: ClusterId }>`
    /* count.read */
    select cluster_id, ${sums} from muster.cluster_count where cluster_id = any(${clusterIds}::uuid[]) group by cluster_id`.execute(db);
  const found = new Map<ClusterId, Counts>(rows.map((row) => [row.cluster_id, row]));
  return new Map(clusterIds.map((id) => [id, found.get(id) ?? noCounts]));
}

export const noCounts: Counts = {
  planned: 0,
  creating: 0,
  active: 0,
  updating: 0,
  recovering: 0,
  suspended: 0,
  warning: 0,
  error: 0,
  unknown: 0,
  deleting: 0,
  healthy: 0,
  unhealthy: 0,
  created_total: 0,
  deleted_total: 0,
  recovered_total: 0,
  checked_total: 0,
  failed_total: 0,
  replacing: 0,
  updated_total: 0,
  update_failed_total: 0,
};
