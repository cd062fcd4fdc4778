/** A worker that was frozen wakes up when its lanes are somebody else's: what it still believes changes nothing any more, neither here nor out there. */
import { sql } from "kysely";
import { afterEach, beforeEach, expect, test } from "vitest";
import { actionStatusCodes } from "../../src/core/action.ts";
import { workerLockSpace } from "../../src/store/worker.ts";
import { clusterFacts, simCluster } from "../support/cluster.ts";
import { type ProviderProcess, startProvider } from "../support/provider.ts";
import { type DatabaseProxy, type Step, startProxy } from "../support/proxy.ts";
import { type SpawnedWorker, spawnWorker } from "../support/spawned-worker.ts";
import { startWorld, type World } from "../support/world.ts";

let world: World;
let provider: ProviderProcess;
let proxy: DatabaseProxy;
let sleeper: SpawnedWorker;
beforeEach(async () => {
  provider = await startProvider();
  world = await startWorld({ provider: provider.provider });
  proxy = await startProxy(world.database.url);
  sleeper = await spawnWorker(world.workerSettings("sleeper", provider.url, proxy.url));
});
afterEach(async () => {
  await proxy.close();
  await sleeper.stop();
  await world.stop();
  await provider.stop();
});

const size = 20;

const made = (clusterId: Parameters<typeof clusterFacts>[1]): Promise<unknown> =>
  world.until("all members", async () => {
    const facts = await clusterFacts(world.database.db, clusterId);
    return facts?.observedGeneration === 1 && facts.active === size;
  });

const isBackAndFair = (): Promise<unknown> =>
  world.until("it is a member again", async () => {
    const { db } = world.database;
    const owned = await db
      .selectFrom("muster.lane as l")
      .innerJoin("muster.worker as w", "w.id", "l.owner")
      .select("l.id")
      .where("w.application_name", "=", "sleeper")
      .execute();
    return owned.length > 0;
  });

const nothingDoubled = async (): Promise<void> => {
  const books = await provider.books();
  expect(books.doubles).toEqual([]);
  expect(books.sharedFences).toEqual([]);
  expect(books.created).toBe(size);
  const failed = await world.database.db.selectFrom("muster.action").select("id").where("status", "=", actionStatusCodes.FAILED).execute();
  expect(failed).toEqual([]);
};

/** Members in its own lanes are claimed with the plan that makes them. */
const claims = (step: Step): boolean => step.statement === "commit" && step.transaction.includes("node.plan");
const makes = (step: Step): boolean =>
  step.statement === "commit" && step.transaction.includes("lane.check") && step.transaction.includes("task.drop");

test("frozen with a call on its way to the provider → the call comes too late: its token is old, and it is refused", {
  timeout: 120_000,
}, async () => {
  const held = provider.hold("create", "before");
  const { clusterId } = await simCluster(world, { name: "c", desiredCapacity: size, spec: { createMs: 50 } });
  await held;
  sleeper.freeze();
  world.startWorker();
  await made(clusterId);
  expect((await provider.books()).fencedOff).toBe(0);
  await provider.control({ release: true });
  sleeper.thaw();
  await isBackAndFair();
  expect((await provider.books()).fencedOff).toBeGreaterThan(0);
  await nothingDoubled();
});

test("frozen between what it claimed and its call → when it wakes up it does not call, or is refused; it joins again", {
  timeout: 120_000,
}, async () => {
  const claimed = proxy.holdAnswer(claims);
  const { clusterId } = await simCluster(world, { name: "c", desiredCapacity: size, spec: { createMs: 50 } });
  const answer = await claimed;
  sleeper.freeze();
  world.startWorker();
  await made(clusterId);
  const before = await provider.books();
  answer.release();
  sleeper.thaw();
  await isBackAndFair();
  const after = await provider.books();
  // Every call that it made after all was refused.
  expect(after.fencedOff - before.fencedOff).toBe(sum(after.calls) - sum(before.calls));
  await nothingDoubled();
});

test("frozen with an outcome to write → when it wakes up its transaction is over, and nothing of it was written", { timeout: 120_000 }, async () => {
  const writing = proxy.hold(makes);
  const { clusterId } = await simCluster(world, { name: "c", desiredCapacity: size, spec: { createMs: 50 } });
  const held = await writing;
  sleeper.freeze();
  world.startWorker();
  await made(clusterId);
  const written = await events();
  held.release();
  sleeper.thaw();
  await isBackAndFair();
  expect(await events()).toBe(written);
  await nothingDoubled();
});

test("told what it had claimed only when its lanes have other epochs → each member is asked for once, under the new ones", {
  timeout: 120_000,
}, async () => {
  const lost = proxy.loseCommitReply(claims);
  const asking = proxy.hold((step) => step.statement === "transaction.status");
  const { clusterId } = await simCluster(world, { name: "c", desiredCapacity: size, spec: { createMs: 50 } });
  await lost;
  const unknown = await asking;
  const former = await numberOfLanes();
  await endSession();
  await world.until("it is a member again, with new epochs", async () => (await numberOfLanes()) > former && (await begunInVain()) === 0n);
  unknown.release();
  await made(clusterId);
  const { calls } = await provider.books();
  expect(Object.values(calls).filter((count) => count !== 1)).toEqual([]);
  await nothingDoubled();
});

/** Ends the sleeper's session, by which it is a member. */
const endSession = async (): Promise<void> => {
  await sql`
    select pg_terminate_backend(pid) from pg_locks
     where locktype = 'advisory' and classid = ${workerLockSpace}::bigint::oid
       and database = (select oid from pg_database where datname = current_database())`.execute(world.database.db);
};

/** Grows whenever lanes change hands: the sum of the epochs of all that are owned. */
const numberOfLanes = async (): Promise<number> => {
  const { rows } = await sql<{ sum: bigint | null }>`select sum(epoch)::bigint as sum from muster.lane where owner is not null`.execute(
    world.database.db,
  );
  return Number(rows[0]?.sum ?? 0n);
};

/** Tasks that are begun under a former epoch and not due again yet. */
const begunInVain = async (): Promise<bigint> => {
  const { rows } = await sql<{ n: bigint }>`
    select count(*) as n from muster.task t join muster.lane l on l.id = t.lane where t.begun_by <> 0 and t.due_at > clock_timestamp()`.execute(
    world.database.db,
  );
  return rows[0]?.n ?? 0n;
};

const sum = (calls: Readonly<Record<string, number>>): number => Object.values(calls).reduce((total, count) => total + count, 0);

const events = async (): Promise<bigint> => {
  const { count } = await world.database.db
    .selectFrom("muster.event")
    .select((e) => e.fn.countAll<bigint>().as("count"))
    .executeTakeFirstOrThrow();
  return count;
};
