/** What the planner reads of a cluster and writes about it; all by keys, all aggregates, never a list of members. */
import { sql } from "kysely";
import { type ClusterStatus, type Condition, clusterStatusCodec } from "../core/cluster.ts";
import type { ClusterId, NodeId, ProfileId, ProjectId } from "../core/ids.ts";
import { nodeStatusCodec, taskKindCodes } from "../core/node.ts";
import { type Brake, restedBrake } from "../core/plan/brake.ts";
import type { Database } from "./database.ts";

export interface PlannedCluster {
  readonly id: ClusterId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly profileId: ProfileId;
  /** null: it never changed, so nobody is of another one. */
  readonly profileChangedAt: Date | null;
  readonly desiredCapacity: number;
  readonly minSize: number;
  readonly maxSize: number | null;
  readonly generation: number;
  readonly deleting: boolean;
  readonly abandon: boolean;
  readonly nodeNameFormat: string;
  readonly status: ClusterStatus;
  readonly statusReason: string | null;
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly brake: Brake;
}

interface Row {
  id: ClusterId;
  project_id: ProjectId;
  name: string;
  profile_id: ProfileId;
  profile_changed_at: Date | null;
  desired_capacity: number;
  min_size: number;
  max_size: number | null;
  generation: number;
  deleting: boolean;
  abandon: boolean;
  node_name_format: string;
  status: number;
  status_reason: string | null;
  observed_generation: number;
  conditions: readonly Condition[];
  brake: Partial<Brake>;
}

/** A cluster with its observed state, or null when it is gone. */
export async function readPlannedCluster(db: Database, id: ClusterId): Promise<PlannedCluster | null> {
  const { rows } = await sql<Row>`
    /* plan.cluster */
    select c.id, c.project_id, c.name, c.profile_id, c.profile_changed_at, c.desired_capacity, c.min_size, c.max_size, c.generation, c.deleting, c.abandon, c.node_name_format,
           s.status, s.status_reason, s.observed_generation, s.conditions, s.brake
      from muster.cluster c join muster.cluster_state s on s.cluster_id = c.id
     where c.id = ${id}`.execute(db);
  const [row] = rows;
  if (row === undefined) return null;
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    profileId: row.profile_id,
    profileChangedAt: row.profile_changed_at,
    desiredCapacity: row.desired_capacity,
    minSize: row.min_size,
    maxSize: row.max_size,
    generation: row.generation,
    deleting: row.deleting,
    abandon: row.abandon,
    nodeNameFormat: row.node_name_format,
    status: clusterStatusCodec.name(row.status),
    statusReason: row.status_reason,
    observedGeneration: row.observed_generation,
    conditions: row.conditions,
    brake: { ...restedBrake, ...row.brake },
  };
}

/**
 * What is wanted now; null: not this cluster any more, but another profile, other names, its deletion, or none of these where the plan was for one.
 * @param cluster as the plan had it. Being deleted: nobody may take that back, or wish it anew, until this window has done its part
 */
export async function readWantedSize(db: Database, cluster: PlannedCluster): Promise<number | null> {
  const { rows } = await sql<{ desired_capacity: number }>`
    /* plan.wanted */
    select desired_capacity from muster.cluster
     where id = ${cluster.id} and deleting = ${cluster.deleting} and abandon = ${cluster.abandon} and profile_id = ${cluster.profileId}
       and name = ${cluster.name} and node_name_format = ${cluster.nodeNameFormat}
       ${cluster.deleting ? sql`and generation = ${cluster.generation} for update` : sql``}`.execute(db);
  return rows[0]?.desired_capacity ?? null;
}

/** Takes the next `count` indexes of a cluster: the first of them. They are never used again, whatever becomes of the members. */
export async function takeIndexes(db: Database, id: ClusterId, count: number): Promise<number> {
  const { rows } = await sql<{ first: number }>`
    /* plan.indexes */
    update muster.cluster_state set next_index = next_index + ${count} where cluster_id = ${id} returning next_index - ${count} as first`.execute(db);
  const first = rows[0]?.first;
  if (first === undefined) throw new Error("the cluster has no state");
  return first;
}

export interface ObservedState {
  readonly status: ClusterStatus;
  readonly statusReason: string | null;
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly brake: Brake;
}

/** The cluster's status is not what the plan began from (a deletion was accepted meanwhile): the plan is void, with all its window. */
export class StalePlan extends Error {
  override readonly name = "StalePlan";
}

/** Writes what the planner found. @throws StalePlan */
export async function saveObserved(db: Database, now: Date, id: ClusterId, former: ClusterStatus, state: ObservedState): Promise<void> {
  const { numAffectedRows } = await sql`
    /* plan.save */
    update muster.cluster_state
       set status = ${clusterStatusCodec.code(state.status)}, status_reason = ${state.statusReason}, observed_generation = ${state.observedGeneration},
           conditions = ${JSON.stringify(state.conditions)}::jsonb, brake = ${JSON.stringify(state.brake)}::jsonb, updated_at = ${now}::timestamptz
     where cluster_id = ${id} and status = ${clusterStatusCodec.code(former)}`.execute(db);
  if (numAffectedRows !== 1n) throw new StalePlan(`cluster ${id} is no longer ${former}`);
}

/** Removes a cluster whose last member is gone. */
export async function deleteClusterRows(db: Database, id: ClusterId): Promise<void> {
  await sql`
    /* plan.forget */
    with cluster as (delete from muster.cluster where id = ${id}),
         state as (delete from muster.cluster_state where cluster_id = ${id}),
         due as (delete from muster.cluster_due where cluster_id = ${id})
    delete from muster.cluster_count where cluster_id = ${id}`.execute(db);
}

/** Steps of a cluster's jobs that are laid and not over: checks that a job asked for, and recoveries. Counted up to 10,000. */
export async function countJobs(db: Database, id: ClusterId): Promise<{ readonly check: number; readonly recover: number }> {
  const { rows } = await sql<{ check: bigint; recover: bigint }>`
    /* plan.jobs */
    select count(*) filter (where kind = ${taskKindCodes.CHECK}) as "check", count(*) filter (where kind = ${taskKindCodes.RECOVER}) as recover
      from (select kind from muster.task
             where cluster_id = ${id} and kind = any(${[taskKindCodes.CHECK, taskKindCodes.RECOVER]}::smallint[]) and params is not null limit 10000) t`.execute(
    db,
  );
  const [row] = rows;
  return { check: Number(row?.check ?? 0), recover: Number(row?.recover ?? 0) };
}

/**
 * Whom to take away: never the protected, first what was not begun, then the marked (tainted), then the sick, then the youngest. Each
 * source is an index scan of its own and bounded; a member that two of them name counts once.
 */
export async function selectVictims(db: Database, id: ClusterId, count: number, protect: boolean): Promise<NodeId[]> {
  const deleting = nodeStatusCodec.code("DELETING");
  const spare = sql`not (n.protected and ${protect})`;
  const { rows } = await sql<{ id: NodeId }>`
    /* plan.victims */
    select id from (
      select distinct on (id) id, rank, place from (
        (select t.node_id as id, 1 as rank, n.index as place from muster.task t join muster.node n on n.id = t.node_id
          where t.cluster_id = ${id} and t.kind = ${taskKindCodes.CREATE} and n.status = ${nodeStatusCodec.code("PLANNED")} and ${spare}
          order by t.node_id desc limit ${count})
        union all
        (select n.id, 2, n.index from muster.node n where n.cluster_id = ${id} and n.tainted and n.status <> ${deleting} and ${spare} order by n.id desc limit ${count})
        union all
        (select o.node_id, 3, n.index from muster.notable o join muster.node n on n.id = o.node_id
          where o.cluster_id = ${id} and n.status <> ${deleting} and ${spare} order by o.node_id desc limit ${count})
        union all
        (select n.id, 4, n.index from muster.node n where n.cluster_id = ${id} and n.status <> ${deleting} and ${spare} order by n.index desc limit ${count})
      ) candidate order by id, rank
    ) chosen order by rank, place desc limit ${count}`.execute(db);
  return rows.map((row) => row.id);
}
