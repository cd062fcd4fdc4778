/** Beginning remedies: who is treated was decided by the plan, under the brake; how, by the ladder. */

import { nodeActionTimeoutMs } from "../core/action.ts";
import { brandId, type ClusterId, type NodeId } from "../core/ids.ts";
import { nextRemedy } from "../core/plan/ladder.ts";
import { dueOf } from "../core/precedence.ts";
import type { Entropy } from "../core/runtime.ts";
import { insertActions, stepActions, supersedeNodeActions } from "../store/action-write.ts";
import type { PlannedCluster } from "../store/cluster-plan.ts";
import type { Database } from "../store/database.ts";
import { lockNodes, saveNodes } from "../store/node-write.ts";
import { listPatients, type Patient } from "../store/notable.ts";
import { setTasks, wantNodesDeleted } from "../store/task.ts";
import type { Tx } from "../store/transaction.ts";

/** Whom a window heals, without changing anything. @param limit how many, at most */
export async function findPatients(db: Database, now: Date, clusterId: ClusterId, limit: number, certainOnly: boolean): Promise<readonly Patient[]> {
  if (limit === 0) return [];
  return (await listPatients(db, clusterId, now, limit)).filter((patient) => patient.certain || !certainOnly);
}

/**
 * Begins remedies: an action each, cause HEALTH. Who has used up the restarts is replaced: it goes, and the next pass makes another.
 * Returns how many are replaced.
 */
export async function heal(tx: Tx, now: Date, cluster: PlannedCluster, patients: readonly Patient[], entropy: Entropy): Promise<number> {
  if (patients.length === 0) return 0;
  const byId = new Map<NodeId, Patient>(patients.map((patient) => [patient.nodeId, patient]));
  // Who came back by itself since it was listed is left in peace.
  const sick = (await lockNodes(tx.db, [...byId.keys()])).filter((node) => node.status === "ERROR");
  const treated = sick.map((node) => ({
    node,
    actionId: brandId("action", entropy.uuid()),
    remedy: nextRemedy({ rung: byId.get(node.id)?.rung ?? 0, protected: byId.get(node.id)?.protected ?? false }),
  }));
  await insertActions(
    tx,
    now,
    treated.map(({ node, actionId, remedy }) => ({
      id: actionId,
      projectId: cluster.projectId,
      kind: "NODE_RECOVER" as const,
      cause: "HEALTH" as const,
      initiator: "health",
      clusterId: cluster.id,
      clusterName: cluster.name,
      nodeId: node.id,
      nodeName: node.name,
      generation: null,
      inputs: { operation: remedy.toUpperCase(), reason: node.statusReason },
      total: 1,
      counter: null,
      timeoutAt: new Date(now.getTime() + nodeActionTimeoutMs),
    })),
  );
  await stepActions(
    tx,
    now,
    treated.map(({ actionId }) => ({ id: actionId, event: "begun" as const })),
  );
  await supersedeNodeActions(
    tx,
    now,
    treated.map(({ node }) => node),
    null,
  );
  const restarted = treated.filter(({ remedy }) => remedy === "restart").map(({ node, actionId }) => ({ node: { ...node, actionId } }));
  await saveNodes(
    tx,
    now,
    restarted.map(({ node }) => ({ node, patch: { status: "RECOVERING", statusReason: node.statusReason, actionId: node.actionId } })),
  );
  await setTasks(
    tx.db,
    restarted.map(({ node }) => ({ node, kind: "RECOVER", dueAt: dueOf(now, "takingAwayOrMending", restarted.length), params: { stage: "close" } })),
  );
  const replaced = treated.filter(({ remedy }) => remedy === "replace");
  for (const { node, actionId } of replaced) await wantNodesDeleted(tx, now, [{ ...node, actionId }], actionId);
  return replaced.length;
}
