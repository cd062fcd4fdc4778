/** Wishes that overtake each other, and outcomes that come when nobody wants them any more. */
import { afterEach, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import { recoverClusterNode } from "../../src/commands/node-job.ts";
import { type ActionId, type ClusterId, encodeId } from "../../src/core/ids.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type Hand, handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";
import { actionFacts, members } from "./facts.ts";

describe("a newer wish", () => {
  let world: World;
  afterEach(() => world.stop());

  const settled = (clusterId: ClusterId, generation: number, active: number): Promise<unknown> =>
    world.until(`${active} members at generation ${generation}`, async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.observedGeneration === generation && facts.active === active && facts.nodes === active;
    });

  test("5 → 50 → 3 in a moment → three members, and each action says what became of it", async () => {
    world = await startWorld({ workers: 2 });
    const { clusterId, actionId, id } = await simCluster(world, { name: "moods", desiredCapacity: 5, spec: { createMs: 30 } });
    await settled(clusterId, 1, 5);
    const resize = async (exactly: number): Promise<ActionId> =>
      must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly }, strict: true })).actionId;
    const [up, down] = [await resize(50), await resize(3)];
    await settled(clusterId, 3, 3);
    const { db } = world.database;
    expect(await actionFacts(db, actionId)).toMatchObject({ status: "SUCCEEDED", done: 5, total: 5 });
    expect(await actionFacts(db, up)).toMatchObject({ status: "SUPERSEDED", supersededBy: down });
    expect(await actionFacts(db, down)).toMatchObject({ status: "SUCCEEDED" });
  });

  test("by +5 twice → +10, both succeeded", async () => {
    world = await startWorld({ workers: 1 });
    const { clusterId, id } = await simCluster(world, { name: "steps", desiredCapacity: 5, spec: { createMs: 20 } });
    await settled(clusterId, 1, 5);
    const grow = async (): Promise<ActionId> =>
      must(await resizeCluster(world.context(), { cluster: { id }, capacity: { by: 5 }, strict: true })).actionId;
    const actions = [await grow(), await grow()];
    await settled(clusterId, 3, 15);
    for (const action of actions) expect(await actionFacts(world.database.db, action)).toMatchObject({ status: "SUCCEEDED", done: 5, failed: 0 });
  });
});

describe("a small cluster beside a big one", () => {
  test("the driver is busy with the big one's creates → the small one's come next, before what is left of the big one's", async () => {
    const hand = handDriver();
    const world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { db } = world.database;
    const big = await simCluster(world, { name: "big", type: "hand", desiredCapacity: 2_000 });
    // Creates may take three quarters of its calls.
    const most = Math.ceil(hand.driver.maxCallsInFlight * 0.75) * hand.driver.batchSize;
    const busy = await world.until("the driver takes no more creates", async () => hand.of("create").length === most && most);
    const small = await simCluster(world, { name: "small", type: "hand", desiredCapacity: 3 });
    await world.until("the small one is planned", async () => (await members(db, small.clusterId)).length === 3);
    hand.open("create");
    await world.until("all are there", async () => (await clusterFacts(db, big.clusterId))?.active === 2_000);
    const ids = new Set((await members(db, small.clusterId)).map((member) => member.id));
    const places = hand.of("create").flatMap((call, place) => (ids.has(call.nodeId) ? [place] : []));
    expect(places).toHaveLength(3);
    expect(Math.max(...places)).toBeLessThan(busy + 100);
    await world.stop();
  });
});

test("a wish is taken back while its creates wait for a busy driver → those that were never begun go at once, though nothing returns", async () => {
  const hand = handDriver();
  const world = await startWorld({ workers: 1, drivers: [hand.driver] });
  const { db } = world.database;
  const most = Math.ceil(hand.driver.maxCallsInFlight * 0.75) * hand.driver.batchSize;
  const big = await simCluster(world, { name: "big", type: "hand", desiredCapacity: most });
  await world.until("the driver takes no more creates", async () => hand.of("create").length === most);
  const late = await simCluster(world, { name: "late", type: "hand", desiredCapacity: 300 });
  await world.until("they wait", async () => (await members(db, late.clusterId)).length === 300);
  must(await resizeCluster(world.context(), { cluster: { id: big.id }, capacity: { exactly: most + 300 }, strict: true }));
  await world.until("more of the big one's wait among them", async () => (await members(db, big.clusterId)).length === most + 300);
  must(await resizeCluster(world.context(), { cluster: { id: big.id }, capacity: { exactly: most }, strict: true }));
  await world.until("they have gone", async () => (await members(db, big.clusterId)).length === most);
  expect(hand.of("delete")).toEqual([]);
  hand.open("create");
  await world.until("all are there", async () => (await clusterFacts(db, late.clusterId))?.active === 300);
  expect(hand.of("create")).toHaveLength(most + 300);
  await world.stop();
});

describe("an outcome that comes too late", () => {
  let world: World;
  let hand: Hand;
  const start = async (): Promise<void> => {
    hand = handDriver();
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
  };
  afterEach(() => world.stop());
  const called = (verb: "create" | "delete" | "inspect", count: number): Promise<unknown> =>
    world.until(`${count} × ${verb}`, async () => hand.of(verb).length >= count);

  test("made after its deletion was wanted → taken away by the name it was made under, and gone", async () => {
    await start();
    const { clusterId, id } = await simCluster(world, { name: "late", type: "hand", desiredCapacity: 3 });
    await called("create", 3);
    must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
    await world.until("all are wanted gone", async () =>
      (await members(world.database.db, clusterId)).every((member) => member.status === "DELETING"),
    );
    expect(hand.of("delete")).toEqual([]);
    hand.open("create");
    await called("delete", 3);
    for (const call of hand.of("delete")) expect(call.physicalId).toBe(`hand-${call.nodeId}-1`);
    hand.open("delete");
    await world.until("the end", async () => (await clusterFacts(world.database.db, clusterId)) === null);
    expect(hand.of("create")).toHaveLength(3);
  });

  test("failed after its deletion was wanted → deleted all the same, never made again", async () => {
    await start();
    const { clusterId, id } = await simCluster(world, { name: "late", type: "hand", desiredCapacity: 2 });
    await called("create", 2);
    must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
    await world.until("all are wanted gone", async () =>
      (await members(world.database.db, clusterId)).every((member) => member.status === "DELETING"),
    );
    hand.open("delete");
    hand.open("create", { class: "transient", code: "BUSY", message: "try again" });
    await world.until("the end", async () => (await clusterFacts(world.database.db, clusterId)) === null);
    expect(hand.of("create")).toHaveLength(2);
  });

  test("deleted while it is recovered → the recovery's action is superseded, the member goes", async () => {
    await start();
    hand.open("create");
    const { clusterId, id } = await simCluster(world, { name: "late", type: "hand", desiredCapacity: 1 });
    await world.until("it runs", async () => (await clusterFacts(world.database.db, clusterId))?.active === 1);
    const [member] = await members(world.database.db, clusterId);
    if (member === undefined) throw new Error("there is no member");
    const { actionId } = must(await recoverClusterNode(world.context(), { node: { id: encodeId("node", member.id) } }));
    await called("delete", 1);
    must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly: 0 }, strict: true }));
    await world.until("it is wanted gone", async () => (await members(world.database.db, clusterId))[0]?.status === "DELETING");
    expect(await actionFacts(world.database.db, actionId)).toMatchObject({ status: "SUPERSEDED" });
    hand.open("delete");
    await world.until("it is gone", async () => (await clusterFacts(world.database.db, clusterId))?.nodes === 0);
  });
});
