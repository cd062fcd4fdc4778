import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { startWorld, type World } from "../support/world.ts";

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
