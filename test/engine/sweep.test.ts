/** Checks of whole clusters: asked page by page, counted once each, whatever happens meanwhile. */
import { sql } from "kysely";
import { afterEach, describe, expect, test } from "vitest";
import { cancelAction } from "../../src/commands/action.ts";
import { checkCluster } from "../../src/commands/cluster-job.ts";
import { type ActionId, type ClusterId, encodeId } from "../../src/core/ids.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type Hand, handDriver } from "../support/hand-driver.ts";
import { startWorld, type World, type WorldWorker } from "../support/world.ts";
import { type ActionFacts, actionFacts, members } from "./facts.ts";

let world: World;
let hand: Hand;
afterEach(() => world.stop());

interface Checked {
  readonly clusterId: ClusterId;
  readonly actionId: ActionId;
  readonly worker: WorldWorker;
}

/** So many members at rest, whose check has begun: the driver takes 800 at once, and lets them wait. */
async function check(count: number): Promise<Checked> {
  hand = handDriver();
  world = await startWorld({ drivers: [hand.driver] });
  const worker = world.startWorker();
  hand.open("create");
  const { clusterId, id } = await simCluster(world, { name: "swept", type: "hand", desiredCapacity: count });
  await world.until(`${count} are active`, async () => (await clusterFacts(world.database.db, clusterId))?.active === count);
  const { actionId } = must(await checkCluster(world.context(), { cluster: { id } }));
  await world.until("some are asked about", () => Promise.resolve(hand.of("inspect").length >= Math.min(count, 800)));
  return { clusterId, actionId, worker };
}

const ended = (actionId: ActionId): Promise<ActionFacts> =>
  world.until("the check is over", async () => {
    const facts = await actionFacts(world.database.db, actionId);
    return facts.status !== "RUNNING" && facts.status !== "PENDING" && facts;
  });
const taskCount = async (clusterId: ClusterId): Promise<number> => {
  const { rows } = await sql<{ count: string }>`select count(*) from muster.task where cluster_id = ${clusterId}`.execute(world.database.db);
  return Number(rows[0]?.count);
};

describe("a cluster is checked", () => {
  test("all are well → each is asked about once, and no task is written", async () => {
    const { clusterId, actionId } = await check(1_200);
    expect(await taskCount(clusterId)).toBe(0);
    hand.open("inspect");
    expect(await ended(actionId)).toMatchObject({ status: "SUCCEEDED", total: 1_200, done: 1_200, failed: 0 });
    expect(new Set(hand.of("inspect").map(({ nodeId }) => nodeId)).size).toBe(1_200);
    expect(hand.of("inspect")).toHaveLength(1_200);
  });

  test("nobody can be asked about → each goes by the queue, and is told of as unknown", async () => {
    const { clusterId, actionId } = await check(40);
    hand.open("inspect", { class: "permanent", code: "BROKEN", message: "no answer" });
    expect(await ended(actionId)).toMatchObject({ total: 40 });
    await world.until("all are unknown", async () => (await members(world.database.db, clusterId)).every(({ status }) => status === "UNKNOWN"));
  });

  test("its worker stops in the middle → another one goes on, and nobody is counted twice", async () => {
    const { actionId, worker } = await check(1_200);
    await worker.stop();
    hand.open("inspect");
    world.startWorker();
    expect(await ended(actionId)).toMatchObject({ status: "SUCCEEDED", total: 1_200, done: 1_200, failed: 0 });
  });

  test("it is cancelled in the middle → nobody else is asked about", async () => {
    const { actionId } = await check(2_000);
    must(await cancelAction(world.context(), { id: encodeId("action", actionId) }));
    hand.open("inspect");
    const next = must(await checkCluster(world.context(), { cluster: { name: "swept" } }));
    expect(await ended(next.actionId)).toMatchObject({ status: "SUCCEEDED", total: 2_000, done: 2_000, failed: 0 });
    expect((await actionFacts(world.database.db, actionId)).status).toBe("CANCELLED");
    expect(hand.of("inspect").length).toBeLessThan(2 * 2_000);
  });

  test("two workers → each asks about those in its own lanes, all are counted", async () => {
    const { actionId } = await check(300);
    world.startWorker();
    await world.until("they share the lanes", async () => {
      const { rows } = await sql<{ owners: string }>`select count(distinct owner) as owners from muster.lane where owner is not null`.execute(
        world.database.db,
      );
      return Number(rows[0]?.owners) === 2;
    });
    hand.open("inspect");
    await ended(actionId);
    const again = must(await checkCluster(world.context(), { cluster: { name: "swept" } }));
    expect(await ended(again.actionId)).toMatchObject({ status: "SUCCEEDED", total: 300, done: 300, failed: 0 });
  });
});
