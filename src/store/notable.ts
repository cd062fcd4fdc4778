/**
 * Members that are not plainly ACTIVE and HEALTHY, in a narrow table of their own: it answers filters for the unusual and is where
 * the planner looks for whom to heal, while the node table keeps no index on what changes (DESIGN.md §4.11).
 */
import { sql } from "kysely";
import { type HealthStatus, healthStatusCodec } from "../core/health.ts";
import type { ClusterId, NodeId, ProjectId } from "../core/ids.ts";
import { type NodeStatus, nodeStatusCodec } from "../core/node.ts";
import type { Database } from "./database.ts";

/** When the ladder may act on a node that is in ERROR, and how sure it is that the member is dead. */
export interface Remedy {
  /** null: never by itself. */
  readonly at: Date | null;
  readonly certain: boolean;
  /** Remedies tried in a row before this one. */
  readonly rung: number;
}

interface Subject {
  readonly id: NodeId;
  readonly projectId: ProjectId;
  readonly clusterId: ClusterId | null;
  readonly status: NodeStatus;
  readonly health: HealthStatus;
}

/** PLANNED, CREATING and DELETING nodes are found by their tasks. */
export function isNotable(status: NodeStatus, health: HealthStatus): boolean {
  if (status === "PLANNED" || status === "CREATING" || status === "DELETING") return false;
  return status !== "ACTIVE" || health !== "HEALTHY";
}

/** Brings the table in line with what nodes became. */
export async function rememberNotable(
  db: Database,
  now: Date,
  changes: readonly { readonly node: Subject; readonly patch: { readonly status?: NodeStatus; readonly health?: HealthStatus; readonly remedy?: Remedy } }[],
): Promise<void> {
  const usual: NodeId[] = [];
  const unusual: (Subject & { remedy: Remedy | null })[] = [];
  for (const { node, patch } of changes) {
    const status = patch.status ?? node.status;
    const health = patch.health ?? node.health;
    if (isNotable(status, health)) unusual.push({ ...node, status, health, remedy: patch.remedy ?? null });
    else if (isNotable(node.status, node.health)) usual.push(node.id);
  }
  await forgetNotable(db, usual);
  if (unusual.length === 0) return;
  const column = <T>(pick: (row: Subject & { remedy: Remedy | null }) => T): T[] => unusual.map(pick);
  await sql`
    /* notable.save */
    insert into muster.notable as n (node_id, project_id, cluster_id, status, health, rung, remedy_at, certain, since)
    select d.id, d.project_id, d.cluster_id, d.status, d.health, coalesce(d.rung, 0), d.remedy_at, coalesce(d.certain, true), ${now}::timestamptz
      from unnest(
        ${column((r) => r.id)}::uuid[], ${column((r) => r.projectId)}::uuid[], ${column((r) => r.clusterId)}::uuid[],
        ${column((r) => nodeStatusCodec.code(r.status))}::smallint[], ${column((r) => healthStatusCodec.code(r.health))}::smallint[],
        ${column((r) => r.remedy?.rung ?? null)}::smallint[], ${column((r) => r.remedy?.at ?? null)}::timestamptz[],
        ${column((r) => r.remedy?.certain ?? null)}::boolean[]
      ) as d(id, project_id, cluster_id, status, health, rung, remedy_at, certain)
    on conflict (node_id) do update
       set status = excluded.status, health = excluded.health, remedy_at = excluded.remedy_at,
           -- Without word of a remedy the rung stays: a recovery that is under way has not yet succeeded.
           rung = case when excluded.remedy_at is null and excluded.rung = 0 then n.rung else excluded.rung end,
           certain = excluded.certain,
           since = case when n.status = excluded.status and n.health = excluded.health then n.since else excluded.since end`.execute(db);
}

export async function forgetNotable(db: Database, ids: readonly NodeId[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`/* notable.forget */ delete from muster.notable where node_id = any(${ids}::uuid[])`.execute(db);
}

export interface Patient {
  readonly nodeId: NodeId;
  readonly rung: number;
  readonly certain: boolean;
}

/** Members of a cluster whose remedy is due, worst-off first, at most `limit`. */
export async function listPatients(db: Database, clusterId: ClusterId, now: Date, limit: number): Promise<Patient[]> {
  const { rows } = await sql<{ node_id: NodeId; rung: number; certain: boolean }>`
    /* notable.patients */
    select node_id, rung, certain from muster.notable
     where cluster_id = ${clusterId} and status = ${nodeStatusCodec.code("ERROR")} and remedy_at <= ${now}::timestamptz
     order by certain desc, node_id limit ${limit}`.execute(db);
  return rows.map((row) => ({ nodeId: row.node_id, rung: row.rung, certain: row.certain }));
}

/** Whose remedies a cluster waits for: how many by certainty, and when the next is due. */
export async function summarizePatients(
  db: Database,
  clusterId: ClusterId,
  now: Date,
): Promise<{ readonly waiting: number; readonly doubtful: number; readonly nextAt: Date | null }> {
  const { rows } = await sql<{ waiting: bigint; doubtful: bigint; next_at: Date | null }>`
    /* notable.summary */
    select count(*) filter (where remedy_at <= ${now}::timestamptz) as waiting,
           count(*) filter (where not certain) as doubtful,
           min(remedy_at) filter (where remedy_at > ${now}::timestamptz) as next_at
      from (select remedy_at, certain from muster.notable
             where cluster_id = ${clusterId} and status = ${nodeStatusCodec.code("ERROR")} and remedy_at is not null limit 10000) p`.execute(db);
  const row = rows[0];
  return { waiting: Number(row?.waiting ?? 0), doubtful: Number(row?.doubtful ?? 0), nextAt: row?.next_at ?? null };
}
