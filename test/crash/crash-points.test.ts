/**
 * A worker process is killed exactly at each point between what it claims, what it does and what it writes; another one takes over and ends what was begun.
 * The points lie outside of it: before a statement reaches PostgreSQL, after it took effect and before anybody heard, and the same at the provider.
 */
import { describe, expect, test } from "vitest";
import { checkCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import { createClusterNode } from "../../src/commands/node.ts";
import { actionStatusCodes } from "../../src/core/action.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type ProviderProcess, startProvider } from "../support/provider.ts";
import { type DatabaseProxy, type Step, startProxy } from "../support/proxy.ts";
import { spawnWorker } from "../support/spawned-worker.ts";
import { startWorld, type World } from "../support/world.ts";

/** Resolves when the victim stands at the point: it never gets past it. */
type Arm = (proxy: DatabaseProxy, provider: ProviderProcess) => Promise<unknown>;

const isPlan = ({ transaction }: Step): boolean => transaction.includes("plan.wanted");
const isClaim = ({ transaction }: Step): boolean => transaction.includes("task.begin");
const isOutcome = (step: Step): boolean => step.transaction.includes("lane.check") && !isPlan(step) && !isClaim(step);
const commits =
  (which: (step: Step) => boolean, what: string) =>
  (step: Step): boolean =>
    step.statement === "commit" && which(step) && step.transaction.includes(what);
const is =
  (statement: string) =>
  (step: Step): boolean =>
    step.statement === statement;
const before =
  (when: (step: Step) => boolean): Arm =>
  (proxy) =>
    proxy.hold(when);
const after =
  (when: (step: Step) => boolean): Arm =>
  (proxy) =>
    proxy.holdReply(when);

const points: Readonly<Record<string, Arm>> = {
  "membership: registered, not known to itself": after(commits(() => true, "worker.insert")),
  "membership: lanes claimed, not known to itself": after(is("lane.claim")),
  "membership: lanes claimed, what was begun in them not yet due": before(is("task.redo")),
  "planner: cluster taken, nothing read": before(is("plan.cluster")),
  "planner: indexes taken, nothing planned": after(is("plan.indexes")),
  "planner: new members, before COMMIT": before(commits(isPlan, "node.plan")),
  "planner: new members, after COMMIT": after(commits(isPlan, "node.plan")),
  "planner: members to go, before COMMIT": before(commits(isPlan, "plan.victims")),
  "planner: members to go, after COMMIT": after(commits(isPlan, "plan.victims")),
  "sweep: a page answered, before COMMIT": before(commits(() => true, "job.move")),
  "sweep: a page answered, after COMMIT": after(commits(() => true, "job.move")),
  "planner: planned, its look put off": before(is("due.settle")),
  "claim: before COMMIT": before(commits(isClaim, "task.begin")),
  "claim: after COMMIT": after(commits(isClaim, "task.begin")),
  "effect: create asked for, not carried out": (_, provider) => provider.hold("create", "before"),
  "effect: create carried out, not answered": (_, provider) => provider.hold("create", "after"),
  "effect: delete asked for, not carried out": (_, provider) => provider.hold("delete", "before"),
  "effect: delete carried out, not answered": (_, provider) => provider.hold("delete", "after"),
  "effect: inspect asked for, not carried out": (_, provider) => provider.hold("inspect", "before"),
  "effect: inspect carried out, not answered": (_, provider) => provider.hold("inspect", "after"),
  "outcome: members made, before COMMIT": before(commits(isOutcome, "node.save")),
  "outcome: members made, after COMMIT": after(commits(isOutcome, "node.save")),
  "outcome: members gone, before COMMIT": before(commits(isOutcome, "node.delete")),
  "outcome: members gone, after COMMIT": after(commits(isOutcome, "node.delete")),
  "sequencer: leads, nothing positioned": before(is("sequencer.tick")),
  "sequencer: positions given, not known to itself": after(is("sequencer.tick")),
};

const large = 30;
const small = 12;

/** Grows a cluster, adds a member by name, which somebody has to claim; shrinks it, has every member checked. */
async function history(world: World): Promise<void> {
  const { clusterId, id } = await simCluster(world, { name: "c", desiredCapacity: large, spec: { createMs: { min: 5, max: 100 }, deleteMs: 20 } });
  const has = (size: number): Promise<unknown> =>
    world.until(`${size} members`, async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.observedGeneration === facts?.generation && facts?.active === size && facts.nodes === size;
    });
  await has(large);
  must(await createClusterNode(world.context(), { cluster: { id }, name: "guest" }));
  await has(large + 1);
  must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly: small }, strict: true }));
  await has(small);
  const { actionId } = must(await checkCluster(world.context(), { cluster: { id } }));
  await world.until("all are checked", async () => {
    const action = await world.database.db.selectFrom("muster.action").select("status").where("id", "=", actionId).executeTakeFirst();
    return action?.status === actionStatusCodes.SUCCEEDED;
  });
}

describe("a worker is killed", () => {
  test.concurrent.each(Object.entries(points))(
    "%s → ended by another, nothing made, removed or written twice, nothing FAILED",
    async (_name, arm) => {
      const provider = await startProvider();
      const world = await startWorld({ provider: provider.provider, sequencer: false });
      const proxy = await startProxy(world.database.url);
      try {
        const reached = arm(proxy, provider);
        const victim = await spawnWorker(world.workerSettings("victim", provider.url, proxy.url));
        const killed = reached.then(async () => {
          await victim.kill();
          world.startWorker();
        });
        await Promise.all([history(world), killed]);
        // What stood still at the provider reaches it now: too late.
        await provider.control({ release: true });
        const { db } = world.database;
        const books = await provider.books();
        const rows = await db.selectFrom("muster.node").select("physical_id").execute();
        expect(books.doubles).toEqual([]);
        expect(books.repeated).toEqual([]);
        expect(books.sharedFences).toEqual([]);
        expect(books.created).toBe(large + 1);
        expect(books.alive.map((life) => life.physicalId).sort()).toEqual(rows.map((row) => row.physical_id).sort());
        expect(await db.selectFrom("muster.action").select("id").where("status", "=", actionStatusCodes.FAILED).execute()).toEqual([]);
        await world.stop();
      } finally {
        await proxy.close();
        await provider.stop();
      }
    },
  );
});
