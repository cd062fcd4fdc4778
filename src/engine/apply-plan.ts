/**
 * One window of a plan, applied in one transaction: new members with their tasks, members that are to go, remedies, a roll-out, the next members of a job,
 * ends of actions, what was observed. It holds no cluster row: the plan was made against a generation and a status, and is void when either
 * has changed.
 */
import type { ActionId, ClusterId } from "../core/ids.ts";
import type { ClusterPlan } from "../core/plan/cluster-plan.ts";
import { type OpenAction, stepActions } from "../store/action-write.ts";
import { deleteClusterRows, type PlannedCluster, readGeneration, saveObserved, selectVictims, takeIndexes } from "../store/cluster-plan.ts";
import type { DueCluster } from "../store/due.ts";
import type { JobCursor } from "../store/job.ts";
import { checkLanes } from "../store/lane.ts";
import { insertPlannedNodes, lockNodes } from "../store/node-write.ts";
import { holdProfiles } from "../store/profile.ts";
import { wantNodesDeleted } from "../store/task.ts";
import { abandonNodes, listUnreachable } from "../store/tombstone.ts";
import { type Store, type Tx, transaction } from "../store/transaction.ts";
import { heal } from "./heal.ts";
import { spreadJob } from "./jobs.ts";
import type { LaneBook } from "./lane-book.ts";
import { type Host, newMembers } from "./new-members.ts";
import { rollOut } from "./roll-out.ts";
import type { SpecCache } from "./specs.ts";

/** Rows a window may want gone or heal: far below 10,000 rows with their tasks, counts and events. */
export const windowRows = 2_500;

/** Jobs that have not reached all members yet, and how far each has come. */
export interface Jobs {
  readonly open: readonly OpenAction[];
  readonly cursors: ReadonlyMap<ActionId, JobCursor>;
}

/** void: the wish has changed meanwhile, nothing was done. more: what was done needs another pass at once. */
export type Applied = "void" | "done" | "more";

/** Applies one window of a plan. */
export async function applyPlan(
  deps: { readonly store: Store; readonly lanes: LaneBook; readonly specs: SpecCache },
  due: DueCluster,
  cluster: PlannedCluster,
  plan: ClusterPlan<ActionId>,
  hosts: readonly Host[] | null,
  jobs: Jobs,
): Promise<Applied> {
  const { store, lanes } = deps;
  const create = Math.min(plan.create, windowRows);
  const abandoning = cluster.deleting && cluster.abandon && !plan.forget;
  if (jobs.open.length === 0 && !abandoning && idle(cluster, plan)) return "done";
  const firstIndex = create > 0 ? await takeIndexes(store.db, cluster.id, create) : 0;
  const rolled = plan.rollOut.idle + plan.rollOut.working > 0;
  return transaction(store, async (tx) => {
    // What members are made from must be there as long as they are.
    if ((create > 0 || rolled) && (await holdProfiles(tx.db, [cluster.profileId])).size === 0) return "void";
    await checkLanes(tx.db, new Map([[due.lane, lanes.held.get(due.lane) ?? 0n]]));
    if ((await readGeneration(tx.db, cluster.id, cluster.deleting)) !== cluster.generation) return "void";
    // Its own changes need no further pass: it has planned them.
    const quiet: Tx = { ...tx, markDue: () => undefined };
    const now = await tx.now();
    if (create > 0) await insertPlannedNodes(quiet, now, newMembers(cluster, firstIndex, create, hosts, store.runtime.entropy));
    if (cluster.deleting && cluster.abandon)
      await abandonNodes(quiet, now, await lockNodes(tx.db, await listUnreachable(tx.db, cluster.id, windowRows)));
    // Who was never begun goes at once: no outcome will have the cluster planned again.
    const gone = plan.remove > 0 ? await removeMembers(quiet, now, cluster, Math.min(plan.remove, windowRows)) : 0;
    const switched = rolled ? await rollOut(deps.specs, quiet, now, cluster, plan.rollOut) : 0;
    const replaced =
      plan.heal > 0
        ? await heal(quiet, now, cluster, { limit: Math.min(plan.heal, windowRows), certainOnly: plan.healCertainOnly }, store.runtime.entropy)
        : 0;
    await stepActions(quiet, now, plan.actions);
    for (const job of jobs.open) await spreadJob(quiet, now, cluster, job, jobs.cursors.get(job.id) ?? { after: null, done: false });
    tellChanges(tx, cluster, plan);
    if (plan.forget) {
      tx.events.push({ type: "cluster.deleted", ...about(cluster), data: {} });
      await deleteClusterRows(tx.db, cluster.id);
    } else await saveObserved(tx.db, now, cluster.id, cluster.status, plan);
    return replaced + gone + switched > 0 ? "more" : "done";
  });
}

/** Nothing to write: the common end of a round of passes. */
function idle(cluster: PlannedCluster, plan: ClusterPlan<ActionId>): boolean {
  const same =
    cluster.conditions.length === plan.conditions.length &&
    plan.conditions.every((next, i) => {
      const former = cluster.conditions[i];
      return (
        former?.status === next.status &&
        former.reason === next.reason &&
        former.message === next.message &&
        former.observedGeneration === next.observedGeneration
      );
    });
  return (
    plan.create === 0 &&
    plan.remove === 0 &&
    plan.heal === 0 &&
    plan.rollOut.idle + plan.rollOut.working === 0 &&
    plan.actions.length === 0 &&
    !plan.forget &&
    same &&
    plan.brake.suspected === cluster.brake.suspected &&
    plan.brake.calmAtMs === cluster.brake.calmAtMs &&
    plan.status === cluster.status &&
    plan.statusReason === cluster.statusReason &&
    plan.observedGeneration === cluster.observedGeneration
  );
}

function about(cluster: PlannedCluster): { projectId: PlannedCluster["projectId"]; clusterId: ClusterId; clusterName: string } {
  return { projectId: cluster.projectId, clusterId: cluster.id, clusterName: cluster.name };
}

/** Returns how many are gone already. */
async function removeMembers(tx: Tx, now: Date, cluster: PlannedCluster, count: number): Promise<number> {
  const victims = await selectVictims(tx.db, cluster.id, count, !cluster.deleting);
  return wantNodesDeleted(tx, now, await lockNodes(tx.db, victims));
}

function tellChanges(tx: Tx, cluster: PlannedCluster, plan: ClusterPlan<ActionId>): void {
  if (plan.status !== cluster.status) {
    const grave =
      plan.status === "CRITICAL" || plan.status === "ERROR"
        ? { level: "ERROR" as const }
        : plan.status === "WARNING"
          ? { level: "WARNING" as const }
          : {};
    tx.events.push({
      type: "cluster.status.changed",
      ...grave,
      ...about(cluster),
      data: { from: cluster.status, to: plan.status, reason: plan.statusReason },
    });
  }
  for (const condition of plan.conditions) {
    const former = cluster.conditions.find((known) => known.type === condition.type);
    if (former?.status === condition.status || (former === undefined && condition.status === "FALSE")) continue;
    tx.events.push({
      type: "cluster.condition.changed",
      ...about(cluster),
      data: { type: condition.type, status: condition.status, reason: condition.reason, message: condition.message },
    });
  }
  if (plan.observedGeneration > cluster.observedGeneration) {
    tx.events.push({ type: "cluster.settled", ...about(cluster), data: { generation: plan.observedGeneration } });
  }
}
