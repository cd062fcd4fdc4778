/**
 * A wish about a cluster's size, carried out: wanted columns, generation, action with its goal, what it supersedes, events, and the
 * mark that has it planned. Every command that moves the wanted size ends here.
 */

import type { ActionKind } from "../core/action.ts";
import type { Resize } from "../core/cluster.ts";
import type { Result } from "../core/errors.ts";
import { type ActionId, brandId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { standingIn } from "../core/plan/aggregates.ts";
import { type Goal, sizeGoal } from "../core/plan/goal.ts";
import { insertActions, type NewAction, stepActions, supersedeActions } from "../store/action-write.ts";
import type { ClusterRow } from "../store/cluster.ts";
import { saveWanted } from "../store/cluster-write.ts";
import { type Counts, noCounts, readCounts } from "../store/count.ts";
import type { ProjectRow } from "../store/project.ts";
import type { Tx } from "../store/transaction.ts";
import { type ClusterAction, type CommandContext, initiatorOf, type Work } from "./command.ts";
import { checkQuota, refusePile } from "./quota.ts";

export interface SizeWish {
  readonly kind: ActionKind;
  readonly inputs: JsonObject;
  readonly next: Resize;
  /** Moves the target and supersedes nothing; else it replaces every unfinished wish about the size. */
  readonly relative: boolean;
}

export async function wishSize(
  work: Work,
  context: CommandContext,
  project: ProjectRow,
  cluster: ClusterRow,
  wish: SizeWish,
): Promise<Result<ClusterAction>> {
  const { tx } = work;
  const tooMany = await checkQuota(work, project, { nodes: wish.next.desiredCapacity - cluster.desiredCapacity });
  if (tooMany !== null) return tooMany;
  const piled = wish.relative ? await refusePile(tx, cluster) : null;
  if (piled !== null) return piled;
  const counts = await countsOf(tx, cluster);
  const now = await tx.now();
  const actionId = brandId("action", context.store.runtime.entropy.uuid());
  const changed = movesSize(cluster, wish.next);
  const generation = cluster.generation + (changed ? 1 : 0);
  const live = wish.relative ? {} : { sizeActionId: actionId };
  if (changed || !wish.relative) await saveWanted(tx, now, cluster, { ...wish.next, generation, ...live });
  if (changed) tellResized(tx, cluster, wish.next, generation, actionId);
  const action = sizeAction(context, cluster, counts, now, { ...wish, id: actionId, generation });
  await insertActions(tx, now, [action]);
  if (!wish.relative) await supersedeActions(tx, now, { clusterId: cluster.id, facet: "SIZE", by: actionId, totals: counts });
  if (action.total === 0) await stepActions(tx, now, [{ id: actionId, event: "succeeded" }]);
  tx.markDue(cluster.id);
  return { ok: true, value: { clusterId: cluster.id, actionId } };
}

/** The action of a wish about a locked cluster's size. */
export function sizeAction(
  context: CommandContext,
  cluster: ClusterRow,
  counts: Counts,
  now: Date,
  wish: SizeWish & { readonly id: ActionId; readonly generation: number },
): NewAction & { readonly generation: number; readonly goal: bigint; readonly failedBase: bigint } {
  const goal = goalOf(counts, cluster.desiredCapacity, wish.next.desiredCapacity, wish.relative);
  return {
    id: wish.id,
    projectId: cluster.projectId,
    kind: wish.kind,
    cause: "USER",
    initiator: initiatorOf(context.principal),
    clusterId: cluster.id,
    clusterName: cluster.name,
    nodeId: null,
    nodeName: null,
    generation: wish.generation,
    inputs: wish.inputs,
    total: goal.total,
    counter: goal.direction === "grow" ? "CREATED" : "DELETED",
    goal: goal.goal,
    failedBase: BigInt(counts.failed_total),
    timeoutAt: new Date(now.getTime() + cluster.timeoutSeconds * 1_000),
  };
}

/** Whether what is wanted becomes something else: then it has another generation. */
export function movesSize(cluster: Resize, next: Resize): boolean {
  return next.desiredCapacity !== cluster.desiredCapacity || next.minSize !== cluster.minSize || next.maxSize !== cluster.maxSize;
}

/** How many members such a wish must change, from where the counts stand. */
export function goalOf(counts: Counts, former: number, desired: number, relative: boolean): Goal {
  const facts = {
    desired,
    former,
    standing: standingIn(counts),
    unmade: counts.planned + counts.creating,
    leaving: counts.deleting,
    createdTotal: BigInt(counts.created_total),
    deletedTotal: BigInt(counts.deleted_total),
  };
  return sizeGoal(facts, relative);
}

/** A locked cluster's counts, read after the lock. */
export async function countsOf(tx: Tx, cluster: Pick<ClusterRow, "id">): Promise<Counts> {
  return (await readCounts(tx.db, [cluster.id])).get(cluster.id) ?? noCounts;
}

export function tellResized(tx: Tx, cluster: ClusterRow, next: Resize, generation: number, actionId: ActionId | null): void {
  tx.events.push({
    type: "cluster.resized",
    projectId: cluster.projectId,
    clusterId: cluster.id,
    clusterName: cluster.name,
    actionId,
    data: { from: cluster.desiredCapacity, to: next.desiredCapacity, minSize: next.minSize, maxSize: next.maxSize, generation },
  });
}
