/**
 * What commands write about a cluster: its wanted columns, under the lock of its row. What the planner observes is the planner's,
 * but for the status of a cluster that is wanted gone, which shows at once.
 */
import { sql } from "kysely";
import { type ClusterStatus, clusterStatusCodec } from "../core/cluster.ts";
import type { ActionId, ClusterId, ProfileId, ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { laneOf } from "../core/lane.ts";
import { type ClusterRow, clusterColumns, type StoredCluster, toCluster } from "./cluster.ts";
import type { Database } from "./database.ts";
import type { Tx } from "./transaction.ts";

export type ClusterKey = { readonly id: ClusterId } | { readonly name: string };

/** Locks a cluster's row against other commands (workers pass: nothing refers to it by a foreign key) and reads it. */
export async function lockCluster(db: Database, projectId: ProjectId, key: ClusterKey): Promise<ClusterRow | null> {
  const found = "id" in key ? sql`c.id = ${key.id}` : sql`c.name = ${key.name}`;
  const { rows } = await sql<StoredCluster>`
    /* cluster.lock */
    select ${clusterColumns} from muster.cluster c join muster.cluster_state s on s.cluster_id = c.id
     where c.project_id = ${projectId} and ${found} for no key update of c`.execute(db);
  const [row] = rows;
  return row === undefined ? null : toCluster(row);
}

export interface NewCluster {
  readonly id: ClusterId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly profileId: ProfileId;
  readonly desiredCapacity: number;
  readonly minSize: number;
  readonly maxSize: number | null;
  readonly nodeNameFormat: string;
  readonly timeoutSeconds: number;
  readonly metadata: JsonObject;
  readonly actionId: ActionId;
  readonly now: Date;
}

/** A new cluster at generation 1, INIT, due from the commit on: nobody can take it before, so it needs no mark. The caller wakes whoever plans it. */
export async function insertCluster(tx: Tx, cluster: NewCluster): Promise<void> {
  await sql`
    /* cluster.insert */
    with made as (
      insert into muster.cluster (id, project_id, name, profile_id, desired_capacity, min_size, max_size, generation, node_name_format, timeout_seconds,
                                  metadata, size_action_id, created_at, updated_at)
      values (${cluster.id}, ${cluster.projectId}, ${cluster.name}, ${cluster.profileId}, ${cluster.desiredCapacity}, ${cluster.minSize}, ${cluster.maxSize}, 1,
              ${cluster.nodeNameFormat}, ${cluster.timeoutSeconds}, ${JSON.stringify(cluster.metadata)}::jsonb, ${cluster.actionId},
              ${cluster.now}::timestamptz, ${cluster.now}::timestamptz)
      returning id, project_id),
    due as (
      insert into muster.cluster_due (cluster_id, project_id, lane, due_at)
      select id, project_id, ${laneOf(cluster.id)}, clock_timestamp() from made)
    insert into muster.cluster_state (cluster_id, project_id, status, updated_at)
    select id, project_id, ${clusterStatusCodec.code("INIT")}, ${cluster.now}::timestamptz from made`.execute(tx.db);
  tx.countUse(cluster.projectId, "clusters", 1);
  tx.countUse(cluster.projectId, "wanted", cluster.desiredCapacity);
}

/** Wanted columns as they become; what is absent stays. */
export interface WantedPatch {
  readonly name?: string;
  readonly metadata?: JsonObject;
  readonly timeoutSeconds?: number;
  readonly desiredCapacity?: number;
  readonly minSize?: number;
  readonly maxSize?: number | null;
  readonly generation?: number;
  readonly deleting?: boolean;
  readonly abandon?: boolean;
  readonly sizeActionId?: ActionId;
  readonly existenceActionId?: ActionId | null;
  readonly profileId?: ProfileId;
  readonly profileActionId?: ActionId;
  readonly formerProfileId?: ProfileId | null;
  readonly profileChangedAt?: Date;
}

/** Saves a locked cluster's wanted columns. */
export async function saveWanted(tx: Tx, now: Date, cluster: ClusterRow, patch: WantedPatch): Promise<void> {
  const next = { ...cluster, ...patch };
  await sql`
    /* cluster.save */
    update muster.cluster
       set name = ${next.name}, metadata = ${JSON.stringify(next.metadata)}::jsonb, timeout_seconds = ${next.timeoutSeconds},
           desired_capacity = ${next.desiredCapacity}, min_size = ${next.minSize}, max_size = ${next.maxSize}, generation = ${next.generation},
           deleting = ${next.deleting}, abandon = ${next.abandon}, size_action_id = ${next.sizeActionId}, existence_action_id = ${next.existenceActionId},
           profile_id = ${next.profileId}, profile_action_id = ${next.profileActionId}, former_profile_id = ${next.formerProfileId},
           profile_changed_at = ${next.profileChangedAt}::timestamptz, updated_at = ${now}::timestamptz
     where id = ${cluster.id}`.execute(tx.db);
  tx.countUse(cluster.projectId, "wanted", wantedBy(next) - wantedBy(cluster));
}

/** Members that count against the project's quota: who is being deleted wants none any more. */
function wantedBy({ deleting, desiredCapacity }: Pick<ClusterRow, "deleting" | "desiredCapacity">): number {
  return deleting ? 0 : desiredCapacity;
}

/** Sets the status that shows, where a command and not the planner decides it. Returns what it was. */
export async function setClusterStatus(db: Database, now: Date, id: ClusterId, status: ClusterStatus, reason: string | null): Promise<ClusterStatus> {
  const { rows } = await sql<{ former: number }>`
    /* cluster.set_status */
    with former as materialized (select cluster_id, status from muster.cluster_state where cluster_id = ${id} for no key update)
    update muster.cluster_state s set status = ${clusterStatusCodec.code(status)}, status_reason = ${reason}, updated_at = ${now}::timestamptz
      from former where s.cluster_id = former.cluster_id returning former.status as former`.execute(db);
  const former = rows[0]?.former;
  return former === undefined ? status : clusterStatusCodec.name(former);
}

/** The cluster that holds a name. */
export async function findClusterIdByName(db: Database, projectId: ProjectId, name: string): Promise<ClusterId | null> {
  const { rows } = await sql<{ id: ClusterId }>`
    /* cluster.name_holder */
    select id from muster.cluster where project_id = ${projectId} and name = ${name}`.execute(db);
  return rows[0]?.id ?? null;
}
