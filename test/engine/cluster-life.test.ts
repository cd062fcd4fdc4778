import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import { checkClusterNode, recoverClusterNode } from "../../src/commands/node-job.ts";
import { encodeId } from "../../src/core/ids.ts";
import { readCounts } from "../../src/store/count.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";
import { actionFacts, members } from "./facts.ts";

describe("cluster", () => {
  let world: World;
  beforeEach(async () => {
    world = await startWorld({ workers: 2 });
  });
  afterEach(() => world.stop());

  test("created, resized, deleted: two workers → settles each time, and goes", async () => {
    const { clusterId } = await simCluster(world, { name: "life", desiredCapacity: 20 });
    const made = await world.until("20 members", async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.observedGeneration === 1 && facts.active === 20 && facts;
    });
    expect(made).toMatchObject({ status: "ACTIVE", nodes: 20 });

    must(await resizeCluster(world.context(), { cluster: { id: made.typeId }, capacity: { exactly: 7 }, strict: true }));
    const shrunk = await world.until("7 members", async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.observedGeneration === 2 && facts;
    });
    expect(shrunk).toMatchObject({ status: "ACTIVE", active: 7, nodes: 7 });

    must(await deleteCluster(world.context(), { cluster: { id: made.typeId }, abandon: false }));
    await world.until("the end", async () => (await clusterFacts(world.database.db, clusterId)) === null);
  });
});

describe("members on the way out", () => {
  test("three of five are being deleted → counted as deleting, no longer as healthy", async () => {
    const hand = handDriver();
    hand.open("create");
    const world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId, id } = await simCluster(world, { name: "leaving", type: "hand", desiredCapacity: 5 });
    const counts = (what: string, fits: (counts: { healthy: number; deleting: number; active: number }) => boolean): Promise<unknown> =>
      world.until(what, async () => {
        const now = (await readCounts(world.database.db, [clusterId])).get(clusterId);
        return now !== undefined && fits(now);
      });
    await counts("five are healthy", (now) => now.healthy === 5);
    must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly: 2 }, strict: true }));
    await counts("three are leaving", (now) => now.deleting === 3 && now.active === 2 && now.healthy === 2);
    hand.open("delete");
    await counts("they are gone", (now) => now.deleting === 0 && now.healthy === 2);
    await world.stop();
  });
});

describe("members that were never begun", () => {
  test("are taken away, all of them → they go at once, and so the cluster settles, and goes", async () => {
    const hand = handDriver({ limits: { batchSize: 1, maxCallsInFlight: 1 } });
    const world = await startWorld({ workers: 1, drivers: [hand.driver] });
    await simCluster(world, { name: "first", type: "hand", desiredCapacity: 1 });
    await world.until("its call takes the only place", async () => hand.of("create").length === 1);
    const { clusterId, id } = await simCluster(world, { name: "waiting", type: "hand", desiredCapacity: 3 });
    const planned = (count: number): Promise<unknown> =>
      world.until(`${count} are planned`, async () => (await clusterFacts(world.database.db, clusterId))?.nodes === count);
    await planned(3);
    must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly: 0 }, strict: true }));
    await world.until("it has settled", async () => (await clusterFacts(world.database.db, clusterId))?.observedGeneration === 2);
    must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly: 2 }, strict: true }));
    await planned(2);
    must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
    await world.until("it is gone", async () => (await clusterFacts(world.database.db, clusterId)) === null);
    hand.open("create");
    await world.stop();
  });
});

describe("an action on one node", () => {
  test("that is checked or recovered while its create may still be on its way → it is looked for when it would have been, not before", async () => {
    const hand = handDriver({ idempotency: "listed" });
    hand.open("create", { class: "unknown", code: "NO_ANSWER", message: "nobody answered" });
    const world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { db } = world.database;
    const { clusterId } = await simCluster(world, { name: "lost", type: "hand", desiredCapacity: 1 });
    const [member] = await world.until("its create is lost", async () => {
      const all = await members(db, clusterId);
      return all[0]?.status === "UNKNOWN" && all;
    });
    if (member === undefined) throw new Error("there is a member");
    const task = (): Promise<unknown> => db.selectFrom("muster.task").select(["kind", "due_at"]).where("node_id", "=", member.id).executeTakeFirst();
    const before = await task();
    const node = { id: encodeId("node", member.id) };
    const { actionId } = must(await checkClusterNode(world.context(), { node }));
    const { actionId: second } = must(await recoverClusterNode(world.context(), { node }));
    expect(await task()).toEqual(before);
    expect((await actionFacts(db, second)).status).toBe("SUCCEEDED");
    // Its time is over.
    hand.open("inspect");
    await db
      .updateTable("muster.task")
      .set({ due_at: new Date(0) })
      .execute();
    await world.until("it was found, and the check is over", async () => (await actionFacts(db, actionId)).status === "SUCCEEDED");
    expect((await members(db, clusterId)).map(({ status }) => status)).toEqual(["ACTIVE"]);
    await world.stop();
  });

  test("whose time is over → FAILED with TIMED_OUT; what is under way goes on, and its outcome is heard", async () => {
    const hand = handDriver();
    hand.open("create");
    const world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { db } = world.database;
    const { clusterId } = await simCluster(world, { name: "late", type: "hand", desiredCapacity: 1 });
    const [member] = await world.until("a member", async () => {
      const all = await members(db, clusterId);
      return all[0]?.status === "ACTIVE" && all;
    });
    if (member === undefined) throw new Error("there is a member");
    const { actionId } = must(await checkClusterNode(world.context(), { node: { id: encodeId("node", member.id) } }));
    await world.until("the check is under way", async () => hand.of("inspect").length === 1);
    expect((await actionFacts(db, actionId)).status).toBe("PENDING");
    await db
      .updateTable("muster.action")
      .set({ timeout_at: new Date(0) })
      .where("id", "=", actionId)
      .execute();
    const ended = await world.until("it ended", async () => {
      const facts = await actionFacts(db, actionId);
      return facts.status === "FAILED" && facts;
    });
    expect(ended).toMatchObject({ reason: "TIMED_OUT", done: 0, failed: 1 });
    hand.open("inspect");
    const { actionId: next } = must(await checkClusterNode(world.context(), { node: { id: encodeId("node", member.id) } }));
    await world.until("the next one succeeds", async () => (await actionFacts(db, next)).status === "SUCCEEDED");
    await world.stop();
  });
});
