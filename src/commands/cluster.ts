/** Clusters: made, changed, deleted. Nothing here waits for members: what is wanted is written, the planner does the rest. */

import { boundIssues, desiredIssues } from "../core/cluster.ts";
import { documentIssues } from "../core/document.ts";
import { type InputIssue, invalidInput, type Result, refused } from "../core/errors.ts";
import { brandId, type ClusterId, encodeId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import { defaultNodeNameFormat, nameIssues, nodeNameFormatIssues } from "../core/name.ts";
import { standingIn } from "../core/plan/aggregates.ts";
import { insertActions, stepActions, supersedeActions } from "../store/action-write.ts";
import type { ClusterRow } from "../store/cluster.ts";
import { findClusterIdByName, insertCluster, saveWanted, setClusterStatus, type WantedPatch } from "../store/cluster-write.ts";
import { noCounts } from "../store/count.ts";
import type { SealedProfile } from "../store/profile.ts";
import { noGoal, profileGoal, refuseOtherType, tellProfile } from "./cluster-profile.ts";
import { type ClusterAction, type CommandContext, initiatorOf, mutate, reviveClusterAction, type Work } from "./command.ts";
import type { CreateClusterInput, DeleteClusterInput, UpdateClusterInput } from "./input.ts";
import { deletingCluster, lockNamedCluster, notNull, shownId } from "./lookup.ts";
import { lockNamedProfile } from "./profile.ts";
import { refuseMaking } from "./profile-type.ts";
import { checkQuota, lockForQuota } from "./quota.ts";
import { countsOf, goalOf } from "./size-wish.ts";

/** A week: longer than any roll-out that somebody still waits for. */
const timeoutLimit = 604_800;

function timeoutIssues(seconds: number): InputIssue[] {
  return seconds < 1 || seconds > timeoutLimit ? [{ path: ["timeoutSeconds"], message: `must be from 1 to ${timeoutLimit}` }] : [];
}

/** A new cluster as it is wanted, defaults filled in. */
function withDefaults(input: CreateClusterInput) {
  const { name, minSize, timeoutSeconds } = input;
  return {
    name,
    desiredCapacity: input.desiredCapacity ?? minSize,
    minSize,
    maxSize: input.maxSize ?? null,
    nodeNameFormat: input.nodeNameFormat ?? defaultNodeNameFormat,
    timeoutSeconds,
    metadata: input.metadata ?? {},
  };
}

export async function createCluster(context: CommandContext, input: CreateClusterInput): Promise<Result<ClusterAction>> {
  const wanted = withDefaults(input);
  const { name, desiredCapacity, minSize, maxSize } = wanted;
  const issues: InputIssue[] = [
    ...nameIssues(name, ["name"]),
    ...boundIssues(minSize, maxSize),
    ...(input.desiredCapacity == null ? [] : desiredIssues(desiredCapacity, minSize, maxSize, ["desiredCapacity"])),
    ...documentIssues(wanted.metadata, ["metadata"], context.limits.metadataBytes),
    ...nodeNameFormatIssues(wanted.nodeNameFormat, ["nodeNameFormat"]),
    ...timeoutIssues(wanted.timeoutSeconds),
  ];
  return mutate(context, { name: "createCluster", needs: "MEMBER", input, issues, revive: reviveClusterAction }, async (work) => {
    const project = await lockForQuota(work, context);
    if (!project.ok) return project;
    const profile = await lockNamedProfile(work, context, input.profile, "share");
    if (!profile.ok) return profile;
    const unusable = refuseMaking(context, profile.value.type);
    if (unusable !== null) return unusable;
    const holder = await findClusterIdByName(work.tx.db, project.value.id, name);
    if (holder !== null) return nameTaken(name, holder);
    const tooMany = await checkQuota(work, project.value, { clusters: 1, nodes: desiredCapacity });
    if (tooMany !== null) return tooMany;
    return { ok: true, value: await accept(work, context, profile.value, wanted) };
  });
}

async function accept(
  { tx, onCommit }: Work,
  context: CommandContext,
  profile: SealedProfile,
  wanted: ReturnType<typeof withDefaults>,
): Promise<ClusterAction> {
  const now = await tx.now();
  const { entropy } = context.store.runtime;
  const clusterId = brandId("cluster", entropy.uuid());
  const actionId = brandId("action", entropy.uuid());
  const { projectId, id: profileId } = profile;
  const { metadata: _, ...inputs } = { ...wanted, profile: shownId("profile", profileId) };
  const { name, desiredCapacity, minSize, maxSize, timeoutSeconds } = wanted;
  await insertCluster(tx, { id: clusterId, projectId, profileId, actionId, now, ...wanted });
  const about = { projectId, clusterId, clusterName: name };
  const data = { profileId: encodeId("profile", profileId), desiredCapacity, minSize, maxSize, generation: 1 };
  tx.events.push({ type: "cluster.created", ...about, actionId, data });
  const goal = goalOf(noCounts, 0, desiredCapacity, false);
  await insertActions(tx, now, [
    {
      id: actionId,
      ...about,
      kind: "CLUSTER_CREATE",
      cause: "USER",
      initiator: initiatorOf(context.principal),
      nodeId: null,
      nodeName: null,
      generation: 1,
      inputs,
      total: goal.total,
      counter: "CREATED",
      goal: goal.goal,
      timeoutAt: new Date(now.getTime() + timeoutSeconds * 1_000),
    },
  ]);
  if (goal.total === 0) await stepActions(tx, now, [{ id: actionId, event: "succeeded" }]);
  onCommit(() => context.store.wake.plan());
  return { clusterId, actionId };
}

/** Changes a cluster. All but a new profile needs no work: its action succeeds at once. */
export async function updateCluster(context: CommandContext, input: UpdateClusterInput): Promise<Result<ClusterAction>> {
  const issues: InputIssue[] = [
    ...notNull({ ...input }, ["name", "profile", "metadata", "minSize", "timeoutSeconds"]),
    ...(typeof input.name === "string" ? nameIssues(input.name, ["name"]) : []),
    ...documentIssues(input.metadata ?? {}, ["metadata"], context.limits.metadataBytes),
    ...(typeof input.timeoutSeconds === "number" ? timeoutIssues(input.timeoutSeconds) : []),
    ...(typeof input.minSize === "number" ? boundIssues(input.minSize, input.maxSize ?? null) : boundIssues(0, input.maxSize ?? null)),
  ];
  return mutate(context, { name: "updateCluster", needs: "MEMBER", input, issues, revive: reviveClusterAction }, async (work) => {
    const { tx } = work;
    const named = input.profile == null ? null : await lockNamedProfile(work, context, input.profile, "share");
    if (named !== null && !named.ok) return named;
    const locked = await lockNamedCluster(work, context, input);
    if (!locked.ok) return locked;
    const cluster = locked.value;
    const profile = named === null ? null : named.value;
    const unfit = profile === null ? null : await refuseOtherType(work, context, cluster, profile);
    if (unfit !== null) return unfit;
    const { patch, inputs } = patchOf(input, profile);
    const next = { ...cluster, ...patch };
    const wrong = updatedBoundIssues(cluster, next.minSize, next.maxSize);
    if (wrong.length > 0) return invalidInput(wrong);
    if (next.name !== cluster.name) {
      const holder = await findClusterIdByName(tx.db, cluster.projectId, next.name);
      if (holder !== null) return nameTaken(next.name, holder);
    }
    const now = await tx.now();
    const actionId = brandId("action", context.store.runtime.entropy.uuid());
    const changed = Object.keys(inputs).length > 0 && differs(cluster, next);
    const generation = cluster.generation + (changed ? 1 : 0);
    const about = { projectId: cluster.projectId, clusterId: cluster.id, clusterName: cluster.name };
    const moves = next.profileId !== cluster.profileId;
    if (changed || profile !== null) {
      const facet = profile === null ? {} : { profileActionId: actionId };
      const change = moves ? { formerProfileId: cluster.profileId, profileChangedAt: now } : {};
      await saveWanted(tx, now, cluster, { ...patch, ...facet, ...change, generation });
    }
    if (changed) {
      tx.events.push({
        type: "cluster.updated",
        ...about,
        actionId,
        data: { name: next.name, minSize: next.minSize, maxSize: next.maxSize, generation },
      });
      if (moves) tellProfile(tx, cluster, next.profileId, generation, actionId);
      tx.markDue(cluster.id);
    }
    const action = {
      id: actionId,
      ...about,
      kind: "CLUSTER_UPDATE" as const,
      cause: "USER" as const,
      initiator: initiatorOf(context.principal),
      nodeId: null,
      nodeName: null,
    };
    const counts = profile === null ? noCounts : await countsOf(tx, cluster);
    const goal = profile === null ? noGoal : await profileGoal(tx, now, next, counts);
    await insertActions(tx, now, [{ ...action, generation, inputs, ...goal }]);
    if (profile !== null) await supersedeActions(tx, now, { clusterId: cluster.id, facet: "PROFILE", by: actionId, totals: counts });
    if (goal.total === 0) await stepActions(tx, now, [{ id: actionId, event: "succeeded" }]);
    return { ok: true, value: { clusterId: cluster.id, actionId } };
  });
}

function patchOf(input: UpdateClusterInput, profile: SealedProfile | null): { readonly patch: WantedPatch; readonly inputs: Record<string, Json> } {
  const inputs: Record<string, Json> = {};
  if (input.name != null) inputs["name"] = input.name;
  if (profile !== null) inputs["profile"] = shownId("profile", profile.id);
  if (input.minSize != null) inputs["minSize"] = input.minSize;
  if (input.maxSize !== undefined) inputs["maxSize"] = input.maxSize;
  if (input.timeoutSeconds != null) inputs["timeoutSeconds"] = input.timeoutSeconds;
  // Of metadata, that it was changed: it may be large, and reads from the cluster.
  if (input.metadata != null) inputs["metadata"] = {};
  const patch: WantedPatch = {
    ...(input.name == null ? {} : { name: input.name }),
    ...(profile === null ? {} : { profileId: profile.id }),
    ...(input.minSize == null ? {} : { minSize: input.minSize }),
    ...(input.maxSize === undefined ? {} : { maxSize: input.maxSize }),
    ...(input.timeoutSeconds == null ? {} : { timeoutSeconds: input.timeoutSeconds }),
    ...(input.metadata == null ? {} : { metadata: input.metadata }),
  };
  return { patch, inputs };
}

/** New bounds must leave what is wanted where it is: moving it is a resize. */
function updatedBoundIssues(cluster: ClusterRow, minSize: number, maxSize: number | null): InputIssue[] {
  const issues = boundIssues(minSize, maxSize);
  const { desiredCapacity } = cluster;
  if (minSize > desiredCapacity) issues.push({ path: ["minSize"], message: `must not be above the desired capacity ${desiredCapacity}` });
  if (maxSize !== null && maxSize < desiredCapacity)
    issues.push({ path: ["maxSize"], message: `must not be below the desired capacity ${desiredCapacity}` });
  return issues;
}

function differs(cluster: ClusterRow, next: ClusterRow): boolean {
  return (
    next.name !== cluster.name ||
    next.profileId !== cluster.profileId ||
    next.minSize !== cluster.minSize ||
    next.maxSize !== cluster.maxSize ||
    next.timeoutSeconds !== cluster.timeoutSeconds ||
    next.metadata !== cluster.metadata
  );
}

function nameTaken(name: string, id: ClusterId): ReturnType<typeof refused> {
  return refused({
    kind: "Conflict",
    reason: "NAME_TAKEN",
    message: `There is a cluster ${name} already.`,
    path: ["name"],
    object: { type: "cluster", id },
  });
}

/**
 * Wants a cluster gone: supersedes everything. Said again it is a conflict, but for one that adds `abandon`, without which a deletion
 * that waits for an unreachable host could never end.
 */
export async function deleteCluster(context: CommandContext, input: DeleteClusterInput): Promise<Result<ClusterAction>> {
  const needs = input.abandon ? "ADMIN" : "MEMBER";
  return mutate(context, { name: "deleteCluster", needs, input, issues: [], revive: reviveClusterAction }, async (work) => {
    const { tx } = work;
    const locked = await lockNamedCluster(work, context, input, { deleting: "allowed" });
    if (!locked.ok) return locked;
    const cluster = locked.value;
    if (cluster.deleting && (cluster.abandon || !input.abandon)) return deletingCluster(cluster);
    const counts = await countsOf(tx, cluster);
    const now = await tx.now();
    const actionId = brandId("action", context.store.runtime.entropy.uuid());
    const generation = cluster.generation + 1;
    const about = { projectId: cluster.projectId, clusterId: cluster.id, clusterName: cluster.name };
    await saveWanted(tx, now, cluster, { deleting: true, abandon: input.abandon, generation, existenceActionId: actionId });
    tx.events.push({ type: "cluster.deletion.wanted", ...about, actionId, data: { generation } });
    const total = standingIn(counts) + counts.deleting;
    const action = {
      id: actionId,
      ...about,
      kind: "CLUSTER_DELETE" as const,
      cause: "USER" as const,
      initiator: initiatorOf(context.principal),
      nodeId: null,
      nodeName: null,
    };
    await insertActions(tx, now, [
      {
        ...action,
        generation,
        inputs: { abandon: input.abandon },
        total,
        counter: "DELETED",
        goal: BigInt(counts.deleted_total + total),
        failedBase: BigInt(counts.failed_total),
        timeoutAt: new Date(now.getTime() + cluster.timeoutSeconds * 1_000),
      },
    ]);
    await supersedeActions(tx, now, { clusterId: cluster.id, facet: "ALL", by: actionId, totals: counts });
    // After the actions, as planners do: else each waits for the other.
    const former = await setClusterStatus(tx.db, now, cluster.id, "DELETING", null);
    if (former !== "DELETING")
      tx.events.push({ type: "cluster.status.changed", ...about, actionId, data: { from: former, to: "DELETING", reason: null } });
    tx.markDue(cluster.id);
    return { ok: true, value: { clusterId: cluster.id, actionId } };
  });
}
