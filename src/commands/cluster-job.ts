/** Jobs on a cluster: check every member, remedy the sick. They wish nothing, supersede nothing, and only a deletion supersedes them. */

import { documentIssues } from "../core/document.ts";
import { type InputIssue, type Result, refused } from "../core/errors.ts";
import { brandId } from "../core/ids.ts";
import { type Json, type JsonObject, safeText } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";
import { madeIn } from "../core/plan/aggregates.ts";
import { insertActions, stepActions } from "../store/action-write.ts";
import type { ClusterRow } from "../store/cluster.ts";
import type { Counts } from "../store/count.ts";
import { type ClusterAction, type CommandContext, initiatorOf, mutate, reviveClusterAction, type Work } from "./command.ts";
import type { CheckClusterInput, Optional, RecoverClusterInput } from "./input.ts";
import { lockNamedCluster } from "./lookup.ts";
import { refusePile } from "./quota.ts";
import { countsOf } from "./size-wish.ts";

/** The remedy an input asks for by name; null: it leaves the choice to Muster. */
export function remedyOperation<Name extends string>(asked: Optional<string>, known: readonly Name[]): Result<Name | null> {
  if (asked == null) return { ok: true, value: null };
  const name = known.find((each) => each === asked.toLowerCase());
  if (name !== undefined) return { ok: true, value: name };
  return refused({
    kind: "Unsupported",
    operation: safeText(asked, 128),
    message: `Recovering knows ${known.join(" and ")} here.`,
    path: ["operation"],
  });
}

/** No operation takes parameters yet. */
export function paramsIssues(params: Optional<JsonObject>, limits: Limits): InputIssue[] {
  if (params == null) return [];
  const issues = documentIssues(params, ["params"], limits.metadataBytes);
  return issues.length > 0 ? issues : Object.keys(params).map((key) => ({ path: ["params", key], message: "is not a parameter of this operation" }));
}

/** Asks the driver about every member. The planner lays the tasks, in windows. */
export async function checkCluster(context: CommandContext, input: CheckClusterInput): Promise<Result<ClusterAction>> {
  return mutate(context, { name: "checkCluster", needs: "MEMBER", input, issues: [], revive: reviveClusterAction }, async (work) => {
    const locked = await lockNamedCluster(work, context, input);
    if (!locked.ok) return locked;
    const counts = await countsOf(work.tx, locked.value);
    return acceptJob(work, context, locked.value, counts, {
      kind: "CLUSTER_CHECK",
      counter: "CHECKED",
      inputs: {},
      total: madeIn(counts),
      reached: counts.checked_total,
    });
  });
}

/** Remedies all members in ERROR now, instead of when their back-off is over. The planner begins the remedies, in windows. */
export async function recoverCluster(context: CommandContext, input: RecoverClusterInput): Promise<Result<ClusterAction>> {
  const issues = paramsIssues(input.params, context.limits);
  return mutate(context, { name: "recoverCluster", needs: "MEMBER", input, issues, revive: reviveClusterAction }, async (work) => {
    const operation = remedyOperation(input.operation, ["restart", "replace"]);
    if (!operation.ok) return operation;
    const locked = await lockNamedCluster(work, context, input);
    if (!locked.ok) return locked;
    const counts = await countsOf(work.tx, locked.value);
    const inputs: Record<string, Json> = operation.value === null ? {} : { operation: operation.value };
    return acceptJob(work, context, locked.value, counts, {
      kind: "CLUSTER_RECOVER",
      counter: "RECOVERED",
      inputs,
      total: counts.error,
      reached: counts.recovered_total,
    });
  });
}

interface Job {
  readonly kind: "CLUSTER_CHECK" | "CLUSTER_RECOVER";
  readonly counter: "CHECKED" | "RECOVERED";
  readonly inputs: JsonObject;
  readonly total: number;
  /** Where the running total stands that counts it. */
  readonly reached: number;
}

async function acceptJob({ tx }: Work, context: CommandContext, cluster: ClusterRow, counts: Counts, job: Job): Promise<Result<ClusterAction>> {
  const piled = await refusePile(tx, cluster);
  if (piled !== null) return piled;
  const now = await tx.now();
  const actionId = brandId("action", context.store.runtime.entropy.uuid());
  await insertActions(tx, now, [
    {
      id: actionId,
      projectId: cluster.projectId,
      kind: job.kind,
      cause: "USER",
      initiator: initiatorOf(context.principal),
      clusterId: cluster.id,
      clusterName: cluster.name,
      nodeId: null,
      nodeName: null,
      generation: cluster.generation,
      inputs: job.inputs,
      total: job.total,
      counter: job.counter,
      goal: BigInt(job.reached + job.total),
      failedBase: BigInt(counts.failed_total),
      timeoutAt: new Date(now.getTime() + cluster.timeoutSeconds * 1_000),
    },
  ]);
  if (job.total === 0) await stepActions(tx, now, [{ id: actionId, event: "succeeded" }]);
  tx.markDue(cluster.id);
  return { ok: true, value: { clusterId: cluster.id, actionId } };
}
