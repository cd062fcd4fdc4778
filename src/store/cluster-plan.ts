/** What the planner reads of a cluster and writes about it; all by keys, all aggregates, never a list of members. */
import { sql } from "kysely";
import { type ClusterStatus, type Condition, clusterStatusCodec } from "../core/cluster.ts";
import type { ClusterId, NodeId, ProfileId, ProjectId } from "../core/ids.ts";
import { nodeStatusCodec, taskKindCodes } from "../core/node.ts";
import { type Brake, restedBrake } from "../core/plan/brake.ts";
import type { Database } from "./database.ts";
import type { Tx } from "./transaction.ts";
import { unforced } from "./unforced.ts";

export interface PlannedCluster {
  /** When it was read, by PostgreSQL's clock. */
  readonly readAt: Date;
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
  /** Of the next member. Whoever names one takes it. */
  readonly nextIndex: number;
  readonly status: ClusterStatus;
  readonly statusReason: string | null;
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly brake: Brake;
}

interface Row {
  read_at: Date;
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
  next_index: number;
  status: number;
  status_reason: string | null;
  observed_generation: number;
  conditions: readonly Condition[];
  brake: Partial<Brake>;
}

/** A cluster with its observed state, or null when it is gone. */
export async function readPlannedCluster(db: Database, id: ClusterId): Promise<PlannedCluster | null> {
  return (await readPlannedClusters(db, [id])).get(id) ?? null;
}

/** Clusters with their observed states. Those that are gone are left out. */
export async function readPlannedClusters(db: Database, ids: readonly ClusterId[]): Promise<Map<ClusterId, PlannedCluster>> {
  const { rows } = await sql<Row>`
    /* plan.cluster */
    select date_trunc('milliseconds', clock_timestamp()) as read_at, c.id, c.project_id, c.name, c.profile_id, c.profile_changed_at, c.desired_capacity, c.min_size, c.max_size, c.generation, c.deleting, c.abandon, c.node_name_format,
           s.next_index, s.status, s.status_reason, s.observed_generation, s.conditions, s.brake
      from muster.cluster c
      -- The limit changes nothing but the plan: each state is looked up, the table is never read whole.
     cross join lateral (select * from muster.cluster_state where cluster_id = c.id limit 1) s
     where c.id = any(${ids}::uuid[])`.execute(db);
  return new Map(rows.map((row) => [row.id, toPlanned(row)]));
}

function toPlanned(row: Row): PlannedCluster {
  return {
    readAt: row.read_at,
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
    nextIndex: row.next_index,
    status: clusterStatusCodec.name(row.status),
    statusReason: row.status_reason,
    observedGeneration: row.observed_generation,
    conditions: row.conditions,
    brake: { ...restedBrake, ...row.brake },
  };
}

/** What is wanted of a cluster. */
export interface WantedSize {
  readonly size: number;
  /** When this was read, by PostgreSQL's clock. */
  readonly readAt: Date;
}

/**
 * What is wanted now; null: not this cluster any more, but another profile, other names, its deletion, or none of these where the plan was for one.
 * @param cluster as the plan had it. Being deleted: nobody may take that back, or wish it anew, until this window has done its part
 */
export async function readWantedSize(db: Database, cluster: PlannedCluster): Promise<WantedSize | null> {
  return (await readWantedSizes(db, [cluster], cluster.deleting)).get(cluster.id) ?? null;
}

/** The same of many clusters, none of them being deleted. Those that are null are left out. */
export async function readWantedSizes(db: Database, clusters: readonly PlannedCluster[], held = false): Promise<Map<ClusterId, WantedSize>> {
  const column = <T>(pick: (cluster: PlannedCluster) => T): T[] => clusters.map(pick);
  const ids = column((c) => c.id);
  const { rows } = await sql<{ id: ClusterId; desired_capacity: number; read_at: Date }>`
    /* plan.wanted */
    select c.id, c.desired_capacity, date_trunc('milliseconds', clock_timestamp()) as read_at from muster.cluster c
      join unnest(${ids}::uuid[], ${column((d) => d.generation)}::int[], ${column((d) => d.deleting)}::boolean[], ${column((d) => d.abandon)}::boolean[],
                  ${column((d) => d.profileId)}::uuid[], ${column((d) => d.name)}::text[], ${column((d) => d.nodeNameFormat)}::text[])
        as d(id, generation, deleting, abandon, profile_id, name, format)
        on c.id = d.id and c.deleting = d.deleting and c.abandon = d.abandon and c.profile_id = d.profile_id and c.name = d.name and c.node_name_format = d.format
     where c.id = any(${ids}::uuid[]) ${held ? sql`and c.generation = d.generation for update of c` : sql``}`.execute(db);
  return new Map(rows.map((row) => [row.id, { size: row.desired_capacity, readAt: row.read_at }]));
}

/** Takes the next `count` indexes of a cluster: the first of them. They are never used again, whatever becomes of the members. */
export async function takeIndexes(db: Database, id: ClusterId, count: number): Promise<number> {
  const first = (await takeIndexesOf(db, new Map([[id, count]]))).get(id);
  if (first === undefined) throw new Error("the cluster has no state");
  return first;
}

/** Takes so many indexes of each cluster: the first of each. Those that are gone are left out. */
export async function takeIndexesOf(db: Database, counts: ReadonlyMap<ClusterId, number>): Promise<Map<ClusterId, number>> {
  const ids = [...counts.keys()];
  const { rows } = await sql<{ cluster_id: ClusterId; first: number }>`
    /* plan.indexes */
    update muster.cluster_state s set next_index = next_index + d.count
      from unnest(${ids}::uuid[], ${[...counts.values()]}::int[]) as d(id, count)
     where s.cluster_id = d.id and s.cluster_id = any(${ids}::uuid[]) and ${unforced}
    returning s.cluster_id, next_index - d.count as first`.execute(db);
  return new Map(rows.map((row) => [row.cluster_id, row.first]));
}

export interface ObservedState {
  readonly status: ClusterStatus;
  readonly statusReason: string | null;
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly brake: Brake;
}

/** The cluster is not what the plan began from (its deletion was accepted meanwhile, or it was filled): the plan is void, with all its window. */
export class StalePlan extends Error {
  override readonly name = "StalePlan";
}

/** What the planner found of a cluster. */
export interface FoundCluster {
  readonly id: ClusterId;
  /** As it began from. */
  readonly former: ClusterStatus;
  readonly state: ObservedState;
  /** With a higher index to be taken next, others have named so many members that there is no room for the plan's; null: there always is. */
  readonly highestNextIndex: number | null;
}

/**
 * Writes what the planner found of clusters: until the COMMIT whoever names a member waits for its index, and then counts what is there.
 * @throws StalePlan where one of them is not as it began from
 */
export async function saveObserved(db: Database, now: Date, found: readonly FoundCluster[]): Promise<void> {
  const ids = found.map(({ id }) => id);
  const states = found.map(({ state }) => state);
  const { numAffectedRows } = await sql`
    /* plan.save */
    update muster.cluster_state s
       set status = d.status, status_reason = d.reason, observed_generation = d.generation, conditions = d.conditions, brake = d.brake, updated_at = ${now}::timestamptz
      from unnest(
        ${ids}::uuid[], ${found.map(({ former }) => clusterStatusCodec.code(former))}::smallint[], ${states.map((each) => clusterStatusCodec.code(each.status))}::smallint[],
        ${states.map((each) => each.statusReason)}::text[], ${states.map((each) => each.observedGeneration)}::int[],
        ${states.map((each) => JSON.stringify(each.conditions))}::jsonb[], ${states.map((each) => JSON.stringify(each.brake))}::jsonb[],
        ${found.map(({ highestNextIndex }) => highestNextIndex)}::int[]
      ) as d(id, former, status, reason, generation, conditions, brake, highest)
     where s.cluster_id = d.id and s.status = d.former and s.next_index <= coalesce(d.highest, s.next_index) and s.cluster_id = any(${ids}::uuid[])`.execute(
    db,
  );
  if (numAffectedRows !== BigInt(found.length)) throw new StalePlan(`of ${found.length} clusters, ${numAffectedRows} are as the plan began from`);
}

/** Removes a cluster that is being deleted, and whose last member is gone. */
export async function deleteClusterRows(tx: Tx, { id, projectId }: Pick<PlannedCluster, "id" | "projectId">): Promise<void> {
  await sql`
    /* plan.forget */
    with cluster as (delete from muster.cluster where id = ${id}),
         state as (delete from muster.cluster_state where cluster_id = ${id}),
         due as (delete from muster.cluster_due where cluster_id = ${id})
    delete from muster.cluster_count where cluster_id = ${id}`.execute(tx.db);
  tx.countUse(projectId, "clusters", -1);
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
