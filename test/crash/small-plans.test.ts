/** A worker is killed while it plans many small clusters together: another one takes over, and each has exactly its members. */
import { describe, expect, test } from "vitest";
import { actionStatusCodes } from "../../src/core/action.ts";
import type { ClusterId } from "../../src/core/ids.ts";
import { clusterFacts, simCluster } from "../support/cluster.ts";
import { startProvider } from "../support/provider.ts";
import { type DatabaseProxy, type Step, startProxy } from "../support/proxy.ts";
import { spawnWorker } from "../support/spawned-worker.ts";
import { startWorld } from "../support/world.ts";

const clusters = 8;
const membersEach = 3;

const isCommit = ({ statement, transaction }: Step): boolean =>
  statement === "commit" && transaction.includes("plan.wanted") && transaction.includes("node.plan");
const settles = ({ statement }: Step): boolean => statement === "due.settle";

/** How many members there are when it dies: none or all, since they are written together. */
const points: Readonly<Record<string, { readonly arm: (proxy: DatabaseProxy) => Promise<unknown>; readonly there: number }>> = {
  "indexes taken, nothing planned": { arm: (proxy) => proxy.holdReply(({ statement }) => statement === "plan.indexes"), there: 0 },
  "before COMMIT": { arm: (proxy) => proxy.hold(isCommit), there: 0 },
  "after COMMIT": { arm: (proxy) => proxy.holdReply(isCommit), there: clusters * membersEach },
  "their look not put off": { arm: (proxy) => proxy.hold(settles), there: clusters * membersEach },
};

describe("a worker that plans clusters together is killed", () => {
  test.concurrent.each(Object.entries(points))("%s → ended by another, nothing made twice, nothing FAILED", async (_name, { arm, there }) => {
    const provider = await startProvider();
    const world = await startWorld({ provider: provider.provider, sequencer: false });
    const proxy = await startProxy(world.database.url);
    const { db } = world.database;
    const members = async (): Promise<number> => (await db.selectFrom("muster.node").select("id").execute()).length;
    try {
      const made: ClusterId[] = [];
      for (let n = 0; n < clusters; n++) made.push((await simCluster(world, { name: `c-${n}`, desiredCapacity: membersEach })).clusterId);
      const reached = arm(proxy);
      const victim = await spawnWorker(world.workerSettings("victim", provider.url, proxy.url));
      await reached;
      await victim.kill();
      expect(await members()).toBe(there);
      world.startWorker();
      await world.until("each has its members", async () => {
        const facts = await Promise.all(made.map((id) => clusterFacts(db, id)));
        return facts.every((each) => each?.observedGeneration === 1 && each.active === membersEach && each.nodes === membersEach);
      });
      const books = await provider.books();
      expect(books.doubles).toEqual([]);
      expect(books.repeated).toEqual([]);
      expect(books.created).toBe(clusters * membersEach);
      expect(await db.selectFrom("muster.action").select("id").where("status", "=", actionStatusCodes.FAILED).execute()).toEqual([]);
      await world.stop();
    } finally {
      await proxy.close();
      await provider.stop();
    }
  });
});
