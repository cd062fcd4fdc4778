/** How far a job has been spread over a cluster's members: a keyset position in the action's outputs. */
import { sql } from "kysely";
import type { ActionId, ClusterId, HostId, NodeId, ProfileId, ProjectId } from "../core/ids.ts";
import { type NodeStatus, nodeStatusCodec } from "../core/node.ts";
import type { Database } from "./database.ts";

export interface JobCursor {
  /** The last member reached; null: none yet. */
  readonly after: NodeId | null;
  readonly done: boolean;
}

export async function readJobCursors(db: Database, ids: readonly ActionId[]): Promise<Map<ActionId, JobCursor>> {
  if (ids.length === 0) return new Map();
  const { rows } = await sql<{ id: ActionId; after: NodeId | null; done: boolean | null }>`
    /* job.cursor */
    select id, outputs #>> '{spread,after}' as after, (outputs #>> '{spread,done}')::boolean as done from muster.action where id = any(${ids}::uuid[])`.execute(
    db,
  );
  return new Map(rows.map((row) => [row.id, { after: row.after, done: row.done ?? false }]));
}

export async function saveJobCursor(db: Database, id: ActionId, cursor: JobCursor): Promise<void> {
  await sql`
    /* job.spread */
    update muster.action set outputs = coalesce(outputs, '{}') || jsonb_build_object('spread', ${JSON.stringify(cursor)}::jsonb) where id = ${id}`.execute(
    db,
  );
}

/** As `saveJobCursor`, unless the job is over or stands elsewhere by now. Returns whether it moved. */
export async function moveJobCursor(db: Database, id: ActionId, from: NodeId | null, to: JobCursor): Promise<boolean> {
  const { numAffectedRows } = await sql`
    /* job.move */
    update muster.action set outputs = coalesce(outputs, '{}') || jsonb_build_object('spread', ${JSON.stringify(to)}::jsonb)
     where id = ${id} and finished_at is null and outputs #>> '{spread,after}' is not distinct from ${from}`.execute(db);
  return numAffectedRows === 1n;
}

/** A member as its driver is told of it. */
export interface JobMember {
  readonly id: NodeId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly index: number | null;
  readonly profileId: ProfileId;
  readonly lane: number;
  readonly hostId: HostId | null;
  readonly status: NodeStatus;
  readonly epoch: number;
  readonly physicalId: string | null;
  /** An action on it alone is under way. */
  readonly busy: boolean;
}

/** The next members of a cluster by id, with what there is to tell a driver. */
export async function readJobPage(db: Database, clusterId: ClusterId, after: NodeId | null, limit: number): Promise<JobMember[]> {
  const { rows } = await sql<{
    id: NodeId;
    project_id: ProjectId;
    name: string;
    index: number | null;
    profile_id: ProfileId;
    lane: number;
    host_id: HostId | null;
    status: number;
    epoch: number;
    physical_id: string | null;
    busy: boolean;
  }>`
    /* job.page */
    select id, project_id, name, index, profile_id, lane, host_id, status, epoch, physical_id, action_id is not null as busy
      from muster.node where cluster_id = ${clusterId} and id > ${after ?? "00000000-0000-0000-0000-000000000000"}::uuid order by id limit ${limit}`.execute(
    db,
  );
  return rows.map((row) => ({
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    index: row.index,
    profileId: row.profile_id,
    lane: row.lane,
    hostId: row.host_id,
    status: nodeStatusCodec.name(row.status),
    epoch: row.epoch,
    physicalId: row.physical_id,
    busy: row.busy,
  }));
}

/** The next members of a cluster by id; only those that are out of the ordinary where `sickOnly`. */
export async function nextJobMembers(db: Database, clusterId: ClusterId, after: NodeId | null, limit: number, sickOnly: boolean): Promise<NodeId[]> {
  const from = after ?? "00000000-0000-0000-0000-000000000000";
  const { rows } = sickOnly
    ? await sql<{ id: NodeId }>`
        /* job.sick */
        select node_id as id from muster.notable where cluster_id = ${clusterId} and node_id > ${from}::uuid order by node_id limit ${limit}`.execute(
        db,
      )
    : await sql<{ id: NodeId }>`
        /* job.members */
        select id from muster.node where cluster_id = ${clusterId} and id > ${from}::uuid order by id limit ${limit}`.execute(db);
  return rows.map((row) => row.id);
}
