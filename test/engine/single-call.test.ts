/** Drivers that take one node per call: who goes first, how fast, and what happens while their provider does not answer. */
import { sql } from "kysely";
import { afterEach, describe, expect, test } from "vitest";
import { createProject } from "../../src/commands/project.ts";
import type { ClusterId } from "../../src/core/ids.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type Hand, handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";
import { actionFacts, condition, members } from "./facts.ts";

describe("a driver that takes one node per call", () => {
  let world: World;
  let hand: Hand;
  const start = async (limits: Parameters<typeof handDriver>[0] = {}): Promise<void> => {
    hand = handDriver({ ...limits, limits: { batchSize: 1, ...limits.limits } });
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
  };
  afterEach(() => world.stop());
  const planned = (clusterId: ClusterId, count: number): Promise<unknown> =>
    world.until(`${count} planned`, async () => (await members(world.database.db, clusterId)).length >= count);
  const active = (clusterId: ClusterId, count: number): Promise<unknown> =>
    world.until(`${count} active`, async () => (await clusterFacts(world.database.db, clusterId))?.active === count);
  /** Where in the order of creates those of the cluster came. */
  const places = async (clusterId: ClusterId): Promise<number[]> => {
    const ids = new Set((await members(world.database.db, clusterId)).map((member) => member.id));
    return hand.of("create").flatMap((call, place) => (ids.has(call.nodeId) ? [place] : []));
  };

  test("more is due than is read, all of it older and another project's → a cluster of three is made within some tens of calls", async () => {
    await start();
    const { db } = world.database;
    const big = await Promise.all(["a", "b", "c"].map((name) => simCluster(world, { name, type: "hand", desiredCapacity: 1_000 })));
    for (const { clusterId } of big) await planned(clusterId, 1_000);
    await world.until("the driver is busy", async () => hand.of("create").length === 6);
    await sql`update muster.task set due_at = due_at - interval '1 hour' where begun_by = 0`.execute(db);
    const { projectId } = must(await createProject(world.context(), { name: "small" }));
    const small = await simCluster(world, { name: "small", type: "hand", desiredCapacity: 3, projectId });
    await planned(small.clusterId, 3);
    hand.open("create");
    await active(small.clusterId, 3);
    expect(Math.max(...(await places(small.clusterId)))).toBeLessThan(106);
  });

  test("its provider does not answer → calls stop but for one at a time, the cluster says why, no attempt is counted; it answers again → all are made", async () => {
    await start({ limits: { batchSize: 1, failuresToPause: 3 } });
    hand.open("create", { class: "transient", code: "NO_ROUTE", message: "the provider is away" });
    const { clusterId, actionId } = await simCluster(world, { name: "silent", type: "hand", desiredCapacity: 40 });
    const { db } = world.database;
    const silent = await world.until("the cluster says so", async () => {
      const converged = await condition(db, clusterId, "CONVERGED");
      return converged?.reason === "PROVIDER_SILENT" && converged;
    });
    expect(silent.message).toContain("NO_ROUTE: the provider is away");
    const { length: before } = hand.of("create");
    // Those that were under way when the third failed, and no more.
    expect(before).toBeLessThanOrEqual(2 + 6);
    await world.until("two tried in vain", async () => hand.of("create").length === before + 2);
    expect(world.log.lines.filter((line) => line.message.startsWith("a provider does not answer")).length).toBeGreaterThanOrEqual(2);
    hand.open("create");
    await active(clusterId, 40);
    expect(Math.max(...hand.of("create").map((call) => call.attempt))).toBeLessThanOrEqual(2);
    await world.until("the cluster is settled", async () => (await condition(db, clusterId, "CONVERGED"))?.status === "TRUE");
    expect(await actionFacts(db, actionId)).toMatchObject({ status: "SUCCEEDED", done: 40, failed: 0 });
  });

  test("its provider refuses one after the other → each is asked about, and nobody waits", async () => {
    await start({ limits: { batchSize: 1, failuresToPause: 3 } });
    hand.open("create", { class: "permanent", code: "BAD", message: "never" });
    await simCluster(world, { name: "refused", type: "hand", desiredCapacity: 20 });
    await world.until("all were asked about", async () => hand.of("create").length >= 20);
    expect(world.log.lines.filter((line) => line.message.startsWith("a provider does not answer"))).toEqual([]);
  });

  test("twenty calls a second, one at once → fifteen members take no less than it takes", async () => {
    await start({ limits: { batchSize: 1, callsPerSecond: 20, burst: 1 } });
    hand.open("create");
    const begun = world.store.runtime.clock.monotonicMs();
    const { clusterId } = await simCluster(world, { name: "slowly", type: "hand", desiredCapacity: 15 });
    await active(clusterId, 15);
    expect(world.store.runtime.clock.monotonicMs() - begun).toBeGreaterThanOrEqual((14 / 20) * 1_000);
  });
});
