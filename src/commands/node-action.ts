/** An action on one named node: accepted with its event, and ended where nothing is left to do. */
import { type ActionKind, nodeActionTimeoutMs } from "../core/action.ts";
import { type Refusal, type Result, refused } from "../core/errors.ts";
import { type ActionId, brandId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { insertActions, stepActions } from "../store/action-write.ts";
import { getClustersByIds } from "../store/cluster.ts";
import { lockNodes, type NodeState } from "../store/node-write.ts";
import type { Tx } from "../store/transaction.ts";
import { type CommandContext, initiatorOf, type Work } from "./command.ts";
import type { NodeBy } from "./input.ts";
import { deletingCluster, findNamedNode } from "./lookup.ts";

/** Accepts an action on a node. */
export async function acceptNodeAction(
  tx: Tx,
  context: CommandContext,
  now: Date,
  node: Pick<NodeState, "id" | "projectId" | "clusterId" | "clusterName" | "name">,
  action: { readonly kind: ActionKind; readonly inputs: JsonObject; readonly generation?: number | null },
): Promise<ActionId> {
  const id = brandId("action", context.store.runtime.entropy.uuid());
  await insertActions(tx, now, [
    {
      id,
      projectId: node.projectId,
      kind: action.kind,
      cause: "USER",
      initiator: initiatorOf(context.principal),
      clusterId: node.clusterId,
      clusterName: node.clusterName,
      nodeId: node.id,
      nodeName: node.name,
      generation: action.generation ?? null,
      inputs: action.inputs,
      total: 1,
      counter: null,
      timeoutAt: new Date(now.getTime() + nodeActionTimeoutMs),
    },
  ]);
  return id;
}

/** Ends an action whose work is done already, or is somebody else's. */
export async function endNodeAction(tx: Tx, now: Date, id: ActionId, reason: string | null = null): Promise<void> {
  await stepActions(tx, now, [{ id, event: "succeeded", reason, done: 1 }]);
}

/** The node an input names, locked. Refuses what is going, and members of what is going. */
export async function lockNamedNode(work: Work, context: CommandContext, by: NodeBy): Promise<Result<NodeState>> {
  const found = await findNamedNode(work, context, by);
  if (!found.ok) return found;
  const { id, clusterId, projectId } = found.value;
  if (clusterId !== null) {
    const [cluster] = await getClustersByIds(work.tx.db, projectId, [clusterId]);
    if (cluster?.deleting === true) return deletingCluster(cluster);
  }
  const [node] = await lockNodes(work.tx.db, [id]);
  if (node === undefined) return refused({ kind: "NotFound", path: ["node"], message: "There is no such node." });
  if (node.status === "DELETING") return deletingNode(node);
  return { ok: true, value: node };
}

export function deletingNode(node: Pick<NodeState, "id" | "name">): { readonly ok: false; readonly refusal: Refusal } {
  return refused({ kind: "Conflict", reason: "DELETING", message: `The node ${node.name} is being deleted.`, object: { type: "node", id: node.id } });
}
