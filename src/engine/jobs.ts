/**
 * Jobs: actions on all members that wish for no other state (check, recover). The planner spreads one over the members in windows, by
 * keyset; where it stands is kept in the action, so another planner goes on from there.
 */
import type { ClusterId, NodeId } from "../core/ids.ts";
import type { NodeStatus } from "../core/node.ts";
import { dueOf } from "../core/precedence.ts";
import { type OpenAction, supersedeNodeActions } from "../store/action-write.ts";
import type { PlannedCluster } from "../store/cluster-plan.ts";
import type { Database } from "../store/database.ts";
import { type JobCursor, nextJobMembers, saveJobCursor } from "../store/job.ts";
import { lockNodes, type NodeState, saveNodes } from "../store/node-write.ts";
import { setTasks, wantNodesDeleted } from "../store/task.ts";
import type { Tx } from "../store/transaction.ts";

/** Members a job reaches in one window; so many of its steps may be laid and not over. */
export const jobWindow = 2_500;
/** Told apart from the checks that come by themselves. */
export const ofJob = { for: "job" } as const;
/** Who is there to be asked about. */
export const checkedStatuses: ReadonlySet<NodeStatus> = new Set(["ACTIVE", "WARNING", "ERROR", "SUSPENDED"]);

export function isJob(action: Pick<OpenAction, "kind">): boolean {
  return action.kind === "CLUSTER_CHECK" || action.kind === "CLUSTER_RECOVER";
}

/** A job, how far it has come, and the members that it reaches next. */
export interface JobReach {
  readonly action: OpenAction;
  readonly cursor: JobCursor;
  readonly ids: readonly NodeId[];
  /** There are no more behind these. */
  readonly last: boolean;
}

/** Where a job goes next, without changing anything. Null: it has reached everybody. */
export async function reachMembers(db: Database, clusterId: ClusterId, action: OpenAction, cursor: JobCursor): Promise<JobReach | null> {
  if (cursor.done) return null;
  const ids = await nextJobMembers(db, clusterId, cursor.after, jobWindow, action.kind === "CLUSTER_RECOVER");
  return { action, cursor, ids, last: ids.length < jobWindow };
}

/** Spreads a job over its next members. */
export async function spreadJob(tx: Tx, now: Date, cluster: PlannedCluster, { action, cursor, ids, last }: JobReach): Promise<void> {
  const nodes = await lockNodes(tx.db, ids);
  if (action.kind === "CLUSTER_RECOVER") {
    const sick = nodes.filter((node) => node.status === "ERROR");
    if (action.replaces) await replace(tx, now, cluster, sick);
    else await restart(tx, now, action, sick);
  } else await layChecks(tx, now, nodes);
  await saveJobCursor(tx.db, action.id, { after: ids.at(-1) ?? cursor.after, done: last });
}

/** Has these members checked by whoever owns their lanes. Returns how many are there to be asked about. */
export async function layChecks(tx: Tx, now: Date, nodes: readonly NodeState[]): Promise<number> {
  const there = nodes.filter((node) => checkedStatuses.has(node.status));
  await setTasks(
    tx.db,
    there.map((node) => ({ node, kind: "CHECK", dueAt: now, params: ofJob })),
  );
  return there.length;
}

async function restart(tx: Tx, now: Date, action: OpenAction, sick: readonly NodeState[]): Promise<void> {
  await supersedeNodeActions(tx, now, sick, action.id);
  await saveNodes(
    tx,
    now,
    sick.map((node) => ({ node, patch: { status: "RECOVERING" as const, actionId: null } })),
  );
  await setTasks(
    tx.db,
    sick.map((node) => ({ node, kind: "RECOVER", dueAt: dueOf(now, "takingAwayOrMending", sick.length), params: { stage: "close" } })),
  );
}

/** They go, and the next pass makes others: the job is over when the cluster has settled again. */
async function replace(tx: Tx, now: Date, cluster: PlannedCluster, sick: readonly NodeState[]): Promise<void> {
  await wantNodesDeleted(tx, now, sick);
  tx.count(cluster.id, "recovered_total", sick.length);
}
