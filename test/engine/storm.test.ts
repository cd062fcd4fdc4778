/** Everything at once: wishes, deaths, failures, workers that come and go. Whatever happened, peace converges and the books agree. */
import { afterEach, describe, expect, test } from "vitest";
import { cancelAction } from "../../src/commands/action.ts";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { checkCluster, recoverCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster, scaleInCluster, scaleOutCluster } from "../../src/commands/cluster-size.ts";
import { createClusterNode, deleteClusterNode } from "../../src/commands/node.ts";
import { checkClusterNode, recoverClusterNode } from "../../src/commands/node-job.ts";
import { isFinished } from "../../src/core/action.ts";
import type { Result } from "../../src/core/errors.ts";
import { brandId, type ClusterId, encodeId } from "../../src/core/ids.ts";
import type { Driver, Outcome } from "../../src/drivers/driver.ts";
import { createSimDriver } from "../../src/drivers/sim/index.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { createTestLog } from "../support/log.ts";
import { startWorld, type World, type WorldWorker } from "../support/world.ts";
import { members, readActions } from "./facts.ts";

/** Mulberry32: the same storm for the same seed, as far as the world allows. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** `sim` behind a bad line: answers are lost, and it cannot do one key once. What was lost is read back. */
function lossyDriver(roll: () => number): Driver {
  const sim = createSimDriver({ ...realRuntime(), logger: createTestLog() });
  async function* losing<T>(outcomes: AsyncIterable<Outcome<T>>): AsyncGenerator<Outcome<T>> {
    for await (const outcome of outcomes) {
      yield roll() < 0.2 ? { nodeId: outcome.nodeId, ok: false, error: { class: "unknown", code: "LOST", message: "no answer came" } } : outcome;
    }
  }
  return {
    ...sim,
    type: "lossy",
    idempotency: "listed",
    // What was lost is read back only after a call's whole time.
    timeoutMs: () => 500,
    create: (nodes, context) => losing(sim.create(nodes, context)),
    delete: (nodes, context) => losing(sim.delete(nodes, context)),
    inspect: (nodes, context) => losing(sim.inspect(nodes, context)),
  };
}

interface Ship {
  readonly clusterId: ClusterId;
  readonly id: string;
}

describe("a storm", () => {
  let world: World;
  afterEach(() => world.stop());

  const wishes = async (fleet: readonly Ship[], roll: () => number): Promise<Result<unknown> | null> => {
    const ship = fleet[Math.floor(roll() * fleet.length)];
    if (ship === undefined) return null;
    const context = world.context();
    const cluster = { id: ship.id };
    const some = await members(world.database.db, ship.clusterId);
    const member = some[Math.floor(roll() * some.length)];
    const node = { id: encodeId("node", member?.id ?? brandId("node", "00000000-0000-7000-8000-000000000000")) };
    const open = (await readActions(world.database.db)).filter((action) => !isFinished(action.status));
    const action = open[Math.floor(roll() * open.length)];
    switch (Math.floor(roll() * 10)) {
      case 0:
      case 1:
        return resizeCluster(context, { cluster, capacity: { exactly: Math.floor(roll() * 30) }, strict: false });
      case 2:
        return scaleOutCluster(context, { cluster, count: 1 + Math.floor(roll() * 5) });
      case 3:
        return scaleInCluster(context, { cluster, count: 1 + Math.floor(roll() * 5) });
      case 4:
        return checkCluster(context, { cluster });
      case 5:
        return recoverCluster(context, { cluster });
      case 6:
        return checkClusterNode(context, { node });
      case 7:
        return recoverClusterNode(context, { node, operation: roll() < 0.3 ? "REPLACE" : null });
      case 8:
        return roll() < 0.5
          ? deleteClusterNode(context, { node, reduceDesiredCapacity: roll() < 0.5, abandon: false })
          : createClusterNode(context, { cluster });
      default:
        return action === undefined ? null : cancelAction(context, { id: encodeId("action", action.id) });
    }
  };

  test.each([1, 2])(
    "seed %i: 200 wishes about five clusters, members that fail and die, workers that leave → settled, every action ended, nothing left behind",
    async (seed) => {
      const roll = dice(seed);
      world = await startWorld({ drivers: [lossyDriver(roll)] });
      const workers: WorldWorker[] = [world.startWorker(), world.startWorker()];
      const specs = [
        { createMs: { min: 0, max: 40 }, deleteMs: 10 },
        { failureRate: 0.2 },
        { lifetimeMs: { min: 400, max: 2_000 }, createMs: 10 },
        { createMs: 300, deleteMs: 200, failureRate: 0.05 },
      ];
      const fleet: Ship[] = [];
      for (const [i, spec] of specs.entries()) fleet.push(await simCluster(world, { name: `ship-${i}`, desiredCapacity: 8, spec }));
      fleet.push(await simCluster(world, { name: "lossy", type: "lossy", desiredCapacity: 8, spec: { createMs: 20 } }));
      for (let round = 0; round < 40; round++) {
        await Promise.all(Array.from({ length: 5 }, () => wishes(fleet, roll)));
        if (round % 10 === 9) {
          workers.push(world.startWorker());
          await workers.shift()?.stop();
        }
      }
      // The mortal ones are taken away: where members go on dying nothing ever settles.
      const [mortal] = fleet.splice(2, 1);
      if (mortal === undefined) throw new Error("there is none");
      must(await deleteCluster(world.context(), { cluster: { id: mortal.id }, abandon: false }));
      await world.until("the mortal cluster is gone", async () => (await clusterFacts(world.database.db, mortal.clusterId)) === null);
      for (const { clusterId, id } of fleet) {
        must(await recoverCluster(world.context(), { cluster: { id } }));
        await world.until(`cluster ${id} settled`, async () => {
          const facts = await clusterFacts(world.database.db, clusterId);
          return facts !== null && facts.observedGeneration === facts.generation && facts.nodes === facts.desiredCapacity;
        });
      }
      await world.until("every action ended", async () => (await readActions(world.database.db)).every((action) => isFinished(action.status)));
      for (const { clusterId, id } of fleet) {
        must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
        await world.until(`cluster ${id} is gone`, async () => (await clusterFacts(world.database.db, clusterId)) === null);
      }
      expect((await readActions(world.database.db)).filter((action) => !isFinished(action.status))).toEqual([]);
    },
  );
});
