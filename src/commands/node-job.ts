/**
 * Jobs on one named node: check, recover. Where the engine is busy with the node already, its outcome will tell, so the job rides on
 * it; where another action rides there, nothing is left for this one to do and it says so.
 */

import type { Result } from "../core/errors.ts";
import { refused } from "../core/errors.ts";
import type { ActionId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import { nodeTransition, type TaskKind } from "../core/node.ts";
import { dueOf } from "../core/precedence.ts";
import { supersedeNodeActions } from "../store/action-write.ts";
import { readTask } from "../store/node-mark.ts";
import { type NodeState, saveNodes } from "../store/node-write.ts";
import { setTasks, wantNodesDeleted } from "../store/task.ts";
import type { Tx } from "../store/transaction.ts";
import { paramsIssues, remedyOperation } from "./cluster-job.ts";
import { type CommandContext, mutate, type NodeAction, reviveNodeAction } from "./command.ts";
import type { CheckClusterNodeInput, RecoverClusterNodeInput } from "./input.ts";
import { acceptNodeAction, endNodeAction, lockNamedNode } from "./node-action.ts";

/** Asks the driver about one node. */
export async function checkClusterNode(context: CommandContext, input: CheckClusterNodeInput): Promise<Result<NodeAction>> {
  return mutate(context, { name: "checkClusterNode", needs: "MEMBER", input, issues: [], revive: reviveNodeAction }, async (work) => {
    const { tx } = work;
    const locked = await lockNamedNode(work, context, input.node);
    if (!locked.ok) return locked;
    const node = locked.value;
    const now = await tx.now();
    const actionId = await acceptNodeAction(tx, context, now, node, { kind: "NODE_CHECK", inputs: {} });
    await lookAt(tx, now, node, actionId);
    work.onCommit(() => context.store.wake.work());
    return { ok: true, value: { nodeId: node.id, actionId } };
  });
}

/** Restarts a node in place, or has it replaced, without waiting for the ladder or its brake. */
export async function recoverClusterNode(context: CommandContext, input: RecoverClusterNodeInput): Promise<Result<NodeAction>> {
  const issues = paramsIssues(input.params, context.limits);
  return mutate(context, { name: "recoverClusterNode", needs: "MEMBER", input, issues, revive: reviveNodeAction }, async (work) => {
    const { tx } = work;
    const operation = remedyOperation(input.operation, ["restart", "replace"]);
    if (!operation.ok) return operation;
    const locked = await lockNamedNode(work, context, input.node);
    if (!locked.ok) return locked;
    const node = locked.value;
    if (operation.value === "replace" && node.clusterId === null) {
      return refused({ kind: "Unsupported", operation: "replace", message: "Only a member of a cluster is replaced.", path: ["operation"] });
    }
    const now = await tx.now();
    const inputs: Record<string, Json> = operation.value === null ? {} : { operation: operation.value };
    const actionId = await acceptNodeAction(tx, context, now, node, { kind: "NODE_RECOVER", inputs });
    if (operation.value === "replace") await replace(tx, now, node, actionId);
    else if (nodeTransition(node.status, "recoverBegun") === "RECOVERING") await restart(tx, now, node, actionId);
    // Of an unknown one it is read back first what is there at all.
    else await lookAt(tx, now, node, actionId);
    work.onCommit(() => context.store.wake.work());
    return { ok: true, value: { nodeId: node.id, actionId } };
  });
}

async function restart(tx: Tx, now: Date, node: NodeState, actionId: ActionId): Promise<void> {
  await supersedeNodeActions(tx, now, [node], actionId);
  await saveNodes(tx, now, [{ node: { ...node, actionId }, patch: { status: "RECOVERING", actionId } }]);
  await setTasks(tx.db, [{ node, kind: "RECOVER", dueAt: dueOf(now, "takingAwayOrMending", 1), params: { stage: "close" } }]);
}

/** It goes; the cluster wants as many as before, so another one is made. */
async function replace(tx: Tx, now: Date, node: NodeState, actionId: ActionId): Promise<void> {
  await supersedeNodeActions(tx, now, [node], actionId);
  await wantNodesDeleted(tx, now, [{ ...node, actionId }], actionId);
  if (node.status === "PLANNED") await endNodeAction(tx, now, actionId);
  if (node.clusterId !== null) tx.markDue(node.clusterId);
}

/** Tasks that read back or make the node anew: their outcome says how it is. */
const telling: ReadonlySet<TaskKind> = new Set(["CREATE", "RECOVER", "UPDATE", "OPERATE"]);

async function lookAt(tx: Tx, now: Date, node: NodeState, actionId: ActionId): Promise<void> {
  const task = await readTask(tx.db, node.id);
  // What was lost may still be on its way: looked for before its time, it would seem absent, and be made twice.
  const settling = task?.kind === "INSPECT" && task.attempt === 0;
  const busy = task !== null && (task.begun || telling.has(task.kind) || settling);
  if (node.actionId !== null && busy) {
    await endNodeAction(tx, now, actionId, `the ${task.kind} that is under way tells how the node is`);
    return;
  }
  await supersedeNodeActions(tx, now, [node], actionId);
  await saveNodes(tx, now, [{ node, patch: { actionId } }]);
  // What a reading back knows of the step that was lost, the check must know as well.
  if (!busy) await setTasks(tx.db, [{ node, kind: "CHECK", dueAt: now, params: task?.kind === "INSPECT" ? task.params : null }]);
}
