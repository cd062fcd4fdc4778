/**
 * Jobs: actions on all members that wish for no other state (check, recover). The planner spreads one over the members in windows, by
 * keyset; where it stands is kept in the action, so another planner goes on from there.
 */
import { type OpenAction, supersedeNodeActions } from "../store/action-write.ts";
import type { PlannedCluster } from "../store/cluster-plan.ts";
import { type JobCursor, nextJobMembers, saveJobCursor } from "../store/job.ts";
import { lockNodes, saveNodes } from "../store/node-write.ts";
import { setTasks } from "../store/task.ts";
import type { Tx } from "../store/transaction.ts";

/** Members a job reaches in one window. */
const window = 2_500;

export function isJob(action: Pick<OpenAction, "kind">): boolean {
  return action.kind === "CLUSTER_CHECK" || action.kind === "CLUSTER_RECOVER";
}

/** Spreads a job over its next members. */
export async function spreadJob(tx: Tx, now: Date, cluster: PlannedCluster, action: OpenAction, cursor: JobCursor): Promise<void> {
  if (cursor.done) return;
  const sickOnly = action.kind === "CLUSTER_RECOVER";
  const ids = await nextJobMembers(tx.db, cluster.id, cursor.after, window, sickOnly);
  const nodes = await lockNodes(tx.db, ids);
  if (sickOnly) {
    const sick = nodes.filter((node) => node.status === "ERROR");
    await supersedeNodeActions(tx, now, sick, action.id);
    await saveNodes(
      tx,
      now,
      sick.map((node) => ({ node, patch: { status: "RECOVERING" as const, actionId: null } })),
    );
    await setTasks(
      tx.db,
      sick.map((node) => ({ node, kind: "RECOVER", dueAt: now, params: { stage: "close" } })),
    );
  } else {
    const running = nodes.filter(
      (node) => node.status === "ACTIVE" || node.status === "WARNING" || node.status === "ERROR" || node.status === "SUSPENDED",
    );
    await setTasks(
      tx.db,
      running.map((node) => ({ node, kind: "CHECK", dueAt: now })),
    );
  }
  await saveJobCursor(tx.db, action.id, { after: ids.at(-1) ?? cursor.after, done: ids.length < window });
}
