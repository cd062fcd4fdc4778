import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { actionStatusCodes } from "../../src/core/action.ts";
import { clusterFacts, simCluster } from "../support/cluster.ts";
import { type ProviderProcess, startProvider } from "../support/provider.ts";
import { type DatabaseProxy, startProxy } from "../support/proxy.ts";
import { type SpawnedWorker, spawnWorker } from "../support/spawned-worker.ts";
import { startWorld, type World } from "../support/world.ts";

describe("worker process", () => {
  let world: World;
  let provider: ProviderProcess;
  let proxy: DatabaseProxy;
  const workers: SpawnedWorker[] = [];
  const startWorker = async (name: string, url?: string): Promise<SpawnedWorker> => {
    const worker = await spawnWorker(world.workerSettings(name, provider.url, url));
    workers.push(worker);
    return worker;
  };
  beforeEach(async () => {
    provider = await startProvider();
    world = await startWorld({ provider: provider.provider });
    proxy = await startProxy(world.database.url);
  });
  afterEach(async () => {
    await proxy.close();
    for (const worker of workers.splice(0)) await worker.stop();
    await world.stop();
    await provider.stop();
  });

  const lanesOf = async (name: string): Promise<number> => {
    const row = await world.database.db
      .selectFrom("muster.lane as l")
      .innerJoin("muster.worker as w", "w.id", "l.owner")
      .select((e) => e.fn.countAll<bigint>().as("lanes"))
      .where("w.application_name", "=", name)
      .where("l.host_id", "is", null)
      .executeTakeFirstOrThrow();
    return Number(row.lanes);
  };
  const isThere = async (name: string): Promise<boolean> =>
    (await world.database.db.selectFrom("muster.worker").select("id").where("application_name", "=", name).executeTakeFirst()) !== undefined;
  const failedActions = async (): Promise<unknown[]> =>
    world.database.db.selectFrom("muster.action").select(["id", "kind", "status_reason"]).where("status", "=", actionStatusCodes.FAILED).execute();
  /** Both have their share of the lanes. */
  const shared = (...names: string[]): Promise<unknown> =>
    world.until("lanes shared", async () => (await Promise.all(names.map(lanesOf))).every((lanes) => lanes >= Math.floor(256 / names.length)));

  test("killed while 200 members are being made → taken over, 200 members, none made twice, nothing FAILED", {
    timeout: 120_000,
  }, async () => {
    const victim = await startWorker("victim");
    await startWorker("survivor");
    await shared("victim", "survivor");
    const { clusterId } = await simCluster(world, { name: "killed", desiredCapacity: 200, spec: { createMs: 2_000 } });
    await world.until("all are being made", async () => (await provider.books()).created >= 200);
    await victim.kill();
    await world.until("the takeover", async () => (await lanesOf("survivor")) === 256);
    await world.until("200 members", async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.observedGeneration === 1 && facts.active === 200;
    });
    const books = await provider.books();
    expect(books.doubles).toEqual([]);
    expect(books.created).toBe(200);
    expect(books.alive).toHaveLength(200);
    expect(await failedActions()).toEqual([]);
  });

  test("stopped inside a transaction (SIGSTOP) → taken over; when it goes on, it writes nothing and joins again", { timeout: 120_000 }, async () => {
    const frozen = await startWorker("frozen", proxy.url);
    await startWorker("survivor");
    await shared("frozen", "survivor");
    const holding = proxy.hold(
      (step) => step.statement === "commit" && step.transaction.includes("lane.check") && step.transaction.includes("node.save"),
    );
    const { clusterId } = await simCluster(world, { name: "frozen", desiredCapacity: 100, spec: { createMs: 200 } });
    const held = await holding;
    frozen.freeze();
    await world.until("the takeover", async () => (await lanesOf("survivor")) === 256);
    await world.until("100 members", async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.observedGeneration === 1 && facts.active === 100;
    });
    held.release();
    frozen.thaw();
    await world.until("it joins again", async () => (await isThere("frozen")) && (await lanesOf("frozen")) > 0);
    const books = await provider.books();
    expect(books.doubles).toEqual([]);
    expect(books.created).toBe(100);
    expect(await failedActions()).toEqual([]);
  });
});
