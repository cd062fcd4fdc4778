/**
 * Jobs: actions on all members that wish for no other state (check, recover). The planner spreads one over the members in windows, by
 * keyset; where it stands is kept in the action, so another planner goes on from there.
 */
import type { ClusterId, NodeId } from "../core/ids.ts";
import { dueOf } from "../core/precedence.ts";
import { type OpenAction, supersedeNodeActions } from "../store/action-write.ts";
import type { PlannedCluster } from "../store/cluster-plan.ts";
import type { Database } from "../store/database.ts";
import { type JobCursor, nextJobMembers, saveJobCursor } from "../store/job.ts";
import { type Beginnings, lockNodes, type NodeState, saveNodes } from "../store/node-write.ts";
import { type DueTask, setTasks, wantNodesDeleted } from "../store/task.ts";
import type { Tx } from "../store/transaction.ts";
import { taskOf } from "./places.ts";

/** Members a job reaches in one window; so many of its steps may be laid and not over. */
export const jobWindow = 2_500;
/** Told apart from the checks that come by themselves. */
const ofJob = { for: "job" } as const;

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
export async function reachMembers(
  db: Database,
  clusterId: ClusterId,
  action: OpenAction,
  cursor: JobCursor,
  limit: number,
): Promise<JobReach | null> {
  if (cursor.done) return null;
  const ids = await nextJobMembers(db, clusterId, cursor.after, limit, action.kind === "CLUSTER_RECOVER");
  return { action, cursor, ids, last: ids.length < limit };
}

/**
 * Spreads a job over its next members.
 * @param begin chooses from the checks that it lays those that are begun at once
 */
export async function spreadJob(
  tx: Tx,
  now: Date,
  cluster: PlannedCluster,
  { action, cursor, ids, last }: JobReach,
  begin: (tasks: readonly DueTask[]) => Beginnings,
): Promise<void> {
  const nodes = await lockNodes(tx.db, ids);
  if (action.kind === "CLUSTER_RECOVER") {
    const sick = nodes.filter((node) => node.status === "ERROR");
    if (action.replaces) await replace(tx, now, cluster, sick);
    else await restart(tx, now, action, sick);
  } else {
    const running = nodes.filter(
      (node) => node.status === "ACTIVE" || node.status === "WARNING" || node.status === "ERROR" || node.status === "SUSPENDED",
    );
    await setTasks(
      tx.db,
      running.map((node) => ({ node, kind: "CHECK", dueAt: now, params: ofJob })),
      begin(running.map((node) => taskOf(node, "CHECK", ofJob))),
    );
  }
  await saveJobCursor(tx.db, action.id, { after: ids.at(-1) ?? cursor.after, done: last });
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
