import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createCluster } from "../../src/commands/cluster.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createClusterNode } from "../../src/commands/node.ts";
import { checkClusterNode } from "../../src/commands/node-job.ts";
import { createProfile } from "../../src/commands/profile.ts";
import { encodeId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { ConnectionLost } from "../../src/store/failure.ts";
import { actionNow } from "../commands/support.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type ProviderProcess, startProvider } from "../support/provider.ts";
import { type DatabaseProxy, startProxy } from "../support/proxy.ts";
import { startWorld, type World } from "../support/world.ts";

describe("COMMIT of a mutation", () => {
  let world: World;
  let proxy: DatabaseProxy;
  let through: Database;
  let context: CommandContext;
  let profile: string;
  beforeEach(async () => {
    world = await startWorld();
    proxy = await startProxy(world.database.url);
    through = openDatabase({ url: proxy.url, size: 3, applicationName: "through" });
    context = { ...world.context(), store: { ...world.store, db: through } };
    profile = encodeId("profile", must(await createProfile(world.context(), { name: "p", type: "sim", spec: {} })).profileId);
  });
  afterEach(async () => {
    await through.destroy();
    await proxy.close();
    await world.stop();
  });

  const create = (): ReturnType<typeof createCluster> =>
    createCluster(context, { name: "once", profile: { id: profile }, desiredCapacity: 3, minSize: 0, timeoutSeconds: 60, idempotencyKey: "the-key" });
  const clusters = async (): Promise<number> => {
    const { rows } = await sql<{ n: bigint }>`select count(*) as n from muster.cluster`.execute(world.database.db);
    return Number(rows[0]?.n);
  };

  test("reply lost → found by its transaction's id, answered as if nothing had happened, not made again", async () => {
    const lost = proxy.loseCommitReply((step) => step.transaction.includes("ledger.mark"));
    const made = must(await create());
    await lost;
    expect(await clusters()).toBe(1);
    expect(must(await create())).toEqual(made);
    expect(await clusters()).toBe(1);
  });

  test("COMMIT itself lost → an operational error, nothing made; the same key again → made", async () => {
    const lost = proxy.loseCommit((step) => step.transaction.includes("ledger.mark"));
    await expect(create()).rejects.toBeInstanceOf(ConnectionLost);
    await lost;
    expect(await clusters()).toBe(0);
    must(await create());
    expect(await clusters()).toBe(1);
  });

  test("reply lost, and the server away while it is asked after → an operational error; the same key again → the same ids", {
    timeout: 60_000,
  }, async () => {
    const lost = proxy.loseCommitReply((step) => step.transaction.includes("ledger.mark"));
    const asking = proxy.hold((step) => step.statement === "transaction.status");
    const refused = expect(create()).rejects.toBeInstanceOf(ConnectionLost);
    await lost;
    const held = await asking;
    // Nobody answers any more until it has given up.
    proxy.freeze();
    held.cut();
    await refused;
    proxy.thaw();
    expect(await clusters()).toBe(1);
    const again = must(await create());
    expect(encodeId("cluster", again.clusterId)).toMatch(/^cluster_/);
    expect(await clusters()).toBe(1);
  });
});

describe("COMMIT of a worker", () => {
  let world: World;
  let provider: ProviderProcess;
  let proxy: DatabaseProxy;
  beforeEach(async () => {
    provider = await startProvider();
    world = await startWorld({ provider: provider.provider });
    proxy = await startProxy(world.database.url);
  });
  afterEach(async () => {
    await world.stop();
    await proxy.close();
    await provider.stop();
  });

  /** The last member is made by name: such a one is claimed by itself, not with a plan. */
  const settle = async (size: number, createMs: JsonObject | number = 50): Promise<void> => {
    const { clusterId, id } = await simCluster(world, { name: "through", desiredCapacity: size - 1, spec: { createMs } });
    must(await createClusterNode(world.context(), { cluster: { id }, name: "guest" }));
    await world.until(`${size} members`, async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.observedGeneration === 2 && facts.active === size;
    });
    const books = await provider.books();
    expect(books.doubles).toEqual([]);
    expect(books.created).toBe(size);
  };

  test("what is begun without a word in the ledger: reply lost → carried out at once, long before its deadline", async () => {
    world.startWorkerThrough(proxy.url);
    const { clusterId, id } = await simCluster(world, { name: "seen", desiredCapacity: 1, spec: { deleteMs: 600_000 } });
    await world.until("it stands", async () => (await clusterFacts(world.database.db, clusterId))?.observedGeneration === 1);
    const lost = proxy.loseCommitReply((step) => step.transaction.includes("task.begin"));
    const { actionId } = must(await checkClusterNode(world.context(), { node: { index: { cluster: { id }, index: 1 } } }));
    expect((await lost).transaction).not.toContain("ledger.mark");
    await world.until("it was looked at", async () => (await actionNow(world.context(), actionId)).status === "SUCCEEDED");
  });

  const steps = [
    ["a plan", "node.plan"],
    ["what is begun", "task.begin"],
    ["outcomes", "node.save"],
  ] as const;

  test.each(steps)("%s: reply lost → members made once, all of them", async (_what, statement) => {
    world.startWorkerThrough(proxy.url);
    const lost = proxy.loseCommitReply((step) => step.transaction.includes(statement));
    await settle(60);
    expect((await lost).statement).toBe("commit");
  });

  test.each(steps)("%s: COMMIT itself lost → members made once, all of them", async (_what, statement) => {
    world.startWorkerThrough(proxy.url);
    const lost = proxy.loseCommit((step) => step.transaction.includes(statement));
    await settle(60);
    expect((await lost).statement).toBe("commit");
  });

  test.each(["fin", "rst"] as const)("all connections cut (%s) again and again → members made once, all of them", async (how) => {
    world.startWorkerThrough(proxy.url);
    const settled = settle(150, { min: 100, max: 5_000 });
    for (let i = 0; i < 4; i++) {
      const held = await proxy.hold((step) => step.statement === "commit" && step.transaction.includes("node.save"));
      held.release();
      proxy.cut(how);
    }
    await settled;
  });
});
