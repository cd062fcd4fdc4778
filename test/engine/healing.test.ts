/** Members that die, members that cannot be made, and probes that are not to be believed. */
import { createServer, type Server } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { recoverCluster } from "../../src/commands/cluster-job.ts";
import { checkClusterNode } from "../../src/commands/node-job.ts";
import { type ClusterId, encodeId } from "../../src/core/ids.ts";
import type { ProbePlan } from "../../src/drivers/driver.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";
import { actionFacts, condition, members, readActions } from "./facts.ts";

let world: World;
afterEach(() => world.stop());

const allActive = (clusterId: ClusterId, count: number): Promise<unknown> =>
  world.until(`${count} active members`, async () => {
    const facts = await clusterFacts(world.database.db, clusterId);
    return facts?.active === count && facts.nodes === count;
  });

/** Takes it away before it is dead again. */
async function end(clusterId: ClusterId, id: string): Promise<void> {
  must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
  await world.until("the end", async () => (await clusterFacts(world.database.db, clusterId)) === null);
}

describe("members that die of age", () => {
  test("one lifetime over → seen, recovered in its next epoch, by an action whose cause is HEALTH", async () => {
    world = await startWorld({ workers: 1 });
    const { clusterId, id } = await simCluster(world, { name: "mortal", desiredCapacity: 3, spec: { lifetimeMs: 700 } });
    const healed = await world.until("a recovery succeeded", async () =>
      (await readActions(world.database.db)).find((action) => action.kind === "NODE_RECOVER" && action.status === "SUCCEEDED"),
    );
    expect(healed).toMatchObject({ cause: "HEALTH", total: 1, done: 1, failed: 0 });
    expect((await members(world.database.db, clusterId)).some((member) => member.epoch > 1)).toBe(true);
    await end(clusterId, id);
  });
});

describe("members that cannot be made", () => {
  test("every attempt fails → set aside: the wish FAILED with its count, the cluster says so, the members are for the ladder", async () => {
    const hand = handDriver();
    hand.open("create", { class: "permanent", code: "NO_SUCH_IMAGE", message: "there is no such image" });
    hand.open("delete");
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId, actionId, id } = await simCluster(world, { name: "doomed", type: "hand", desiredCapacity: 3, minSize: 1 });
    await world.until(
      "the action ended",
      async () =>
        (await actionFacts(world.database.db, actionId)).status !== "RUNNING" &&
        (await actionFacts(world.database.db, actionId)).status !== "PENDING",
    );
    expect(await actionFacts(world.database.db, actionId)).toMatchObject({ status: "FAILED", reason: "3 of 3 members failed", done: 0, failed: 3 });
    expect((await clusterFacts(world.database.db, clusterId))?.nodes).toBe(3);
    await world.until("it is critical", async () => (await clusterFacts(world.database.db, clusterId))?.status === "CRITICAL");
    // Made possible after all: the ladder's next try succeeds, nobody has to ask.
    hand.open("create");
    await allActive(clusterId, 3);
    await end(clusterId, id);
  });

  test("recovered by replacement → they go, others are made, and the action ends when the cluster has settled", async () => {
    const hand = handDriver();
    hand.open("create", { class: "permanent", code: "NO_SUCH_IMAGE", message: "there is no such image" });
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { db } = world.database;
    const { clusterId, id } = await simCluster(world, { name: "replaced", type: "hand", desiredCapacity: 3 });
    await world.until("all are in ERROR", async () => {
      const all = await members(db, clusterId);
      // The ladder is not to be faster than the person.
      await db
        .updateTable("muster.notable")
        .set({ remedy_at: new Date(Date.now() + 3_600_000) })
        .execute();
      return all.length === 3 && all.every((member) => member.status === "ERROR");
    });
    const former = new Set((await members(db, clusterId)).map((member) => member.id));
    const { actionId } = must(await recoverCluster(world.context(), { cluster: { id }, operation: "replace" }));
    await world.until("all are going", async () => (await members(db, clusterId)).filter((member) => member.status === "DELETING").length === 3);
    expect((await actionFacts(db, actionId)).status).toBe("RUNNING");
    hand.open("create");
    hand.open("delete");
    await allActive(clusterId, 3);
    const ended = await world.until("it ended", async () => {
      const facts = await actionFacts(db, actionId);
      return facts.status !== "RUNNING" && facts;
    });
    expect(ended).toMatchObject({ status: "SUCCEEDED", total: 3, done: 3, failed: 0 });
    expect((await members(db, clusterId)).some((member) => former.has(member.id))).toBe(false);
    await end(clusterId, id);
  });

  test("sim with failureRate 1 → given up after its attempts, the wish FAILED", async () => {
    world = await startWorld({ workers: 1 });
    const { clusterId, actionId, id } = await simCluster(world, { name: "unlucky", desiredCapacity: 2, spec: { failureRate: 1 } });
    await world.until("the action ended", async () => (await actionFacts(world.database.db, actionId)).status === "FAILED");
    expect(await actionFacts(world.database.db, actionId)).toMatchObject({ done: 0, failed: 2, total: 2 });
    await end(clusterId, id);
  });
});

describe("a member in ERROR", () => {
  test("somebody has it checked while its remedy waits → the remedy comes all the same", async () => {
    const hand = handDriver();
    hand.open("create", { class: "permanent", code: "NO_SUCH_IMAGE", message: "there is no such image" });
    hand.open("delete");
    hand.open("inspect");
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId, id } = await simCluster(world, { name: "checked", type: "hand", desiredCapacity: 1 });
    const sick = await world.until("it is in ERROR", async () =>
      (await members(world.database.db, clusterId)).find((member) => member.status === "ERROR"),
    );
    const { actionId } = must(await checkClusterNode(world.context(), { node: { id: encodeId("node", sick.id) } }));
    hand.open("create");
    await world.until("the check ended", async () => !["PENDING", "RUNNING"].includes((await actionFacts(world.database.db, actionId)).status));
    await allActive(clusterId, 1);
    await end(clusterId, id);
  });
});

describe("a probe by command", () => {
  test("run for a member → the driver is told the member's cluster too", async () => {
    const hand = handDriver({
      probe: {
        check: { kind: "command", command: ["well?"] },
        intervalMs: 100,
        timeoutMs: 500,
        failureThreshold: 2,
        successThreshold: 1,
        startPeriodMs: 100,
      },
    });
    hand.open("create");
    hand.open("delete");
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId, id } = await simCluster(world, { name: "asked", type: "hand", desiredCapacity: 1 });
    const node = await world.until("it was probed", async () => hand.probed[0]);
    expect(node).toMatchObject({ clusterId, clusterName: "asked", name: "asked-1" });
    await end(clusterId, id);
  });
});

describe("a probe that is not to be believed", () => {
  const probe: ProbePlan = {
    check: { kind: "tcp", port: "tcp" },
    intervalMs: 100,
    timeoutMs: 500,
    failureThreshold: 2,
    successThreshold: 1,
    startPeriodMs: 100,
  };

  /** Listens until it is told not to; again at the same port. */
  async function listen(port = 0): Promise<{ server: Server; port: number }> {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => {
      server.listen(port, "127.0.0.1", resolve);
    });
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return { server, port: address.port };
  }
  const close = (server: Server): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
    });

  test("all five members fail their probes at once → at most two are restarted, HEALING_PAUSED says why; they answer again → all is well by itself", async () => {
    const count = 5;
    const { server, port } = await listen();
    const hand = handDriver({ probe, addresses: [{ name: "tcp", host: "127.0.0.1", port }] });
    hand.open("create");
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId } = await simCluster(world, { name: "probed", type: "hand", desiredCapacity: count });
    const { db } = world.database;
    const healthy = (count: number): Promise<unknown> =>
      world.until(`${count} healthy members`, async () => {
        const row = await db
          .selectFrom("muster.cluster_count")
          .select((e) => e.fn.sum<bigint>("healthy").as("healthy"))
          .where("cluster_id", "=", clusterId)
          .executeTakeFirst();
        return Number(row?.healthy ?? 0) === count;
      });
    await healthy(count);
    await close(server);
    const paused = await world.until("healing is paused", async () => {
      const found = await condition(db, clusterId, "HEALING_PAUSED");
      return found?.status === "TRUE" && found;
    });
    expect(paused.reason).toBe("TOO_MANY_FAILED");
    await world.until("all are in ERROR or being remedied", async () =>
      (await members(db, clusterId)).every((member) => member.status === "ERROR" || member.status === "RECOVERING"),
    );
    // Those that failed first were believed; then the probe was suspected, and nobody else is touched.
    const remedied = (await readActions(db)).filter((action) => action.cause === "HEALTH").length;
    expect(remedied).toBeLessThanOrEqual(2);
    const again = await listen(port);
    hand.open("delete");
    await allActive(clusterId, count);
    await healthy(count);
    expect((await readActions(db)).filter((action) => action.cause === "HEALTH")).toHaveLength(remedied);
    await world.until("healing goes on", async () => (await condition(db, clusterId, "HEALING_PAUSED"))?.status === "FALSE");
    await close(again.server);
    must(await deleteCluster(world.context(), { cluster: { id: encodeId("cluster", clusterId) }, abandon: false }));
    await world.until("the end", async () => (await clusterFacts(db, clusterId)) === null);
  });

  test("it never answers from the start → UNHEALTHY once its start-up grace is over, not before", async () => {
    const { server, port } = await listen();
    await close(server);
    const slow: ProbePlan = { ...probe, startPeriodMs: 1_200 };
    const hand = handDriver({ probe: slow, addresses: [{ name: "tcp", host: "127.0.0.1", port }] });
    hand.open("create");
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId, id } = await simCluster(world, { name: "deaf", type: "hand", desiredCapacity: 1 });
    const action = await world.until("a remedy began", async () => (await readActions(world.database.db)).find((each) => each.cause === "HEALTH"));
    expect(action).toMatchObject({ kind: "NODE_RECOVER" });
    hand.open("delete");
    await end(clusterId, id);
  });
});
