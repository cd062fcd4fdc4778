import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cancelAction } from "../../src/commands/action.ts";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { checkCluster, recoverCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster, scaleInCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createClusterNode, deleteClusterNode, updateClusterNode } from "../../src/commands/node.ts";
import { checkClusterNode, recoverClusterNode } from "../../src/commands/node-job.ts";
import { createProfile } from "../../src/commands/profile.ts";
import { type ActionId, encodeId, type NodeId, type ProfileId } from "../../src/core/ids.ts";
import { nodeStatusCodec } from "../../src/core/node.ts";
import { getNodesByIds, type NodeRow } from "../../src/store/node.ts";
import { quotaUseOf } from "../../src/store/project.ts";
import { startWorld, type World } from "../support/world.ts";
import { readEventsOf } from "./history.ts";
import { aCluster, actionNow, aProfile, clusterNow, expectUnchanged, issuesOf, refusalOf, valueOf } from "./support.ts";

let world: World;
let context: CommandContext;
let profileId: ProfileId;
beforeAll(async () => {
  world = await startWorld({ workers: 1 });
  context = world.context("MEMBER");
  profileId = await aProfile(context, "web");
});
afterAll(() => world.stop());

const find = async (id: NodeId): Promise<NodeRow | undefined> => (await getNodesByIds(world.store.db, world.projectId, [id]))[0];
const byId = (id: NodeId) => ({ id: encodeId("node", id) });
const ended = (id: ActionId) =>
  world.until(`action ${id} has ended`, async () => {
    const action = await actionNow(context, id);
    return action.finishedAt === null ? null : action;
  });
const active = (id: NodeId) => world.until(`node ${id} is ACTIVE`, async () => ((await find(id))?.status === "ACTIVE" ? find(id) : null));
const gone = (id: NodeId) => world.until(`node ${id} is gone`, async () => (await find(id)) === undefined);

describe("createClusterNode", () => {
  test("by itself → made by a worker; its action says so", async () => {
    const { nodeId, actionId } = valueOf(
      await createClusterNode(context, { profile: { name: "web" }, name: "lone", role: "db", metadata: { a: 1 } }),
    );
    expect(await ended(actionId)).toMatchObject({ kind: "NODE_CREATE", status: "SUCCEEDED", progress: { total: 1, done: 1 }, subjectName: "lone" });
    expect(await find(nodeId)).toMatchObject({ name: "lone", role: "db", metadata: { a: 1 }, clusterId: null, index: null, status: "ACTIVE" });
  });

  test("a member → the cluster wants one more, and has no more than it wants", async () => {
    const made = await aCluster(context, profileId, { name: "home", desiredCapacity: 2 });
    await ended(made.actionId);
    const { nodeId, actionId } = valueOf(await createClusterNode(context, { cluster: { name: "home" } }));
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ desiredCapacity: 3, generation: 2 });
    expect((await ended(actionId)).status).toBe("SUCCEEDED");
    const cluster = await world.until("settled", async () => {
      const now = await clusterNow(context, made.clusterId);
      return now.observedGeneration === 2 ? now : null;
    });
    expect(cluster).toMatchObject({ status: "ACTIVE", desiredCapacity: 3 });
    expect((await find(nodeId))?.name).toMatch(/^home-\d+$/);
    expect((await readEventsOf(context, { clusterId: made.clusterId })).filter((event) => event.type === "node.created")).toHaveLength(3);
  });

  test("wrong in every way → all told; past maxSize, a taken name, another type, an unknown cluster → refused, nothing written", async () => {
    const small = await aCluster(context, profileId, { name: "small", maxSize: 1 });
    await ended(valueOf(await createClusterNode(context, { cluster: { name: "small" }, name: "only" })).actionId);
    await world.until("all is quiet", async () => {
      const [due] = (await sql<{ rest: boolean }>`select bool_and(due_at = 'infinity') as rest from muster.cluster_due`.execute(world.store.db)).rows;
      const { status, observedGeneration } = await clusterNow(context, small.clusterId);
      return due?.rest === true && status === "ACTIVE" && observedGeneration === 2;
    });
    await expectUnchanged(context, async () => {
      const issues = issuesOf(await createClusterNode(context, { name: "a b", role: "", metadata: { x: "\u0000" } }));
      expect(issues.map((issue) => issue.split(":")[0])).toEqual(["profile", "name", "role", "metadata.x"]);
      expect(issuesOf(await createClusterNode(context, { cluster: { name: "small" } }))).toEqual([
        "cluster: would make the desired capacity 2, above maxSize 1",
      ]);
      expect(refusalOf(await createClusterNode(context, { cluster: { name: "none" } }))).toMatchObject({ kind: "NotFound", path: ["cluster"] });
      expect(refusalOf(await createClusterNode(context, { profile: { name: "none" } }))).toMatchObject({ kind: "NotFound", path: ["profile"] });
    });
    valueOf(await resizeCluster(context, { cluster: { name: "small" }, maxSize: 3, strict: true }));
    expect(refusalOf(await createClusterNode(context, { cluster: { name: "small" }, name: "only" }))).toMatchObject({
      reason: "NAME_TAKEN",
      object: { type: "node" },
    });
  });
});

test("as many stand as maxSize allows, and fewer are wanted → one of them goes at once; all are protected → refused, nothing written", async () => {
  const own = await startWorld();
  const asked = own.context("MEMBER");
  const worker = own.startWorker();
  const made = await aCluster(asked, await aProfile(asked, "web"), { name: "full", desiredCapacity: 3, maxSize: 3 });
  await own.until("it stands", async () => (await actionNow(asked, made.actionId)).finishedAt !== null);
  // From here on nobody plans.
  await worker.stop();
  const cluster = { name: "full" };
  valueOf(await scaleInCluster(asked, { cluster, count: 2 }));
  const { nodeId } = valueOf(await createClusterNode(asked, { cluster }));
  const standing = async (): Promise<unknown[]> =>
    (
      await own.store.db
        .selectFrom("muster.node")
        .select(["index"])
        .where("status", "<>", nodeStatusCodec.code("DELETING"))
        .orderBy("index")
        .execute()
    ).map((node) => node.index);
  expect(await standing()).toEqual([1, 2, 4]);
  for (const node of [{ index: { cluster, index: 1 } }, { index: { cluster, index: 2 } }, byId(nodeId)])
    valueOf(await updateClusterNode(asked, { node, protected: true }));
  await expectUnchanged(asked, async () => {
    expect(issuesOf(await createClusterNode(asked, { cluster }))).toEqual(["cluster: has 3 members, too many of them protected: maxSize allows 3"]);
  });
  expect(await standing()).toEqual([1, 2, 4]);
  // Lowered below what stands: two go for the one that comes.
  for (const index of [1, 2]) valueOf(await updateClusterNode(asked, { node: { index: { cluster, index } }, protected: false }));
  valueOf(await resizeCluster(asked, { cluster, capacity: { exactly: 1 }, maxSize: 2, strict: true }));
  valueOf(await createClusterNode(asked, { cluster }));
  expect(await standing()).toEqual([4, 5]);
  await own.stop();
});

test("nodes without a cluster → count against the quota from when they are asked for until they are gone", async () => {
  const used = async () => (await quotaUseOf(world.store.db, [world.projectId])).get(world.projectId)?.nodes ?? 0;
  const before = await used();
  const { nodeId, actionId } = valueOf(await createClusterNode(context, { profile: { name: "web" } }));
  expect(await used()).toBe(before + 1);
  await ended(actionId);
  expect(await used()).toBe(before + 1);
  await ended(valueOf(await deleteClusterNode(context, { node: byId(nodeId), reduceDesiredCapacity: false, abandon: false })).actionId);
  expect(await used()).toBe(before);
});

describe("updateClusterNode", () => {
  test("name, role, metadata, marks → changed; null clears the role only; nothing else moves", async () => {
    const { nodeId } = valueOf(await createClusterNode(context, { profile: { name: "web" }, name: "old", role: "db" }));
    await active(nodeId);
    const done = valueOf(
      await updateClusterNode(context, { node: byId(nodeId), name: "new", role: null, metadata: { b: 2 }, protected: true, tainted: true }),
    );
    expect(await find(nodeId)).toMatchObject({ name: "new", role: null, metadata: { b: 2 }, protected: true, tainted: true, status: "ACTIVE" });
    expect(await actionNow(context, done.actionId)).toMatchObject({ kind: "NODE_UPDATE", status: "SUCCEEDED", subjectName: "old" });
    const nulls = { name: null, metadata: null, protected: null, tainted: null };
    expect(issuesOf(await updateClusterNode(context, { node: byId(nodeId), ...nulls })).map((issue) => issue.split(":")[0])).toEqual([
      "name",
      "metadata",
      "protected",
      "tainted",
    ]);
  });

  test("by name and by index in a cluster → the same node; a taken name → Conflict; unknown → NotFound", async () => {
    const made = await aCluster(context, profileId, { name: "named", desiredCapacity: 2 });
    await ended(made.actionId);
    const cluster = { name: "named" };
    const a = valueOf(await updateClusterNode(context, { node: { index: { cluster, index: 1 } }, tainted: true })).nodeId;
    const b = valueOf(await updateClusterNode(context, { node: { name: { cluster, name: "named-1" } }, tainted: false })).nodeId;
    expect(a).toBe(b);
    expect(refusalOf(await updateClusterNode(context, { node: byId(a), name: "named-2" }))).toMatchObject({
      reason: "NAME_TAKEN",
      object: { type: "node" },
    });
    for (const node of [
      { id: "x" },
      { id: encodeId("cluster", made.clusterId) },
      { index: { cluster, index: 99 } },
      { name: { cluster, name: "\u0000" } },
    ]) {
      expect(refusalOf(await updateClusterNode(context, { node, name: "x" }))).toMatchObject({ kind: "NotFound", path: ["node"] });
    }
    expect(refusalOf(await updateClusterNode(context, { node: { index: { cluster: { name: "none" }, index: 1 } } }))).toMatchObject({
      path: ["node", "index", "cluster"],
    });
  });
});

describe("jobs", () => {
  test("a node is checked → SUCCEEDED once its driver has answered", async () => {
    const { nodeId } = valueOf(await createClusterNode(context, { profile: { name: "web" } }));
    await active(nodeId);
    const { actionId } = valueOf(await checkClusterNode(context, { node: byId(nodeId) }));
    expect(await ended(actionId)).toMatchObject({ kind: "NODE_CHECK", status: "SUCCEEDED" });
  });

  test("a node is recovered → another life of the same node; twice at once → both end well", async () => {
    const { nodeId } = valueOf(await createClusterNode(context, { profile: { name: "web" } }));
    const before = await active(nodeId);
    const jobs = await Promise.all([1, 2].map(() => recoverClusterNode(context, { node: byId(nodeId), operation: "RESTART" })));
    for (const job of jobs) expect(["SUCCEEDED", "SUPERSEDED"]).toContain((await ended(valueOf(job).actionId)).status);
    const after = await active(nodeId);
    expect(after.epoch).toBeGreaterThan(before.epoch);
  });

  test("a member is replaced → it goes, another one comes, as many are wanted as before", async () => {
    const made = await aCluster(context, profileId, { name: "swap", desiredCapacity: 2 });
    await ended(made.actionId);
    const { nodeId, actionId } = valueOf(
      await recoverClusterNode(context, { node: { index: { cluster: { name: "swap" }, index: 1 } }, operation: "replace" }),
    );
    expect((await ended(actionId)).status).toBe("SUCCEEDED");
    await gone(nodeId);
    await world.until(
      "another is there",
      async () => (await readEventsOf(context, { clusterId: made.clusterId })).filter((event) => event.type === "node.created").length === 3,
    );
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(2);
  });

  test("an operation nobody knows, parameters it does not take → Unsupported, InvalidInput", async () => {
    const { nodeId } = valueOf(await createClusterNode(context, { profile: { name: "web" } }));
    await active(nodeId);
    expect(refusalOf(await recoverClusterNode(context, { node: byId(nodeId), operation: "exorcise" }))).toMatchObject({
      kind: "Unsupported",
      operation: "exorcise",
    });
    expect(refusalOf(await recoverClusterNode(context, { node: byId(nodeId), operation: "replace" }))).toMatchObject({
      kind: "Unsupported",
      operation: "replace",
    });
    expect(issuesOf(await recoverClusterNode(context, { node: byId(nodeId), params: { force: true } }))).toEqual([
      "params.force: is not a parameter of this operation",
    ]);
  });

  test("a whole cluster is checked → every member is asked; nothing sick to recover → done at once", async () => {
    const made = await aCluster(context, profileId, { name: "round", desiredCapacity: 30 });
    await ended(made.actionId);
    const { actionId } = valueOf(await checkCluster(context, { cluster: { name: "round" } }));
    expect(await ended(actionId)).toMatchObject({ status: "SUCCEEDED", progress: { total: 30, done: 30, failed: 0 } });
    const recovered = valueOf(await recoverCluster(context, { cluster: { name: "round" } }));
    expect(await actionNow(context, recovered.actionId)).toMatchObject({ status: "SUCCEEDED", progress: { total: 0 } });
  });
});

describe("deleteClusterNode", () => {
  test("a member → it goes and the cluster wants one fewer", async () => {
    const made = await aCluster(context, profileId, { name: "shrink", desiredCapacity: 2, minSize: 1 });
    await ended(made.actionId);
    const node = { index: { cluster: { name: "shrink" }, index: 2 } };
    const { nodeId, actionId } = valueOf(await deleteClusterNode(context, { node, reduceDesiredCapacity: true, abandon: false }));
    // The generation in which it goes, as of every wish.
    expect(await ended(actionId)).toMatchObject({ status: "SUCCEEDED", generation: 2 });
    await gone(nodeId);
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ desiredCapacity: 1, generation: 2 });
    const last = { index: { cluster: { name: "shrink" }, index: 1 } };
    expect(issuesOf(await deleteClusterNode(context, { node: last, reduceDesiredCapacity: true, abandon: false }))).toEqual([
      "reduceDesiredCapacity: would make the desired capacity 0, below minSize 1",
    ]);
  });

  test("without giving up its place → another one is made", async () => {
    const made = await aCluster(context, profileId, { name: "again", desiredCapacity: 1 });
    await ended(made.actionId);
    const node = { index: { cluster: { name: "again" }, index: 1 } };
    const { nodeId } = valueOf(await deleteClusterNode(context, { node, reduceDesiredCapacity: false, abandon: false }));
    await gone(nodeId);
    const second = await world.until("its successor", async () => {
      const rows = (await readEventsOf(context, { clusterId: made.clusterId })).filter((event) => event.type === "node.created");
      return rows.length === 2 ? rows[1] : null;
    });
    expect(second.node_name).toBe("again-2");
  });

  test("again, and everything else, while it goes → Conflict DELETING; abandon takes an ADMIN", async () => {
    const slow = await aSlowNode("slow-1");
    const node = byId(slow);
    valueOf(await deleteClusterNode(context, { node, reduceDesiredCapacity: true, abandon: false }));
    const refused = { kind: "Conflict", reason: "DELETING", object: { type: "node", id: slow } };
    expect(refusalOf(await deleteClusterNode(context, { node, reduceDesiredCapacity: true, abandon: false }))).toMatchObject(refused);
    expect(refusalOf(await updateClusterNode(context, { node, name: "x" }))).toMatchObject(refused);
    expect(refusalOf(await checkClusterNode(context, { node }))).toMatchObject(refused);
    expect(refusalOf(await recoverClusterNode(context, { node }))).toMatchObject(refused);
    expect(refusalOf(await deleteClusterNode(context, { node, reduceDesiredCapacity: true, abandon: true }))).toMatchObject({
      kind: "Forbidden",
      needs: "ADMIN",
    });
    const forgotten = valueOf(await deleteClusterNode(world.context("ADMIN"), { node, reduceDesiredCapacity: true, abandon: true }));
    expect(await actionNow(context, forgotten.actionId)).toMatchObject({ status: "SUCCEEDED" });
    expect(await find(slow)).toBeUndefined();
  });
});

/** A node whose deletion takes longer than any test. */
async function aSlowNode(name: string): Promise<NodeId> {
  valueOf(await createProfile(context, { name: `${name}-profile`, type: "sim", spec: { deleteMs: 600_000 } }));
  const { nodeId } = valueOf(await createClusterNode(context, { profile: { name: `${name}-profile` } }));
  await active(nodeId);
  return nodeId;
}

describe("cancelAction", () => {
  test("growing → what is there by then is wanted; the action is CANCELLED and stays so", async () => {
    const slow = valueOf(await createProfile(context, { name: "slow", type: "sim", spec: { createMs: 600_000 } })).profileId;
    const made = await aCluster(context, slow, { name: "halted", desiredCapacity: 5_000, minSize: 2 });
    const cancelled = valueOf(await cancelAction(context, { id: encodeId("action", made.actionId) }));
    const action = await actionNow(context, cancelled.actionId);
    expect(action).toMatchObject({ status: "CANCELLED" });
    const cluster = await clusterNow(context, made.clusterId);
    expect(cluster.generation).toBe(2);
    expect(cluster.desiredCapacity).toBeLessThan(5_000);
    expect(cluster.desiredCapacity).toBeGreaterThanOrEqual(2);
    expect(refusalOf(await cancelAction(context, { id: encodeId("action", made.actionId) }))).toMatchObject({
      reason: "ALREADY_FINISHED",
      path: ["id"],
    });
    valueOf(await deleteCluster(world.context("ADMIN"), { cluster: { name: "halted" }, abandon: true }));
  });

  test("a deletion that workers are just beginning, twenty times → taken back whole, or not at all", async () => {
    for (let i = 0; i < 20; i++) {
      const made = await aCluster(context, profileId, { name: `kept-${i}`, desiredCapacity: 3 });
      await ended(made.actionId);
      const gone = valueOf(await deleteCluster(context, { cluster: { name: `kept-${i}` }, abandon: false }));
      const back = await cancelAction(context, { id: encodeId("action", gone.actionId) });
      const end = await ended(gone.actionId);
      expect(end.status).toBe(back.ok ? "CANCELLED" : "SUCCEEDED");
      const lost = (await readEventsOf(context, { clusterId: made.clusterId })).filter((event) => event.type === "node.deleted");
      expect(lost).toHaveLength(back.ok ? 0 : 3);
      if (back.ok) expect(await clusterNow(context, made.clusterId)).toMatchObject({ deleting: false, desiredCapacity: 3 });
    }
  });

  test("an unknown, a mistyped, a foreign id → NotFound", async () => {
    for (const id of ["x", "action_00000000000000000000000001", encodeId("profile", profileId)]) {
      expect(refusalOf(await cancelAction(context, { id }))).toMatchObject({ kind: "NotFound", path: ["id"] });
    }
  });
});
