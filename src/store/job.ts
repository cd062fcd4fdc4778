/** How far a job has been spread over a cluster's members: a keyset position in the action's outputs. */
import { sql } from "kysely";
import type { ActionId, ClusterId, NodeId } from "../core/ids.ts";
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
