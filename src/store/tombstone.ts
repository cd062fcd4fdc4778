/** Tombstones: members that were forgotten because they could not be reached. What comes back under a tombstone's id is removed. */
import { sql } from "kysely";
import type { ActionId, ClusterId, HostId, NodeId, ProfileId } from "../core/ids.ts";
import { nodeStatusCodes, taskKindCodes } from "../core/node.ts";
import { supersedeNodeActions } from "./action-write.ts";
import type { Database } from "./database.ts";
import { deleteNodes, type NodeState } from "./node-write.ts";
import type { Tx } from "./transaction.ts";

/**
 * Forgets locked nodes: their rows go, a tombstone each keeps what is needed to remove what may still be out there.
 * @param actionId the action that asked for it, where one node was named
 */
export async function abandonNodes(tx: Tx, now: Date, nodes: readonly NodeState[], actionId: ActionId | null = null): Promise<void> {
  if (nodes.length === 0) return;
  const column = <T>(pick: (node: NodeState) => T): T[] => nodes.map(pick);
  await sql`
    /* tombstone.insert */
    insert into muster.tombstone (node_id, project_id, profile_id, host_id, lane, epoch, physical_id, created_at)
    select d.*, ${now}::timestamptz from unnest(
        ${column((n) => n.id)}::uuid[], ${column((n) => n.projectId)}::uuid[], ${column((n) => n.profileId)}::uuid[], ${column((n) => n.hostId)}::uuid[],
        ${column((n) => n.lane)}::int[], ${column((n) => n.epoch)}::int[], ${column((n) => n.physicalId)}::text[]) as d
    on conflict (node_id) do nothing`.execute(tx.db);
  await supersedeNodeActions(tx, now, nodes, actionId);
  await deleteNodes(tx, nodes);
}

export interface Tombstone {
  readonly nodeId: NodeId;
  readonly profileId: ProfileId;
  readonly hostId: HostId | null;
  readonly lane: number;
  readonly epoch: number;
  readonly physicalId: string | null;
}

/** Tombstones in these lanes by the members' ids, behind `after`. */
export async function listTombstones(db: Database, lanes: readonly number[], after: NodeId | null, limit: number): Promise<Tombstone[]> {
  const { rows } = await sql<{
    node_id: NodeId;
    profile_id: ProfileId;
    host_id: HostId | null;
    lane: number;
    epoch: number;
    physical_id: string | null;
  }>`
    /* tombstone.list */
    select node_id, profile_id, host_id, lane, epoch, physical_id from muster.tombstone
     where lane = any(${lanes}::int[]) and node_id > ${after ?? "00000000-0000-0000-0000-000000000000"}::uuid order by node_id limit ${limit}`.execute(
    db,
  );
  return rows.map((row) => ({
    nodeId: row.node_id,
    profileId: row.profile_id,
    hostId: row.host_id,
    lane: row.lane,
    epoch: row.epoch,
    physicalId: row.physical_id,
  }));
}

/** What was left of these is gone for certain. */
export async function removeTombstones(db: Database, ids: readonly NodeId[]): Promise<void> {
  await sql`/* tombstone.remove */ delete from muster.tombstone where node_id = any(${ids}::uuid[])`.execute(db);
}

/** Members of a cluster that is to be abandoned, and cannot be reached: unknown ones, and deletions that keep failing or that nobody can carry out. */
export async function listUnreachable(db: Database, clusterId: ClusterId, limit: number): Promise<NodeId[]> {
  const { rows } = await sql<{ id: NodeId }>`
    /* tombstone.unreachable */
    -- The orders are the indexes': without them PostgreSQL may read all members' rows for the few of one cluster.
    (select o.node_id as id from muster.notable o where o.cluster_id = ${clusterId} and o.status = ${nodeStatusCodes.UNKNOWN} order by o.node_id limit ${limit})
    union
    (select t.node_id from muster.task t
      where t.cluster_id = ${clusterId} and t.kind = ${taskKindCodes.DELETE}
        and (t.attempt >= 2 or (select l.owner from muster.lane l where l.id = t.lane) is null)
      order by t.node_id limit ${limit})`.execute(db);
  return rows.map((row) => row.id);
}
