/** Named nodes: made, marked, deleted. A member that is made or deleted by name moves its cluster's wanted size with it. */
import { desiredIssues } from "../core/cluster.ts";
import { documentIssues, textIssues } from "../core/document.ts";
import { type InputIssue, invalidInput, type Result, refused } from "../core/errors.ts";
import { brandId, type NodeId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import { hostLane, laneOf } from "../core/lane.ts";
import { nameIssues, nodeName, randomText } from "../core/name.ts";
import { standingIn } from "../core/plan/aggregates.ts";
import { supersedeNodeActions } from "../store/action-write.ts";
import type { ClusterRow } from "../store/cluster.ts";
import { selectVictims, takeIndexes } from "../store/cluster-plan.ts";
import { lockCluster, saveWanted } from "../store/cluster-write.ts";
import { findNameHolder, getNodesByIds } from "../store/node.ts";
import { saveMarks } from "../store/node-mark.ts";
import { insertPlannedNodes, lockNodes, type NodeState, type PlannedNode } from "../store/node-write.ts";
import type { SealedProfile } from "../store/profile.ts";
import { wantNodesDeleted } from "../store/task.ts";
import { abandonNodes } from "../store/tombstone.ts";
import { liveHosts } from "../store/worker.ts";
import { type CommandContext, mutate, type NodeAction, Outrun, reviveNodeAction, type Work } from "./command.ts";
import type { CreateClusterNodeInput, DeleteClusterNodeInput, ObjectBy, Optional, UpdateClusterNodeInput } from "./input.ts";
import { deletingCluster, findNamedNode, lockNamedCluster, notNull, shownId } from "./lookup.ts";
import { acceptNodeAction, deletingNode, endNodeAction, lockNamedNode } from "./node-action.ts";
import { lockNamedProfile } from "./profile.ts";
import { refuseMaking } from "./profile-type.ts";
import { checkQuota, lockForQuota } from "./quota.ts";
import { countsOf, tellResized } from "./size-wish.ts";

/** Members that a mutation takes away at most to make room for one: it is to answer soon. */
const mostToMakeRoom = 100;

/** Roles are short words of the user's own. */
const roleLength = 128;

function roleIssues(role: Optional<string>): InputIssue[] {
  if (role == null) return [];
  return role.length === 0 ? [{ path: ["role"], message: "must not be empty: leave it out, or null" }] : textIssues(role, ["role"], roleLength);
}

/** A node by itself, or a member: then the cluster wants one more. */
export async function createClusterNode(context: CommandContext, input: CreateClusterNodeInput): Promise<Result<NodeAction>> {
  const issues: InputIssue[] = [
    ...(input.cluster == null && input.profile == null ? [{ path: ["profile"], message: "must be given for a node without a cluster" }] : []),
    ...(input.name == null ? [] : nameIssues(input.name, ["name"])),
    ...roleIssues(input.role),
    ...documentIssues(input.metadata ?? {}, ["metadata"], context.limits.metadataBytes),
  ];
  return mutate(context, { name: "createClusterNode", needs: "MEMBER", input, issues, revive: reviveNodeAction }, async (work) => {
    const { tx } = work;
    const project = await lockForQuota(work, context);
    if (!project.ok) return project;
    const cluster = input.cluster == null ? null : await lockNamedCluster(work, context, { cluster: input.cluster });
    if (cluster !== null && !cluster.ok) return cluster;
    const home = cluster === null ? null : cluster.value;
    const profile = await profileFor(work, context, home, input.profile ?? null);
    if (!profile.ok) return profile;
    const unusable = refuseMaking(context, profile.value.type);
    if (unusable !== null) return unusable;
    const outside = home === null ? [] : desiredIssues(home.desiredCapacity + 1, home.minSize, home.maxSize, ["cluster"]);
    if (outside.length > 0) return invalidInput(outside);
    const tooMany = await checkQuota(work, project.value, { nodes: 1 });
    if (tooMany !== null) return tooMany;
    const placed = await place(work, context, profile.value);
    if (!placed.ok) return placed;
    const now = await tx.now();
    const room = home === null ? null : await makeRoom(work, now, home);
    if (room !== null && !room.ok) return room;
    const index = home === null ? null : await takeIndex(work, home, room?.value ?? 0);
    const name = input.name ?? newName(context, home, index);
    const holder = home === null ? null : await findNameHolder(tx.db, home.id, name);
    if (holder !== null) return nameTaken(name, holder);
    const subject = { id: placed.value.id, projectId: project.value.id, clusterId: home?.id ?? null, clusterName: home?.name ?? null, name };
    const inputs: Record<string, Json> = { profile: shownId("profile", profile.value.id) };
    if (input.role != null) inputs["role"] = input.role;
    const generation = home === null ? null : home.generation + 1;
    const actionId = await acceptNodeAction(tx, context, now, subject, { kind: "NODE_CREATE", inputs, generation });
    if (home !== null) await moveWanted(work, now, home, 1, actionId);
    const { lane, hostId } = placed.value;
    const node: PlannedNode = {
      ...subject,
      profileId: profile.value.id,
      lane,
      hostId,
      index,
      role: input.role ?? null,
      metadata: input.metadata ?? null,
      ownProfile: home !== null && profile.value.id !== home.profileId,
      actionId,
    };
    await insertPlannedNodes(tx, now, [node]);
    // For those without a cluster nobody plans; the mark of a cluster wakes the executors as well.
    if (home === null) work.onCommit(() => context.store.wake.work());
    return { ok: true, value: { nodeId: node.id, actionId } };
  });
}

/**
 * As many may stand as maxSize allows though fewer are wanted, or more where it was lowered: who is too many has not been taken away yet. So many of them go
 * at once, or the provider would have too many. Returns how many.
 */
async function makeRoom({ tx }: Work, now: Date, cluster: ClusterRow): Promise<Result<number>> {
  const { id, maxSize } = cluster;
  const standing = maxSize === null ? 0 : standingIn(await countsOf(tx, cluster));
  if (maxSize === null || standing < maxSize) return { ok: true, value: 0 };
  const tooMany = standing - maxSize + 1;
  const full = (why: string): Result<number> =>
    invalidInput([{ path: ["cluster"], message: `has ${standing} members, ${why}: maxSize allows ${maxSize}` }]);
  if (tooMany > mostToMakeRoom) return full("of which many are yet to be taken away");
  const victims = await selectVictims(tx.db, id, tooMany, true);
  if (victims.length < tooMany) return full("too many of them protected");
  const leaving = (await lockNodes(tx.db, victims)).filter((node) => node.status !== "DELETING");
  await wantNodesDeleted(tx, now, leaving);
  return { ok: true, value: leaving.length };
}

/**
 * The index of a new member. From here on, a plan that makes members waits for our COMMIT, and is void where we have filled the cluster; or it has made them
 * before, and they are seen here. So whatever else is locked has been.
 * @throws Outrun where they are too many for one more
 */
async function takeIndex({ tx }: Work, cluster: ClusterRow, leaving: number): Promise<number> {
  const index = await takeIndexes(tx.db, cluster.id, 1);
  const { id, maxSize } = cluster;
  if (maxSize !== null && standingIn(await countsOf(tx, cluster)) - leaving >= maxSize) throw new Outrun(`the cluster ${id} was filled meanwhile`);
  return index;
}

/** The profile of a new node: the one named (of the cluster's type), else the cluster's. */
async function profileFor(work: Work, context: CommandContext, cluster: ClusterRow | null, by: ObjectBy | null): Promise<Result<SealedProfile>> {
  const own = cluster === null ? null : await lockNamedProfile(work, context, { id: shownId("profile", cluster.profileId) }, "share");
  if (by === null) {
    if (own === null) throw new Error("a node without a cluster has a profile of its own");
    return own;
  }
  const named = await lockNamedProfile(work, context, by, "share");
  if (!named.ok || own === null || !own.ok || named.value.type === own.value.type) return named;
  return invalidInput([{ path: ["profile"], message: `must be of the cluster's type ${own.value.type}` }]);
}

/** A new node's id, lane and, where its driver is bound to hosts, the host it is to stand on. */
async function place(
  work: Work,
  context: CommandContext,
  profile: SealedProfile,
): Promise<Result<{ id: NodeId; lane: number; hostId: PlannedNode["hostId"] }>> {
  const id = brandId("node", context.store.runtime.entropy.uuid());
  if (context.drivers.get(profile.type)?.hostBound !== true) return { ok: true, value: { id, lane: laneOf(id), hostId: null } };
  const hosts = await liveHosts(work.tx.db, profile.type);
  const host = hosts[Math.floor(context.store.runtime.entropy.fraction() * hosts.length)];
  if (host === undefined)
    return refused({ kind: "Unsupported", operation: profile.type, message: "No host is there just now to carry such a node.", path: ["profile"] });
  return { ok: true, value: { id, lane: hostLane(host.number, id), hostId: host.id } };
}

/** The name of a node that was given none. */
function newName(context: CommandContext, cluster: ClusterRow | null, index: number | null): string {
  const random = (length: number): string => randomText(context.store.runtime.entropy, length);
  return cluster === null ? `node-${random(8)}` : nodeName(cluster.nodeNameFormat, { cluster: cluster.name, index: index ?? 0, random });
}

/** Moves a locked cluster's wanted size by what was done to one named member. */
async function moveWanted({ tx }: Work, now: Date, cluster: ClusterRow, by: 1 | -1, actionId: NodeAction["actionId"]): Promise<void> {
  const desiredCapacity = cluster.desiredCapacity + by;
  const generation = cluster.generation + 1;
  await saveWanted(tx, now, cluster, { desiredCapacity, generation });
  tellResized(tx, cluster, { desiredCapacity, minSize: cluster.minSize, maxSize: cluster.maxSize }, generation, actionId);
  tx.markDue(cluster.id);
}

/** Changes what people say of a node; its action succeeds at once. */
export async function updateClusterNode(context: CommandContext, input: UpdateClusterNodeInput): Promise<Result<NodeAction>> {
  const issues: InputIssue[] = [
    ...notNull({ ...input }, ["name", "metadata", "protected", "tainted"]),
    ...(input.name == null ? [] : nameIssues(input.name, ["name"])),
    ...roleIssues(input.role),
    ...documentIssues(input.metadata ?? {}, ["metadata"], context.limits.metadataBytes),
  ];
  return mutate(context, { name: "updateClusterNode", needs: "MEMBER", input, issues, revive: reviveNodeAction }, async (work) => {
    const { tx } = work;
    const locked = await lockNamedNode(work, context, input.node);
    if (!locked.ok) return locked;
    const node = locked.value;
    const [row] = await getNodesByIds(tx.db, node.projectId, [node.id]);
    if (row === undefined) throw new Error("the node is locked");
    const marks = {
      name: input.name ?? row.name,
      role: input.role === undefined ? row.role : input.role,
      metadata: input.metadata ?? row.metadata,
      protected: input.protected ?? row.protected,
      tainted: input.tainted ?? row.tainted,
    };
    if (marks.name !== row.name && node.clusterId !== null) {
      const holder = await findNameHolder(tx.db, node.clusterId, marks.name);
      if (holder !== null) return nameTaken(marks.name, holder);
    }
    const now = await tx.now();
    const inputs: Record<string, Json> = {};
    if (input.name != null) inputs["name"] = input.name;
    if (input.role !== undefined) inputs["role"] = input.role;
    if (input.protected != null) inputs["protected"] = input.protected;
    if (input.tainted != null) inputs["tainted"] = input.tainted;
    if (input.metadata != null) inputs["metadata"] = {};
    const actionId = await acceptNodeAction(tx, context, now, node, { kind: "NODE_UPDATE", inputs });
    if (Object.keys(inputs).length > 0) {
      await saveMarks(tx.db, now, node.id, marks);
      const { projectId, clusterId, clusterName, id: nodeId, name: nodeName_ } = node;
      const data = { name: marks.name, protected: marks.protected, tainted: marks.tainted };
      tx.events.push({ type: "node.updated", projectId, clusterId, clusterName, nodeId, nodeName: nodeName_, actionId, data });
    }
    await endNodeAction(tx, now, actionId);
    return { ok: true, value: { nodeId: node.id, actionId } };
  });
}

/**
 * Deletes one node. A member takes its place in the wanted size with it, unless `reduceDesiredCapacity` is false: then another one is
 * made. `abandon`: what cannot be reached is forgotten at once, and removed should it come back.
 */
export async function deleteClusterNode(context: CommandContext, input: DeleteClusterNodeInput): Promise<Result<NodeAction>> {
  const needs = input.abandon ? "ADMIN" : "MEMBER";
  return mutate(context, { name: "deleteClusterNode", needs, input, issues: [], revive: reviveNodeAction }, async (work) => {
    const { tx } = work;
    const found = await findNamedNode(work, context, input.node);
    if (!found.ok) return found;
    const { clusterId, projectId } = found.value;
    const cluster = clusterId === null ? null : await lockCluster(tx.db, projectId, { id: clusterId });
    if (cluster?.deleting === true) return deletingCluster(cluster);
    const [node] = await lockNodes(tx.db, [found.value.id]);
    if (node === undefined) return refused({ kind: "NotFound", path: ["node"], message: "There is no such node." });
    const going = node.status === "DELETING";
    if (going && !input.abandon) return deletingNode(node);
    // Who is going already has given its place up before.
    const reduces = cluster !== null && input.reduceDesiredCapacity && !going;
    const outside = reduces ? desiredIssues(cluster.desiredCapacity - 1, cluster.minSize, cluster.maxSize, ["reduceDesiredCapacity"]) : [];
    if (outside.length > 0) return invalidInput(outside);
    const now = await tx.now();
    const inputs = { reduceDesiredCapacity: input.reduceDesiredCapacity, abandon: input.abandon };
    const generation = cluster === null ? null : cluster.generation + (reduces ? 1 : 0);
    const actionId = await acceptNodeAction(tx, context, now, node, { kind: "NODE_DELETE", inputs, generation });
    await supersedeNodeActions(tx, now, [node], actionId);
    if (reduces) await moveWanted(work, now, cluster, -1, actionId);
    else if (cluster !== null) tx.markDue(cluster.id);
    await takeAway(work, now, { ...node, actionId }, input.abandon, actionId);
    if (cluster === null) work.onCommit(() => context.store.wake.work());
    return { ok: true, value: { nodeId: node.id, actionId } };
  });
}

async function takeAway({ tx }: Work, now: Date, node: NodeState, abandon: boolean, actionId: NodeAction["actionId"]): Promise<void> {
  if (abandon && (node.status === "UNKNOWN" || node.status === "DELETING")) {
    await abandonNodes(tx, now, [node], actionId);
    await endNodeAction(tx, now, actionId, "forgotten: what comes back is removed");
  } else {
    await wantNodesDeleted(tx, now, [node], actionId);
    // What was never begun is gone with this transaction.
    if (node.status === "PLANNED") await endNodeAction(tx, now, actionId);
  }
}

function nameTaken(name: string, id: NodeId): ReturnType<typeof refused> {
  return refused({
    kind: "Conflict",
    reason: "NAME_TAKEN",
    message: `There is a node ${name} in the cluster already.`,
    path: ["name"],
    object: { type: "node", id },
  });
}
