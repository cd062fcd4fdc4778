/** maxSize holds for what there is, not only for what is wanted: a member that somebody names and a plan that makes others know of each other. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { resizeCluster, scaleInCluster } from "../../src/commands/cluster-size.ts";
import { createClusterNode } from "../../src/commands/node.ts";
import type { ClusterId } from "../../src/core/ids.ts";
import { nodeStatusCodec } from "../../src/core/node.ts";
import { newIds, newMembers } from "../../src/engine/new-members.ts";
import { type PlannedCluster, readPlannedCluster, StalePlan, saveObserved, takeIndexes } from "../../src/store/cluster-plan.ts";
import { insertPlannedNodes } from "../../src/store/node-write.ts";
import { transaction } from "../../src/store/transaction.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { createGate, untilLocked } from "../support/gate.ts";
import { startWorld, type World } from "../support/world.ts";

let world: World;
let clusterId: ClusterId;
let cluster: { readonly id: string };

/** Two members stand, three are wanted and allowed, and nobody plans. */
beforeEach(async () => {
  world = await startWorld();
  const worker = world.startWorker();
  const made = await simCluster(world, { name: "full", desiredCapacity: 2, maxSize: 3 });
  clusterId = made.clusterId;
  cluster = { id: made.id };
  await world.until("it stands", async () => (await clusterFacts(world.database.db, clusterId))?.observedGeneration === 1);
  await worker.stop();
  must(await resizeCluster(world.context(), { cluster, capacity: { exactly: 3 }, strict: true }));
});
afterEach(() => world.stop());

const standing = async (): Promise<number> => {
  const deleting = nodeStatusCodec.code("DELETING");
  return (await world.store.db.selectFrom("muster.node").select("id").where("status", "<>", deleting).execute()).length;
};

const planned = async (): Promise<PlannedCluster> => {
  const found = await readPlannedCluster(world.store.db, clusterId);
  if (found === null) throw new Error("the cluster is gone");
  return found;
};

/** What the planner does that found two of three members: another one is made, where nobody has filled the cluster. */
async function makeTheThird(found: PlannedCluster, beforeCommit?: () => Promise<void>): Promise<void> {
  const { store } = world;
  const { entropy } = store.runtime;
  const index = await takeIndexes(store.db, clusterId, 1);
  await transaction(store, async (tx) => {
    const now = await tx.now();
    await insertPlannedNodes(tx, now, newMembers(found, index, newIds(1, entropy), null, entropy));
    await saveObserved(tx.db, now, [{ id: clusterId, former: found.status, state: found, highestNextIndex: found.nextIndex + 1 }]);
    await beforeCommit?.();
  });
}

/** Fewer are wanted, and then one more: as many as before, one of them named. */
async function nameOne(): Promise<void> {
  must(await scaleInCluster(world.context(), { cluster, count: 1 }));
  must(await createClusterNode(world.context(), { cluster }));
}

test("a member is named after the planner looked → the plan that would make one too many is void", async () => {
  const found = await planned();
  await nameOne();
  await expect(makeTheThird(found)).rejects.toThrow(StalePlan);
  expect(await standing()).toBe(3);
});

test("a member is named while a plan is written → it waits, sees the cluster filled, and takes another one's place", async () => {
  const found = await planned();
  const saved = createGate();
  const making = makeTheThird(found, () => saved.pass());
  await saved.reached;
  const naming = nameOne();
  await untilLocked(world, "plan.indexes");
  saved.open();
  await Promise.all([making, naming]);
  expect(await standing()).toBe(3);
});
