/** Many small clusters at once: planned together, and each by itself where one of them cannot be. */
import { sql } from "kysely";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createClusterNode } from "../../src/commands/node.ts";
import { type EventTypeName, eventTypes } from "../../src/core/event.ts";
import type { ClusterId, ProfileId } from "../../src/core/ids.ts";
import { aCluster, aProfile, valueOf } from "../commands/support.ts";
import { clusterFacts } from "../support/cluster.ts";
import { startWorld, type World } from "../support/world.ts";

const names = Array.from({ length: 20 }, (_, n) => `small-${n}`);

let world: World;
let profileId: ProfileId;
beforeEach(async () => {
  world = await startWorld();
  profileId = await aProfile(world.context(), "web");
});
afterEach(() => world.stop());

async function make(): Promise<ClusterId[]> {
  const made: ClusterId[] = [];
  for (const name of names) made.push((await aCluster(world.context(), profileId, { name, desiredCapacity: 3 })).clusterId);
  return made;
}

/** In how many transactions such events were written. */
async function batchesOf(type: EventTypeName): Promise<number> {
  const { rows } = await sql<{ batches: number }>`
    select count(distinct batch)::int as batches from muster.event where type = ${eventTypes[type].code}`.execute(world.store.db);
  return rows[0]?.batches ?? 0;
}

function allSettled(clusters: readonly ClusterId[], active: (id: ClusterId) => number): Promise<unknown> {
  return world.until("all have settled", async () => {
    const facts = await Promise.all(clusters.map(async (id) => ({ id, ...(await clusterFacts(world.database.db, id)) })));
    return facts.every((each) => each.observedGeneration === each.generation && each.active === active(each.id) && each.nodes === active(each.id));
  });
}

test("twenty clusters that are due → their members are planned in one transaction, and they settle in few", async () => {
  const clusters = await make();
  world.startWorker();
  await allSettled(clusters, () => 3);
  // A worker that comes may own some of the lanes before the others.
  expect(await batchesOf("node.created")).toBeLessThanOrEqual(4);
  expect(await batchesOf("cluster.settled")).toBeLessThanOrEqual(10);
});

test("a member's name in one of them is taken → the others do not wait for it, and it has other names", async () => {
  const clusters = await make();
  const [crowded] = clusters;
  // It takes the index 1, so the three that follow would be called …-2, …-3 and …-4.
  valueOf(await createClusterNode(world.context(), { cluster: { name: "small-0" }, name: "small-0-3" }));
  world.startWorker();
  await allSettled(clusters, (id) => (id === crowded ? 4 : 3));
  const { rows } = await sql<{ name: string }>`select name from muster.node where cluster_id = ${crowded} order by index`.execute(world.store.db);
  expect(rows.map(({ name }) => name)).toContain("small-0-3");
  expect(new Set(rows.map(({ name }) => name)).size).toBe(4);
  expect(await batchesOf("node.created"), "transactions that made members").toBeLessThanOrEqual(12);
});
