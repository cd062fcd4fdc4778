/**
 * Members that are not plainly ACTIVE and HEALTHY, in a narrow table of their own: it answers filters for the unusual and is where
 * the planner looks for whom to heal, while the node table keeps no index on what changes.
 */
import { sql } from "kysely";
import { type HealthStatus, healthStatusCodec } from "../core/health.ts";
import type { ClusterId, NodeId, ProjectId } from "../core/ids.ts";
import { type NodeStatus, nodeStatusCodec } from "../core/node.ts";
import type { Database } from "./database.ts";

/** When the ladder may act on a node that is in ERROR, and how sure it is that the member is dead. */
export interface Remedy {
  readonly at: Date;
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
  changes: readonly {
    readonly node: Subject;
    readonly patch: { readonly status?: NodeStatus; readonly health?: HealthStatus; readonly remedy?: Remedy };
  }[],
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
       set status = excluded.status, health = excluded.health,
           -- Without word of a remedy the one that is waited for stays while the member does, and its rung also longer: a recovery
           -- that is under way has not yet succeeded.
           remedy_at = coalesce(excluded.remedy_at, case when n.status = excluded.status then n.remedy_at end),
           rung = case when excluded.remedy_at is null then n.rung else excluded.rung end,
           certain = case when excluded.remedy_at is null then n.certain else excluded.certain end,
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
  /** Never replaced by itself. */
  readonly protected: boolean;
}

/** Members of a cluster whose remedy is due, worst-off first, at most `limit`. */
export async function listPatients(db: Database, clusterId: ClusterId, now: Date, limit: number): Promise<Patient[]> {
  const { rows } = await sql<{ node_id: NodeId; rung: number; certain: boolean; protected: boolean }>`
    /* notable.patients */
    select p.node_id, p.rung, p.certain, n.protected
      from (select node_id, rung, certain from muster.notable
             where cluster_id = ${clusterId} and status = ${nodeStatusCodec.code("ERROR")} and remedy_at <= ${now}::timestamptz
             order by certain desc, node_id limit ${limit}) p
      join muster.node n on n.id = p.node_id`.execute(db);
  return rows.map((row) => ({ nodeId: row.node_id, rung: row.rung, certain: row.certain, protected: row.protected }));
}

/** Whose remedies a cluster waits for: how many by certainty, and when the next is due. */
export async function summarizePatients(
  db: Database,
  clusterId: ClusterId,
  now: Date,
): Promise<{ readonly waiting: number; readonly certain: number; readonly doubtful: number; readonly nextAt: Date | null }> {
  const { rows } = await sql<{ waiting: bigint; certain: bigint; doubtful: bigint; next_at: Date | null }>`
    /* notable.summary */
    select count(*) filter (where sick and remedy_at <= ${now}::timestamptz) as waiting,
           count(*) filter (where sick and remedy_at <= ${now}::timestamptz and certain) as certain,
           -- Also those that are being restarted on a probe's word, or have been and did not yet prove well: the same probe may be wrong again.
           count(*) filter (where not certain) as doubtful,
           min(remedy_at) filter (where sick and remedy_at > ${now}::timestamptz) as next_at
      from (select status = ${nodeStatusCodec.code("ERROR")} as sick, remedy_at, certain from muster.notable
             where cluster_id = ${clusterId} and (status = ${nodeStatusCodec.code("ERROR")} or not certain) order by node_id limit 10000) p`.execute(
    db,
  );
  const row = rows[0];
  return {
    waiting: Number(row?.waiting ?? 0),
    certain: Number(row?.certain ?? 0),
    doubtful: Number(row?.doubtful ?? 0),
    nextAt: row?.next_at ?? null,
  };
}
