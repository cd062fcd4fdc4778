/**
 * Tasks: what is to be done on a node next, and when; at most one per node. A lane's owner begins a task by writing its lane epoch and
 * the deadline into the row, in the transaction that checks the epoch; an outcome that has not come by then counts as lost.
 */
import { sql } from "kysely";
import type { ActionId, ClusterId, HostId, NodeId, ProfileId, ProjectId } from "../core/ids.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { sharedLanes } from "../core/lane.ts";
import {
  type NodeStatus,
  nodeStatusCodec,
  nodeStatusCodes,
  nodeTransition,
  type TaskKind,
  taskKindCodec,
  taskKindCodes,
  taskKinds,
} from "../core/node.ts";
import { dueOf } from "../core/precedence.ts";
import { supersedeNodeActions } from "./action-write.ts";
import type { Database } from "./database.ts";
import { type Beginnings, deleteNodes, type NodeState, saveNodes } from "./node-write.ts";
import { type Column, rowSet } from "./row-set.ts";
import type { Tx } from "./transaction.ts";

export interface NewTask {
  readonly node: Pick<NodeState, "id" | "projectId" | "clusterId" | "lane">;
  readonly kind: TaskKind;
  readonly dueAt: Date;
  readonly attempt?: number;
  readonly params?: JsonObject | null;
}

/**
 * Sets what comes next for these nodes, in place of whatever was to come.
 * @param begun those whose step is begun in this very transaction. The caller has checked their lanes' epochs in it
 */
export async function setTasks(db: Database, tasks: readonly NewTask[], begun: Beginnings = new Map()): Promise<void> {
  if (tasks.length === 0) return;
  const column = (name: string, type: string, pick: (task: NewTask) => unknown): Column => ({ name, type, values: tasks.map(pick) });
  const rows = rowSet([
    column("node_id", "uuid", (t) => t.node.id),
    column("project_id", "uuid", (t) => t.node.projectId),
    column("cluster_id", "uuid", (t) => t.node.clusterId),
    column("lane", "int", (t) => t.node.lane),
    column("kind", "smallint", (t) => taskKindCodec.code(t.kind)),
    column("due_at", "timestamptz", (t) => (begun.get(t.node.id)?.deadline ?? t.dueAt).toISOString()),
    column("begun_by", "bigint", (t) => begun.get(t.node.id)?.epoch ?? 0n),
    column("attempt", "int", (t) => (t.attempt ?? 0) + (begun.has(t.node.id) ? 1 : 0)),
    column("params", "jsonb", (t) => (t.params == null ? null : JSON.stringify(t.params))),
  ]);
  await sql`
    /* task.set */
    insert into muster.task (node_id, project_id, cluster_id, lane, kind, due_at, begun_by, attempt, params)
    select d.node_id, ${rows.at("project_id")}, ${rows.at("cluster_id")}, ${rows.at("lane")}, ${rows.at("kind")}, ${rows.at("due_at")},
           ${rows.at("begun_by")}, ${rows.at("attempt")}, ${rows.at("params")}
      from ${rows.source} as d(${rows.names})
    on conflict (node_id) do update
       set kind = excluded.kind, due_at = excluded.due_at, attempt = excluded.attempt, params = excluded.params, begun_by = excluded.begun_by`.execute(
    db,
  );
}

/** Nothing is to be done on these nodes any more. */
export async function dropTasks(db: Database, ids: readonly NodeId[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`/* task.drop */ delete from muster.task where node_id = any(${ids}::uuid[])`.execute(db);
}

/**
 * Wants locked nodes gone: what was never begun goes at once, for the rest a deletion is due.
 * @param actionId the NODE_DELETE action, where one node was named
 * @param begin chooses from those that wait for their deletion the ones whose deletion is begun at once
 * @returns how many went at once
 */
export async function wantNodesDeleted(
  tx: Tx,
  now: Date,
  nodes: readonly NodeState[],
  actionId: ActionId | null = null,
  begin: (nodes: readonly NodeState[]) => Beginnings = () => new Map(),
): Promise<number> {
  const dropped = nodes.filter((node) => nodeTransition(node.status, "dropped") === "GONE");
  const rest = nodes.filter((node) => nodeTransition(node.status, "dropped") === null && nodeTransition(node.status, "deleteWanted") === "DELETING");
  // Whatever else was being done to them is over.
  await supersedeNodeActions(tx, now, [...dropped, ...rest], actionId);
  await deleteNodes(tx, dropped);
  await saveNodes(
    tx,
    now,
    rest.map((node) => ({ node, patch: { status: "DELETING", statusReason: null, actionId } })),
  );
  await setTasks(
    tx.db,
    rest.map((node) => ({ node, kind: "DELETE", dueAt: dueOf(now, "takingAwayOrMending", rest.length) })),
    begin(rest),
  );
  return dropped.length;
}

/** A task that is due, with all a driver must know of its node but the spec. */
export interface DueTask {
  readonly nodeId: NodeId;
  readonly projectId: ProjectId;
  readonly clusterId: ClusterId | null;
  readonly clusterName: string | null;
  readonly lane: number;
  readonly kind: TaskKind;
  readonly attempt: number;
  /** Changes with every change of the task. */
  readonly version: string;
  /** The lane epoch that had begun it before; 0n: nobody had. */
  readonly begunBy: bigint;
  readonly params: JsonObject | null;
  readonly name: string;
  readonly index: number | null;
  readonly profileId: ProfileId;
  readonly hostId: HostId | null;
  readonly status: NodeStatus;
  readonly epoch: number;
  readonly physicalId: string | null;
  readonly addresses: Json;
}

interface DueRow {
  node_id: NodeId;
  project_id: ProjectId;
  cluster_id: ClusterId | null;
  cluster_name: string | null;
  lane: number;
  kind: number;
  attempt: number;
  version: string;
  begun_by: bigint;
  params: JsonObject | null;
  name: string;
  index: number | null;
  profile_id: ProfileId;
  host_id: HostId | null;
  status: number;
  epoch: number;
  physical_id: string | null;
  addresses: Json;
}

/** A task `t` (with its row's `version`) and what of its node `n` a driver must know. */
const dueColumns = sql`t.node_id, t.project_id, t.cluster_id, (select c.name from muster.cluster c where c.id = t.cluster_id) as cluster_name,
           t.lane, t.kind, t.attempt, t.version, t.begun_by, t.params,
           n.name, n.index, n.profile_id, n.host_id, n.status, n.epoch, n.physical_id, n.addresses`;

function dueTask(row: DueRow): DueTask {
  return {
    nodeId: row.node_id,
    projectId: row.project_id,
    clusterId: row.cluster_id,
    clusterName: row.cluster_name,
    lane: row.lane,
    kind: taskKindCodec.name(row.kind),
    attempt: row.attempt,
    version: row.version,
    begunBy: row.begun_by,
    params: row.params,
    name: row.name,
    index: row.index,
    profileId: row.profile_id,
    hostId: row.host_id,
    status: nodeStatusCodec.name(row.status),
    epoch: row.epoch,
    physicalId: row.physical_id,
    addresses: row.addresses,
  };
}

/**
 * Tasks due in these lanes, oldest first, without nodes that are in flight here.
 * @param limit rows at most
 * @param without kinds that wait: they must not crowd out the others
 */
export async function listDueTasks(
  db: Database,
  lanes: readonly number[],
  inFlight: readonly NodeId[],
  limit: number,
  without: readonly TaskKind[] = [],
): Promise<DueTask[]> {
  // Each lane is walked down its index, and no further than is needed: a volatile clock or one list of lanes would have PostgreSQL read all tasks.
  const perLane = 16 + 4 * Math.ceil(limit / Math.max(1, lanes.length));
  const { rows } = await sql<DueRow>`
    /* task.due */
    select ${dueColumns}
      from (select d.* from unnest(${lanes}::int[]) as l(lane)
             cross join lateral (
               select *, xmin::text as version from muster.task
                where lane = l.lane and due_at <= (select clock_timestamp()) and node_id <> all(${inFlight}::uuid[])
                  and kind <> all(${without.map(taskKindCodec.code)}::smallint[])
                order by due_at limit ${perLane}) d
             order by d.due_at limit ${limit}) t
      cross join lateral (select * from muster.node where id = t.node_id limit 1) n`.execute(db);
  return rows.map(dueTask);
}

/** Tasks of one cluster and kind that are looked at for one that is due. */
const lookedAt = 1_000;

/**
 * Tasks due in these lanes, of each of these clusters and of each kind a few: for when there are so many that the oldest of all may be one
 * cluster's. What a member is asked from time to time anyway (CHECK, unless a job wants it) is not among them.
 * @param each of a cluster and kind at most
 */
export async function listDueTasksOf(
  db: Database,
  clusters: readonly ClusterId[],
  lanes: readonly number[],
  inFlight: readonly NodeId[],
  each: number,
  without: readonly TaskKind[] = [],
): Promise<DueTask[]> {
  // Compared as rows, and in the index's order: else PostgreSQL may look for them among all tasks, by node.
  const kinds = taskKinds.filter((kind) => kind !== "CHECK" && !without.includes(kind)).map(taskKindCodec.code);
  const { rows } = await sql<DueRow>`
    /* task.due-of */
    select ${dueColumns}
      from unnest(${clusters}::uuid[]) as c(id)
     cross join lateral (
       (select d.* from unnest(${kinds}::smallint[]) as k(kind)
         cross join lateral (
           select * from (
             select *, xmin::text as version from muster.task
              where (cluster_id, kind) >= (c.id, k.kind) and (cluster_id, kind) <= (c.id, k.kind)
              order by cluster_id, kind, node_id limit ${lookedAt}) looked
            where lane = any(${lanes}::int[]) and due_at <= (select clock_timestamp()) and node_id <> all(${inFlight}::uuid[]) limit ${each}) d)
       union all
       (select *, xmin::text as version from muster.task
         where cluster_id = c.id and kind = ${taskKindCodes.CHECK} and params is not null
           and lane = any(${lanes}::int[]) and due_at <= (select clock_timestamp()) and node_id <> all(${inFlight}::uuid[])
           and kind <> all(${without.map(taskKindCodec.code)}::smallint[])
         limit ${each})) t
     cross join lateral (select * from muster.node where id = t.node_id limit 1) n`.execute(db);
  return rows.map(dueTask);
}

/**
 * Begins tasks: writes the lane epoch and the deadline. Returns those that nobody has changed since the caller read them.
 * The caller has checked the lanes' epochs in this transaction.
 */
export async function beginTasks(
  tx: Tx,
  tasks: readonly { readonly task: DueTask; readonly epoch: bigint; readonly deadline: Date }[],
): Promise<Set<NodeId>> {
  if (tasks.length === 0) return new Set();
  const { rows } = await sql<{ node_id: NodeId }>`
    /* task.begin */
    update muster.task t set begun_by = d.epoch, due_at = d.deadline, attempt = t.attempt + (t.begun_by = 0)::int
      from unnest(
        ${tasks.map(({ task }) => task.nodeId)}::uuid[], ${tasks.map(({ task }) => task.version)}::text[],
        ${tasks.map(({ epoch }) => epoch)}::bigint[], ${tasks.map(({ deadline }) => deadline)}::timestamptz[]
      ) as d(node_id, version, epoch, deadline)
     where t.node_id = d.node_id and t.xmin = d.version::xid and t.node_id = any(${tasks.map(({ task }) => task.nodeId)}::uuid[])
    returning t.node_id`.execute(tx.db);
  return new Set(rows.map((row) => row.node_id));
}

/** Puts off tasks that are due: whoever owns their lanes cannot carry them out now, and they must not be read again and again. */
export async function postponeTasks(db: Database, ids: readonly NodeId[], ms: number): Promise<void> {
  if (ids.length === 0) return;
  await sql`
    /* task.postpone */
    update muster.task set due_at = clock_timestamp() + make_interval(secs => ${ms}::float8 / 1000)
     where node_id = any(${[...ids].sort()}::uuid[]) and due_at <= clock_timestamp()`.execute(db);
}

/** How long until the next task of these lanes is due, ms; null: none is. */
export async function nextTaskMs(db: Database, lanes: readonly number[]): Promise<number | null> {
  const { rows } = await sql<{ ms: string | null }>`
    /* task.next */
    select extract(epoch from min(t.due_at) - clock_timestamp()) * 1000 as ms
      from unnest(${lanes}::int[]) as l(lane)
      cross join lateral (select due_at from muster.task where lane = l.lane order by due_at limit 1) t`.execute(db);
  const ms = rows[0]?.ms ?? null;
  return ms === null ? null : Number(ms);
}

/** A lane has a new owner: what the former one had begun is due again. */
export async function redoBegunTasks(db: Database, lanes: readonly number[]): Promise<void> {
  await sql`
    /* task.redo */
    update muster.task set due_at = clock_timestamp() where lane = any(${lanes}::int[]) and begun_by <> 0 and due_at > clock_timestamp()`.execute(db);
}

/**
 * Members of a host whose lanes have a new owner are read back: they may have died while nobody watched. Shared lanes need no such
 * look; the members of one host are few.
 */
export async function recheckHostMembers(db: Database, lanes: readonly number[]): Promise<void> {
  const ofHost = lanes.filter((lane) => lane >= sharedLanes);
  if (ofHost.length === 0) return;
  const running = [nodeStatusCodes.ACTIVE, nodeStatusCodes.WARNING, nodeStatusCodes.UNKNOWN];
  await sql`
    /* task.recheck */
    insert into muster.task (node_id, project_id, cluster_id, lane, kind, due_at)
    select id, project_id, cluster_id, lane, ${taskKindCodes.CHECK}, clock_timestamp() from muster.node
     where host_id is not null and lane = any(${ofHost}::int[]) and status = any(${running}::smallint[])
    on conflict (node_id) do nothing`.execute(db);
}
