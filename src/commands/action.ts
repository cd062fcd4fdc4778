/**
 * Cancelling: the wish is withdrawn. What has not begun is dropped, what has begun finishes, and what is there by then
 * becomes what is wanted. A deletion can be taken back only before its first member goes.
 */

import { actionFacets, isFinished } from "../core/action.ts";
import { clamp, clusterStatus } from "../core/cluster.ts";
import { notFound, type Result, refused } from "../core/errors.ts";
import { type ActionId, brandId, decodeId } from "../core/ids.ts";
import { activeIn, standingIn } from "../core/plan/aggregates.ts";
import { type ActionRow, getActionsByIds } from "../store/action.ts";
import { stepActions } from "../store/action-write.ts";
import type { ClusterRow } from "../store/cluster.ts";
import { lockCluster, saveWanted, setClusterStatus } from "../store/cluster-write.ts";
import { readTask } from "../store/node-mark.ts";
import { lockNodes, type NodeState, saveNodes } from "../store/node-write.ts";
import { holdProfiles } from "../store/profile.ts";
import { dropTasks, wantNodesDeleted } from "../store/task.ts";
import type { Tx } from "../store/transaction.ts";
import { tellProfile } from "./cluster-profile.ts";
import { type CommandContext, mutate } from "./command.ts";
import type { CancelActionInput } from "./input.ts";
import { deletingNode } from "./node-action.ts";
import { countsOf, tellResized } from "./size-wish.ts";

export type ActionValue = { readonly actionId: ActionId };

function reviveAction(ids: Readonly<Record<string, string>>): ActionValue {
  return { actionId: brandId("action", ids["actionId"] ?? "") };
}

export async function cancelAction(context: CommandContext, input: CancelActionInput): Promise<Result<ActionValue>> {
  const { projectId } = context.principal;
  return mutate(context, { name: "cancelAction", needs: "MEMBER", input, issues: [], revive: reviveAction }, async ({ tx }) => {
    const id = decodeId("action", input.id);
    const seen = id === null ? undefined : (await getActionsByIds(tx.db, projectId, [id]))[0];
    if (id === null || seen === undefined) return notFound(["id"], "action");
    // The subject's locks first; then the action is read again, as it is under them.
    const cluster = seen.clusterId === null ? null : await lockCluster(tx.db, projectId, { id: seen.clusterId });
    const [node] = seen.nodeId === null ? [] : await lockNodes(tx.db, [seen.nodeId]);
    const [action] = await getActionsByIds(tx.db, projectId, [id]);
    if (action === undefined) return notFound(["id"], "action");
    if (isFinished(action.status)) return finished(action);
    const now = await tx.now();
    const { done, failed } = action.progress;
    const end = async (): Promise<boolean> =>
      (await stepActions(tx, now, [{ id, event: "cancelled", reason: "cancelled", done, failed }])).length > 0;
    // A planner may just have ended what is the cluster's own: nothing is taken back then. And it ends before the cluster's observed state is touched, as
    // planners do it: else each waits for the other.
    const ofCluster = cluster !== null && action.nodeId === null;
    if (ofCluster && !(await end())) return finished((await getActionsByIds(tx.db, projectId, [id]))[0] ?? action);
    if (action.kind === "CLUSTER_DELETE" && cluster !== null) {
      const stays = await takeDeletionBack(tx, now, cluster, action);
      if (!stays) {
        return refused({
          kind: "Conflict",
          reason: "DELETING",
          message: `Members of ${cluster.name} are gone already.`,
          path: ["id"],
          object: { type: "cluster", id: cluster.id },
        });
      }
    } else if (actionFacets[action.kind] === "PROFILE" && cluster !== null) await goBack(tx, now, cluster, action);
    else if (actionFacets[action.kind] === "SIZE" && cluster !== null) await settleForWhatIsThere(tx, now, cluster, action);
    else if (node !== undefined && node.actionId === id) {
      if (action.kind === "NODE_DELETE" || node.status === "DELETING") return deletingNode(node);
      await letGo(tx, now, node, action, cluster);
    }
    if (!ofCluster) await end();
    if (cluster !== null) tx.markDue(cluster.id);
    return { ok: true, value: { actionId: id } };
  });
}

function finished({ id, status }: ActionRow): ReturnType<typeof refused> {
  const message = `The action has ended: ${status}.`;
  return refused({ kind: "Conflict", reason: "ALREADY_FINISHED", message, path: ["id"], object: { type: "action", id } });
}

/** Members that are planned only are not there: the planner drops them first. */
async function settleForWhatIsThere(tx: Tx, now: Date, cluster: ClusterRow, action: ActionRow): Promise<void> {
  const counts = await countsOf(tx, cluster);
  const desiredCapacity = clamp(standingIn(counts) - counts.planned, cluster.minSize, cluster.maxSize);
  const generation = cluster.generation + 1;
  await saveWanted(tx, now, cluster, { desiredCapacity, generation });
  tellResized(tx, cluster, { desiredCapacity, minSize: cluster.minSize, maxSize: cluster.maxSize }, generation, action.id);
}

/** Members that were brought over already follow like any others. */
async function goBack(tx: Tx, now: Date, cluster: ClusterRow, action: ActionRow): Promise<void> {
  const { formerProfileId: profileId } = cluster;
  // Nobody may be of it any more, and then it may have been deleted.
  if (profileId === null || (await holdProfiles(tx.db, [profileId])).size === 0) return;
  const generation = cluster.generation + 1;
  await saveWanted(tx, now, cluster, { profileId, formerProfileId: null, profileChangedAt: now, generation });
  tellProfile(tx, cluster, profileId, generation, action.id);
}

/** False: it is too late, members have gone or are going. */
async function takeDeletionBack(tx: Tx, now: Date, cluster: ClusterRow, action: ActionRow): Promise<boolean> {
  const counts = await countsOf(tx, cluster);
  if (action.progress.done > 0 || counts.deleting > 0) return false;
  const generation = cluster.generation + 1;
  await saveWanted(tx, now, cluster, { deleting: false, abandon: false, generation });
  const active = activeIn(counts);
  const { status, reason } = clusterStatus({ ...cluster, deleting: false }, active, cluster.observedGeneration > 0);
  const former = await setClusterStatus(tx.db, now, cluster.id, status, reason);
  const about = { projectId: cluster.projectId, clusterId: cluster.id, clusterName: cluster.name, actionId: action.id };
  tx.events.push({ type: "cluster.deletion.cancelled", ...about, data: { generation } });
  if (former !== status) tx.events.push({ type: "cluster.status.changed", ...about, data: { from: former, to: status, reason } });
  return true;
}

/** A step on one node that has not begun is dropped; one that has goes on without the action. */
async function letGo(tx: Tx, now: Date, node: NodeState, action: ActionRow, cluster: ClusterRow | null): Promise<void> {
  if (action.kind === "NODE_CREATE" && node.status === "PLANNED") {
    // The action ends as cancelled, not as replaced.
    await wantNodesDeleted(tx, now, [{ ...node, actionId: null }]);
    const fits = cluster !== null && !cluster.deleting && cluster.desiredCapacity - 1 >= cluster.minSize;
    if (!fits) return;
    const desiredCapacity = cluster.desiredCapacity - 1;
    const generation = cluster.generation + 1;
    await saveWanted(tx, now, cluster, { desiredCapacity, generation });
    tellResized(tx, cluster, { desiredCapacity, minSize: cluster.minSize, maxSize: cluster.maxSize }, generation, action.id);
    return;
  }
  await saveNodes(tx, now, [{ node, patch: { actionId: null } }]);
  const task = await readTask(tx.db, node.id);
  if (action.kind === "NODE_CHECK" && task?.kind === "CHECK" && !task.begun) await dropTasks(tx.db, [node.id]);
}
