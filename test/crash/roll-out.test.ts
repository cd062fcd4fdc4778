/** A worker process is killed in the middle of a roll-out, exactly at each point; another one takes over and ends it. */
import { describe, expect, test } from "vitest";
import { updateCluster } from "../../src/commands/cluster.ts";
import { reviseProfile } from "../../src/commands/profile.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type ProviderProcess, startProvider } from "../support/provider.ts";
import { type DatabaseProxy, type Step, startProxy } from "../support/proxy.ts";
import { spawnWorker } from "../support/spawned-worker.ts";
import { startWorld } from "../support/world.ts";

/** Resolves when the victim stands at the point: it never gets past it. */
type Arm = (proxy: DatabaseProxy, provider: ProviderProcess) => Promise<unknown>;

const commitsOf =
  (...parts: readonly string[]) =>
  ({ statement, transaction }: Step): boolean =>
    statement === "commit" && parts.every((part) => transaction.includes(part));
const isWindow = commitsOf("outdated.next");
const isClaim = commitsOf("task.begin");
const isOutcome = ({ statement, transaction }: Step): boolean =>
  statement === "commit" &&
  transaction.includes("node.save") &&
  transaction.includes("lane.check") &&
  !transaction.includes("task.begin") &&
  !transaction.includes("plan.wanted");

const points: Readonly<Record<string, { readonly arm: Arm; readonly inPlace: boolean }>> = {
  "planner: members taken, before COMMIT": { arm: (proxy) => proxy.hold(isWindow), inPlace: false },
  "planner: members taken, after COMMIT": { arm: (proxy) => proxy.holdReply(isWindow), inPlace: false },
  "in place: members taken, after COMMIT": { arm: (proxy) => proxy.holdReply(isWindow), inPlace: true },
  "in place: begun, nothing asked": { arm: (proxy) => proxy.holdReply(isClaim), inPlace: true },
  "in place: asked for, not carried out": { arm: (_, provider) => provider.hold("update", "before"), inPlace: true },
  "in place: carried out, not answered": { arm: (_, provider) => provider.hold("update", "after"), inPlace: true },
  "in place: answered, before COMMIT": { arm: (proxy) => proxy.hold(isOutcome), inPlace: true },
  "in place: answered, after COMMIT": { arm: (proxy) => proxy.holdReply(isOutcome), inPlace: true },
  "replaced: closed, not answered": { arm: (_, provider) => provider.hold("delete", "after"), inPlace: false },
  "replaced: closed, before COMMIT": { arm: (proxy) => proxy.hold(isOutcome), inPlace: false },
  "replaced: closed, after COMMIT": { arm: (proxy) => proxy.holdReply(isOutcome), inPlace: false },
  "replaced: the next life asked for, not begun": { arm: (_, provider) => provider.hold("create", "before"), inPlace: false },
  "replaced: the next life begun, not answered": { arm: (_, provider) => provider.hold("create", "after"), inPlace: false },
};

const size = 12;
const former: JsonObject = { createMs: 20, updateMs: 20, deleteMs: 20 };

describe("a worker is killed in a roll-out", () => {
  test.concurrent.each(Object.entries(points))(
    "%s → every member is brought over once, by one epoch or by one change, nothing FAILED",
    async (_, { arm, inPlace }) => {
      const provider = await startProvider();
      const world = await startWorld({ provider: provider.provider, sequencer: false });
      const proxy = await startProxy(world.database.url);
      try {
        const { db } = world.database;
        const victim = await spawnWorker(world.workerSettings("victim", provider.url, proxy.url));
        const { clusterId, id } = await simCluster(world, { name: "c", desiredCapacity: size, spec: former });
        const settled = (generation: number): Promise<unknown> =>
          world.until(`generation ${generation}`, async () => {
            const facts = await clusterFacts(db, clusterId);
            return facts?.observedGeneration === generation && facts.active === size;
          });
        await settled(1);
        const reached = arm(proxy, provider);
        const spec = inPlace ? { ...former, createMs: 21 } : { ...former, zones: ["a"] };
        const { profileId } = must(await reviseProfile(world.context(), { profile: { name: "c-profile" }, spec }));
        const { actionId } = must(await updateCluster(world.context(), { cluster: { id }, profile: { name: "c-profile" } }));
        await reached;
        await victim.kill();
        world.startWorker();
        await settled(2);
        // What stood still at the provider reaches it now: too late.
        await provider.control({ release: true });
        const books = await provider.books();
        expect(books).toMatchObject({ created: inPlace ? size : 2 * size, doubles: [], repeated: [], sharedFences: [] });
        const lives = books.alive.map(({ nodeId, epoch, updates }) => ({ nodeId, epoch, updates }));
        const rows = await db.selectFrom("muster.node").select(["id", "epoch", "profile_id"]).execute();
        const byNode = (a: { nodeId: string }, b: { nodeId: string }): number => (a.nodeId < b.nodeId ? -1 : 1);
        expect(lives.sort(byNode)).toEqual(rows.map((row) => ({ nodeId: row.id, epoch: inPlace ? 1 : 2, updates: inPlace ? 1 : 0 })).sort(byNode));
        expect(rows.every((row) => row.profile_id === profileId)).toBe(true);
        const action = await db.selectFrom("muster.action").select(["total", "done", "failed"]).where("id", "=", actionId).executeTakeFirstOrThrow();
        expect(action).toEqual({ total: size, done: size, failed: 0 });
        await world.stop();
      } finally {
        await proxy.close();
        await provider.stop();
      }
    },
  );
});
