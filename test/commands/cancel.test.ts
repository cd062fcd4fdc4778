import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cancelAction } from "../../src/commands/action.ts";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { checkCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster, scaleOutCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createClusterNode, deleteClusterNode } from "../../src/commands/node.ts";
import { createProject } from "../../src/commands/project.ts";
import { type ActionId, type ClusterId, encodeId, type ProfileId } from "../../src/core/ids.ts";
import { stepActions } from "../../src/store/action-write.ts";
import { getNodesByIds } from "../../src/store/node.ts";
import { transaction } from "../../src/store/transaction.ts";
import { createGate, untilLocked } from "../support/gate.ts";
import { startWorld, type World } from "../support/world.ts";
import { readEventsOf } from "./history.ts";
import { aCluster, actionNow, aProfile, clusterNow, refusalOf, valueOf } from "./support.ts";

/** Nobody carries anything out here: what has begun is what a test says has begun. */
let world: World;
let context: CommandContext;
let profileId: ProfileId;
beforeAll(async () => {
  world = await startWorld();
  context = world.context("MEMBER");
  profileId = await aProfile(context, "web");
});
afterAll(() => world.stop());

const cancel = (id: ActionId) => cancelAction(context, { id: encodeId("action", id) });

/** As if the engine had come so far: kept counts of members that no table has. Taken back by `forget`. */
async function pretend(
  clusterId: ClusterId,
  counts: {
    readonly planned?: number;
    readonly creating?: number;
    readonly active?: number;
    readonly deleting?: number;
    readonly created?: number;
    readonly deleted?: number;
  },
) {
  const { planned = 0, creating = 0, active = 0, deleting = 0, created = 0, deleted = 0 } = counts;
  await sql`
    insert into muster.cluster_count (cluster_id, writer, planned, creating, active, deleting, created_total, deleted_total)
    values (${clusterId}, 77, ${planned}, ${creating}, ${active}, ${deleting}, ${created}, ${deleted})`.execute(world.store.db);
  return () => sql`delete from muster.cluster_count where cluster_id = ${clusterId} and writer = 77`.execute(world.store.db);
}

describe("cancelling a wish about the size", () => {
  test("planned members are not there, begun ones are → that many are wanted; the progress is frozen", async () => {
    const made = await aCluster(context, profileId, { name: "grow", desiredCapacity: 100 });
    const forget = await pretend(made.clusterId, { planned: 50, creating: 10, active: 30, created: 30 });
    valueOf(await cancel(made.actionId));
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ desiredCapacity: 40, generation: 2 });
    expect(await actionNow(context, made.actionId)).toMatchObject({ status: "CANCELLED", progress: { total: 100, done: 30, failed: 0 } });
    await forget();
    expect((await actionNow(context, made.actionId)).progress).toEqual({ total: 100, done: 30, failed: 0 });
    const types = (await readEventsOf(context, { clusterId: made.clusterId })).map((event) => event.type);
    expect(types.slice(-2)).toEqual(["action.finished", "cluster.resized"]);
  });

  test("it is just being ended by a planner → ALREADY_FINISHED, and nothing is taken back", async () => {
    const made = await aCluster(context, profileId, { name: "done", desiredCapacity: 100 });
    const forget = await pretend(made.clusterId, { active: 60, planned: 40 });
    const before = await clusterNow(context, made.clusterId);
    const ended = createGate();
    const ending = transaction(world.store, async (tx) => {
      await stepActions(tx, await tx.now(), [{ id: made.actionId, event: "succeeded" }]);
      await ended.pass();
    });
    await ended.reached;
    const cancelling = cancel(made.actionId);
    await untilLocked(world, "action.lock");
    ended.open();
    await ending;
    expect(refusalOf(await cancelling)).toMatchObject({ reason: "ALREADY_FINISHED", message: "The action has ended: SUCCEEDED." });
    expect(await clusterNow(context, made.clusterId)).toEqual(before);
    await forget();
  });

  test("shrinking → those not yet wanted gone stay", async () => {
    const made = await aCluster(context, profileId, { name: "shrink", desiredCapacity: 100 });
    const forget = await pretend(made.clusterId, { active: 100, created: 100 });
    const smaller = valueOf(await resizeCluster(context, { cluster: { name: "shrink" }, capacity: { exactly: 10 }, strict: true }));
    expect((await actionNow(context, smaller.actionId)).progress).toEqual({ total: 90, done: 0, failed: 0 });
    await forget();
    const later = await pretend(made.clusterId, { active: 70, deleting: 10, created: 100, deleted: 20 });
    expect((await actionNow(context, smaller.actionId)).progress.done).toBe(20);
    valueOf(await cancel(smaller.actionId));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(70);
    await later();
  });

  test("within min and max → never outside them", async () => {
    const made = await aCluster(context, profileId, { name: "bounds", desiredCapacity: 8, minSize: 5 });
    valueOf(await cancel(made.actionId));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(5);
  });

  test("what has ended, twice at once → Conflict ALREADY_FINISHED; the same key → the same answer", async () => {
    const made = await aCluster(context, profileId, { name: "ended", desiredCapacity: 3 });
    const results = await Promise.all([cancel(made.actionId), cancel(made.actionId)]);
    expect(results.map((result) => result.ok).sort()).toEqual([false, true]);
    for (const result of results)
      if (!result.ok) expect(result.refusal).toMatchObject({ reason: "ALREADY_FINISHED", object: { type: "action", id: made.actionId } });
    const other = await aCluster(context, profileId, { name: "keyed", desiredCapacity: 3 });
    const keyed = { id: encodeId("action", other.actionId), idempotencyKey: "cancel" };
    expect(valueOf(await cancelAction(context, keyed))).toEqual(valueOf(await cancelAction(context, keyed)));
  });

  test("another project's action, a READER → NotFound, Forbidden", async () => {
    const made = await aCluster(context, profileId, { name: "foreign", desiredCapacity: 3 });
    const { projectId } = valueOf(await createProject(world.context(), { name: "other" }));
    const id = encodeId("action", made.actionId);
    expect(refusalOf(await cancelAction(world.context("OPERATOR", projectId), { id }))).toMatchObject({ kind: "NotFound", path: ["id"] });
    expect(refusalOf(await cancelAction(world.context("READER"), { id }))).toMatchObject({ kind: "Forbidden", needs: "MEMBER" });
  });
});

describe("cancelling a deletion", () => {
  test("before its first member goes → the cluster stays as it was wanted", async () => {
    const made = await aCluster(context, profileId, { name: "saved", desiredCapacity: 4 });
    const forget = await pretend(made.clusterId, { active: 4, created: 4 });
    const gone = valueOf(await deleteCluster(context, { cluster: { name: "saved" }, abandon: false }));
    valueOf(await cancel(gone.actionId));
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ deleting: false, desiredCapacity: 4, generation: 3, status: "ACTIVE" });
    valueOf(await scaleOutCluster(context, { cluster: { name: "saved" } }));
    await forget();
  });

  test("afterwards → Conflict DELETING", async () => {
    const made = await aCluster(context, profileId, { name: "late", desiredCapacity: 4 });
    const forget = await pretend(made.clusterId, { active: 4, created: 4 });
    const gone = valueOf(await deleteCluster(context, { cluster: { name: "late" }, abandon: false }));
    await forget();
    const later = await pretend(made.clusterId, { active: 3, created: 4, deleted: 1 });
    expect(refusalOf(await cancel(gone.actionId))).toMatchObject({ reason: "DELETING", object: { type: "cluster", id: made.clusterId } });
    await later();
  });
});

describe("cancelling work on one node", () => {
  test("a member that is only planned → it is gone, and its place in the wanted size", async () => {
    const made = await aCluster(context, profileId, { name: "host", desiredCapacity: 0 });
    const { nodeId, actionId } = valueOf(await createClusterNode(context, { cluster: { name: "host" } }));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(1);
    valueOf(await cancel(actionId));
    expect(await getNodesByIds(world.store.db, world.projectId, [nodeId])).toEqual([]);
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ desiredCapacity: 0, generation: 3 });
    expect((await actionNow(context, actionId)).status).toBe("CANCELLED");
  });

  test("a node that is planned, deleted by name → both actions have ended, nothing is left", async () => {
    const made = valueOf(await createClusterNode(context, { profile: { name: "web" } }));
    const gone = valueOf(
      await deleteClusterNode(context, { node: { id: encodeId("node", made.nodeId) }, reduceDesiredCapacity: true, abandon: false }),
    );
    expect((await actionNow(context, made.actionId)).status).toBe("SUPERSEDED");
    expect((await actionNow(context, gone.actionId)).status).toBe("SUCCEEDED");
    expect(refusalOf(await cancel(gone.actionId))).toMatchObject({ reason: "ALREADY_FINISHED" });
  });

  test("a check of a whole cluster → CANCELLED, nothing else moves", async () => {
    const made = await aCluster(context, profileId, { name: "checked", desiredCapacity: 2 });
    const forget = await pretend(made.clusterId, { active: 2, created: 2 });
    const job = valueOf(await checkCluster(context, { cluster: { name: "checked" } }));
    expect((await actionNow(context, job.actionId)).progress.total).toBe(2);
    valueOf(await cancel(job.actionId));
    expect((await actionNow(context, job.actionId)).status).toBe("CANCELLED");
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ desiredCapacity: 2, generation: 1 });
    await forget();
  });
});
