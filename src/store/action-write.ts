/** Writing actions: accepted, begun, ended; each with its event. `core/action.ts` decides, the SQL guards. */
import { sql } from "kysely";
import {
  type ActionCause,
  type ActionCounter,
  type ActionEvent,
  type ActionKind,
  type ActionStatus,
  actionCauseCodec,
  actionCounterCodec,
  actionFacets,
  actionKindCodec,
  actionProgress,
  actionStatusCodec,
  actionTransition,
  openActionsRead,
} from "../core/action.ts";
import type { Facet } from "../core/cluster.ts";
import { type ActionId, type ClusterId, encodeId, type NodeId, type ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Database } from "./database.ts";
import type { Tx } from "./transaction.ts";

export interface NewAction {
  readonly id: ActionId;
  readonly projectId: ProjectId;
  readonly kind: ActionKind;
  readonly cause: ActionCause;
  /** Which token, policy or loop asked. */
  readonly initiator: string | null;
  readonly clusterId: ClusterId | null;
  readonly clusterName: string | null;
  readonly nodeId: NodeId | null;
  readonly nodeName: string | null;
  readonly generation: number | null;
  /** What was asked, without secrets. */
  readonly inputs: JsonObject;
  readonly total: number;
  /** Which running total of the cluster counts its progress; null for actions on one node. */
  readonly counter: ActionCounter | null;
  /** The cluster's running total at which it is reached; 0n for actions on one node. */
  readonly goal?: bigint;
  /** The cluster's `failed_total` when it was accepted. */
  readonly failedBase?: bigint;
  readonly timeoutAt: Date | null;
}

/** Inserts accepted actions (PENDING). */
export async function insertActions(tx: Tx, now: Date, actions: readonly NewAction[]): Promise<void> {
  if (actions.length === 0) return;
  const column = <T>(pick: (action: NewAction) => T): T[] => actions.map(pick);
  await sql`
    /* action.insert */
    insert into muster.action (id, project_id, kind, status, cause, initiator, cluster_id, node_id, subject_name, generation, inputs, counter, total, goal, failed_base, timeout_at, created_at)
    select d.id, d.project_id, d.kind, ${actionStatusCodec.code("PENDING")}, d.cause, d.initiator, d.cluster_id, d.node_id, d.subject_name, d.generation,
           d.inputs, d.counter, d.total, d.goal, d.failed_base, d.timeout_at, ${now}::timestamptz
      from unnest(
        ${column((a) => a.id)}::uuid[], ${column((a) => a.projectId)}::uuid[], ${column((a) => actionKindCodec.code(a.kind))}::smallint[],
        ${column((a) => actionCauseCodec.code(a.cause))}::smallint[], ${column((a) => a.initiator)}::text[], ${column((a) => a.clusterId)}::uuid[],
        ${column((a) => a.nodeId)}::uuid[], ${column((a) => a.nodeName ?? a.clusterName)}::text[], ${column((a) => a.generation)}::int[],
        ${column((a) => JSON.stringify(a.inputs))}::jsonb[], ${column((a) => (a.counter === null ? null : actionCounterCodec.code(a.counter)))}::smallint[],
        ${column((a) => a.total)}::int[], ${column((a) => a.goal ?? 0n)}::bigint[],
        ${column((a) => a.failedBase ?? 0n)}::bigint[], ${column((a) => a.timeoutAt)}::timestamptz[]
      ) as d(id, project_id, kind, cause, initiator, cluster_id, node_id, subject_name, generation, inputs, counter, total, goal, failed_base, timeout_at)`.execute(
    tx.db,
  );
  for (const action of actions) {
    tx.events.push({
      type: "action.created",
      projectId: action.projectId,
      clusterId: action.clusterId,
      clusterName: action.clusterName,
      nodeId: action.nodeId,
      nodeName: action.nodeName,
      actionId: action.id,
      data: { kind: action.kind, cause: action.cause, total: action.total },
    });
  }
}

export interface ActionStep {
  readonly id: ActionId;
  readonly event: ActionEvent;
  readonly reason?: string | null;
  /** Frozen progress, for an ending; else what the row says. */
  readonly done?: number;
  readonly failed?: number;
  readonly supersededBy?: ActionId;
}

interface LockedAction {
  id: ActionId;
  project_id: ProjectId;
  kind: number;
  status: number;
  cluster_id: ClusterId | null;
  node_id: NodeId | null;
  subject_name: string | null;
  cluster_name: string | null;
  total: number;
  done: number;
  failed: number;
}

/** Moves actions on. Steps that come too late (the action has ended) are dropped. Returns the ids that moved. */
export async function stepActions(tx: Tx, now: Date, steps: readonly ActionStep[]): Promise<ActionId[]> {
  if (steps.length === 0) return [];
  const byId = new Map(steps.map((step) => [step.id, step]));
  const locked = await sql<LockedAction>`
    /* action.lock */
    select a.id, a.project_id, a.kind, a.status, a.cluster_id, a.node_id, a.subject_name, c.name as cluster_name, a.total, a.done, a.failed
      from muster.action a left join muster.cluster c on c.id = a.cluster_id
     where a.id = any(${[...byId.keys()].sort()}::uuid[]) order by a.id for no key update of a`.execute(tx.db);
  const moves = locked.rows.flatMap((row) => {
    const step = byId.get(row.id);
    const to = step === undefined ? null : actionTransition(actionStatusCodec.name(row.status), step.event);
    return step === undefined || to === null ? [] : [{ row, step, to, done: step.done ?? row.done, failed: step.failed ?? row.failed }];
  });
  if (moves.length === 0) return [];
  const ends = (to: ActionStatus): boolean => to !== "RUNNING" && to !== "WAITING";
  await sql`
    /* action.step */
    update muster.action a
       set status = d.status, status_reason = coalesce(d.reason, a.status_reason), done = d.done, failed = d.failed,
           superseded_by = coalesce(d.superseded_by, a.superseded_by),
           started_at = coalesce(a.started_at, case when d.begins then ${now}::timestamptz end),
           finished_at = case when d.ends then ${now}::timestamptz end
      from unnest(
        ${moves.map((m) => m.row.id)}::uuid[], ${moves.map((m) => actionStatusCodec.code(m.to))}::smallint[], ${moves.map((m) => m.step.reason ?? null)}::text[],
        ${moves.map((m) => m.done)}::int[], ${moves.map((m) => m.failed)}::int[], ${moves.map((m) => m.step.supersededBy ?? null)}::uuid[],
        ${moves.map((m) => m.to === "RUNNING" || m.to === "SUCCEEDED" || m.to === "FAILED")}::boolean[], ${moves.map((m) => ends(m.to))}::boolean[]
      ) as d(id, status, reason, done, failed, superseded_by, begins, ends)
     where a.id = d.id and a.id = any(${moves.map((m) => m.row.id)}::uuid[])`.execute(tx.db);
  for (const { row, step, to, done, failed } of moves) {
    const kind = actionKindCodec.name(row.kind);
    const onNode = row.node_id !== null;
    tx.events.push({
      type: ends(to) ? "action.finished" : "action.started",
      ...(to === "FAILED" ? { level: "ERROR" as const } : {}),
      projectId: row.project_id,
      clusterId: row.cluster_id,
      clusterName: row.cluster_name ?? (onNode ? null : row.subject_name),
      nodeId: row.node_id,
      nodeName: onNode ? row.subject_name : null,
      actionId: row.id,
      data: ends(to)
        ? {
            kind,
            status: to,
            reason: step.reason ?? null,
            total: row.total,
            done,
            failed,
            supersededBy: step.supersededBy === undefined ? null : encodeId("action", step.supersededBy),
          }
        : { kind },
    });
  }
  return moves.map((move) => move.row.id);
}

/** Where a cluster's running totals stand. */
export interface RunningTotals {
  readonly created_total: number;
  readonly deleted_total: number;
  readonly recovered_total: number;
  readonly checked_total: number;
  readonly failed_total: number;
  readonly updated_total: number;
  readonly update_failed_total: number;
}

export interface OpenAction {
  readonly id: ActionId;
  readonly kind: ActionKind;
  readonly status: ActionStatus;
  readonly generation: number;
  readonly total: number;
  readonly counter: ActionCounter | null;
  readonly goal: number;
  readonly failedBase: number;
  readonly timeoutAt: Date | null;
  /** A recovery by replacement. */
  readonly replaces: boolean;
}

/** Clusters with actions that have not ended, their members' included, by id. @param after null: from the first */
export async function listBusyClusters(db: Database, after: ClusterId | null, limit: number): Promise<ClusterId[]> {
  const { rows } = await sql<{ cluster_id: ClusterId }>`
    /* action.clusters */
    with recursive busy as (
      (select cluster_id from muster.action
        where finished_at is null and cluster_id > ${after ?? "00000000-0000-0000-0000-000000000000"} order by cluster_id limit 1)
      union all
      select (select a.cluster_id from muster.action a where a.finished_at is null and a.cluster_id > busy.cluster_id order by a.cluster_id limit 1)
        from busy where busy.cluster_id is not null)
    select cluster_id from busy where cluster_id is not null limit ${limit}`.execute(db);
  return rows.map((row) => row.cluster_id);
}

/** The unfinished actions on a cluster as a whole, oldest first, at most `limit`. */
export async function listOpenActions(db: Database, clusterId: ClusterId, limit: number): Promise<OpenAction[]> {
  return (await listOpenActionsOf(db, [clusterId], limit)).get(clusterId) ?? [];
}

/** The same of each of many clusters. Clusters without any are left out. */
export async function listOpenActionsOf(db: Database, clusterIds: readonly ClusterId[], limit: number): Promise<Map<ClusterId, OpenAction[]>> {
  const { rows } = await sql<{
    cluster_id: ClusterId;
    id: ActionId;
    kind: number;
    status: number;
    generation: number | null;
    total: number;
    counter: number | null;
    goal: bigint;
    failed_base: bigint;
    timeout_at: Date | null;
    replaces: boolean;
  }>`
    /* action.open */
    select c.id as cluster_id, a.* from unnest(${clusterIds}::uuid[]) as c(id)
     cross join lateral (
       select id, kind, status, generation, total, counter, goal, failed_base, timeout_at, coalesce(inputs ->> 'operation' = 'replace', false) as replaces
         from muster.action where cluster_id = c.id and finished_at is null and node_id is null order by id limit ${limit}) a`.execute(db);
  const found = new Map<ClusterId, OpenAction[]>();
  for (const row of rows) {
    const actions = found.get(row.cluster_id) ?? [];
    found.set(row.cluster_id, actions);
    actions.push({
      id: row.id,
      kind: actionKindCodec.name(row.kind),
      status: actionStatusCodec.name(row.status),
      generation: row.generation ?? 0,
      total: row.total,
      counter: row.counter === null ? null : actionCounterCodec.name(row.counter),
      goal: Number(row.goal),
      failedBase: Number(row.failed_base),
      timeoutAt: row.timeout_at,
      replaces: row.replaces,
    });
  }
  return found;
}

/** Unfinished actions on single nodes whose time is over, at most `limit`. */
export async function listOverdueNodeActions(db: Database, limit: number): Promise<ActionId[]> {
  const { rows } = await sql<{ id: ActionId }>`
    /* action.overdue */
    select id from muster.action
     where finished_at is null and node_id is not null and timeout_at <= (select clock_timestamp()) order by timeout_at limit ${limit}`.execute(db);
  return rows.map((row) => row.id);
}

const counterFields = {
  CREATED: "created_total",
  DELETED: "deleted_total",
  RECOVERED: "recovered_total",
  CHECKED: "checked_total",
  UPDATED: "updated_total",
} as const satisfies Record<ActionCounter, keyof RunningTotals>;

/** Progress of an unfinished action on a cluster. */
export function progressOf(
  action: Pick<OpenAction, "counter" | "total" | "goal" | "failedBase">,
  totals: RunningTotals,
): { readonly done: number; readonly failed: number } {
  if (action.counter === null) return { done: 0, failed: 0 };
  const reached = totals[counterFields[action.counter]];
  // Members that could not be made are no failures of a roll-out, nor those that could not be brought over of a growth.
  const failedTotal = action.counter === "UPDATED" ? totals.update_failed_total : totals.failed_total;
  return actionProgress({ ...action, reached, failedTotal });
}

/** Ends the actions that nodes carry, where something else is done to the nodes now: `by` whose action, or (null) the cluster's wish. */
export async function supersedeNodeActions(
  tx: Tx,
  now: Date,
  nodes: readonly { readonly actionId: ActionId | null }[],
  by: ActionId | null,
): Promise<void> {
  const replaced = nodes.flatMap((node) => (node.actionId === null || node.actionId === by ? [] : [node.actionId]));
  await stepActions(
    tx,
    now,
    replaced.map((id) => ({ id, event: "superseded", reason: "replaced by a newer wish", ...(by === null ? {} : { supersededBy: by }) })),
  );
}

/** Supersedes the unfinished actions of a cluster that a new one replaces: those of one facet, or (a deletion) all. */
export async function supersedeActions(
  tx: Tx,
  now: Date,
  wish: { readonly clusterId: ClusterId; readonly facet: Facet | "ALL"; readonly by: ActionId; readonly totals: RunningTotals },
): Promise<ActionId[]> {
  const open = await listOpenActions(tx.db, wish.clusterId, openActionsRead);
  const replaced = open.filter((action) => action.id !== wish.by && (wish.facet === "ALL" || actionFacets[action.kind] === wish.facet));
  return stepActions(
    tx,
    now,
    replaced.map((action) => ({
      id: action.id,
      event: "superseded",
      supersededBy: wish.by,
      reason: "replaced by a newer wish",
      ...progressOf(action, wish.totals),
    })),
  );
}
