/** Reading back after a restore or a fail-over: how far it has come, kept with the installation. */
import { sql } from "kysely";
import type { NodeId } from "../core/ids.ts";
import { nodeStatusCodes, taskKindCodes } from "../core/node.ts";
import type { Database } from "./database.ts";

export interface ReadBackState {
  readonly incarnation: number;
  /** The ledger had another incarnation before, and not every node has been read back since. */
  readonly pending: boolean;
  /** The last node for which a check was asked; null: none yet. */
  readonly after: NodeId | null;
}

export async function readBackState(db: Database): Promise<ReadBackState> {
  const { rows } = await sql<{ incarnation: number; pending: boolean; after: NodeId | null }>`
    /* readback.state */
    select l.incarnation, l.former_incarnation is not null and i.read_back is distinct from l.incarnation as pending, i.read_back_after as after
      from muster.ledger l cross join muster.installation i`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error("the installation has no rows: the database is not migrated");
  return row;
}

/** What tells these checks from others, which come all the time. */
const readBackParams = JSON.stringify({ for: "read back" });

/**
 * Asks for a check of the next `limit` members that may be out there. Their tasks become checks; what was being made, changed or taken away keeps
 * its task, which waits for the end of the reading. So does what is to be read back anyway, when what was asked of it can have no more effect.
 * @returns how many were reached; fewer than `limit`: that was the last of them
 */
export async function askNextChecks(db: Database, after: NodeId | null, limit: number): Promise<number> {
  const running = [nodeStatusCodes.ACTIVE, nodeStatusCodes.WARNING, nodeStatusCodes.SUSPENDED, nodeStatusCodes.UNKNOWN];
  const { rows } = await sql<{ reached: bigint }>`
    /* readback.ask */
    with next as (
      select id, project_id, cluster_id, lane, status from muster.node
       where id > ${after ?? "00000000-0000-0000-0000-000000000000"}::uuid order by id limit ${limit}),
    asked as (
      insert into muster.task (node_id, project_id, cluster_id, lane, kind, due_at, params)
      select id, project_id, cluster_id, lane, ${taskKindCodes.CHECK}, clock_timestamp(), ${readBackParams}::jsonb from next where status = any(${running}::smallint[])
      on conflict (node_id) do update set kind = excluded.kind, due_at = excluded.due_at, begun_by = 0, attempt = 0, params = excluded.params
       where muster.task.kind <> ${taskKindCodes.INSPECT}),
    cursor as (
      update muster.installation set read_back_after = coalesce((select max(id::text)::uuid from next), read_back_after))
    select count(*) as reached from next`.execute(db);
  return Number(rows[0]?.reached ?? 0n);
}

/**
 * True while one of the checks that were asked for is left, apart from those of hosts that were not heard since the incarnation began: their members
 * are UNKNOWN, and nothing is made in their stead. Walks all tasks, and only while something is being read back.
 * @param patienceMs how long after its beginning hosts are waited for that come back later than the database
 */
export async function checksLeft(db: Database, patienceMs: number): Promise<boolean> {
  const { rows } = await sql<{ left: boolean }>`
    /* readback.left */
    select exists (
      select from muster.ledger g
       cross join muster.task t
        join muster.lane l on l.id = t.lane
        left join muster.host h on h.id = l.host_id
       where t.kind = ${taskKindCodes.CHECK} and t.params = ${readBackParams}::jsonb
         and (h.id is null or h.seen_at >= g.incarnation_since
              or clock_timestamp() < g.incarnation_since + make_interval(secs => ${patienceMs}::float8 / 1000))) as left`.execute(db);
  return rows[0]?.left ?? false;
}

/** Everything has been read back for this incarnation. */
export async function endReadBack(db: Database, incarnation: number): Promise<void> {
  await sql`
    /* readback.end */
    update muster.installation set read_back = ${incarnation}, read_back_after = null`.execute(db);
}
