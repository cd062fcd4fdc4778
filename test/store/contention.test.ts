/** What PostgreSQL answers to those who want the same at once: deadlock, serialization failure, time-outs. A mutation is done once, or not at all. */
import { sql } from "kysely";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { operationalProblem } from "../../src/api/problem.ts";
import { cancelAction } from "../../src/commands/action.ts";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { checkCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { encodeId } from "../../src/core/ids.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { sqlState } from "../../src/store/failure.ts";
import { transaction } from "../../src/store/transaction.ts";
import { members } from "../engine/facts.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type Hand, handDriver } from "../support/hand-driver.ts";
import { type DatabaseProxy, startProxy } from "../support/proxy.ts";
import { startWorld, type World } from "../support/world.ts";

let hand: Hand;
let world: World;
let proxy: DatabaseProxy;
let through: Database;
let context: CommandContext;
let stranger: pg.Client;
beforeEach(async () => {
  // Of one that takes few nodes a call: what is planned goes by the queue.
  hand = handDriver({ limits: { batchSize: 20 } });
  world = await startWorld({ drivers: [hand.driver] });
  proxy = await startProxy(world.database.url);
  through = openDatabase({ url: proxy.url, size: 2, applicationName: "through" });
  context = { ...world.context(), store: { ...world.store, db: through } };
  stranger = new pg.Client({ connectionString: world.database.superuserUrl });
  await stranger.connect();
});
afterEach(async () => {
  await stranger.end();
  await through.destroy();
  await proxy.close();
  await world.stop();
});

const begins = (): number => proxy.statements.filter((name) => name === "begin").length;
/** What a failed attempt must not have left, and a good one leaves once. */
const traces = async (): Promise<unknown> => {
  const { rows } = await sql`
    select (select count(*)::int from muster.action) as actions, (select count(*)::int from muster.idempotency_key) as keys,
           (select max(generation) from muster.cluster) as generation, (select max(desired_capacity) from muster.cluster) as capacity`.execute(
    world.database.db,
  );
  return rows[0];
};
/** Until somebody waits for a lock. */
const someoneWaits = (): Promise<unknown> =>
  world.until("somebody waits for a lock", async () => (await stranger.query("select from pg_locks where not granted")).rows.length > 0);
const resize = (id: string, by = context): ReturnType<typeof resizeCluster> =>
  resizeCluster(by, { cluster: { id }, capacity: { exactly: 7 }, strict: false, idempotencyKey: "seven" });
const before = { actions: 1, keys: 0, generation: 1, capacity: 3 };
const after = { actions: 2, keys: 1, generation: 2, capacity: 7 };

test("deadlock: with a stranger, and PostgreSQL chose the mutation → it runs again from its start and is done once", async () => {
  const { id, clusterId } = await simCluster(world, { name: "wanted", desiredCapacity: 3 });
  // It does not look for deadlocks itself, so the other one will find it.
  await stranger.query("set deadlock_timeout = '1min'; begin");
  await stranger.query("select from muster.cluster_due where cluster_id = $1 for update", [clusterId]);
  const earlier = begins();
  const resizing = resize(id);
  await someoneWaits();
  await stranger.query("select from muster.cluster where id = $1 for update", [clusterId]);
  expect(begins() - earlier).toBeGreaterThanOrEqual(1);
  await stranger.query("commit");
  must(await resizing);
  expect(begins() - earlier).toBe(2);
  expect(await traces()).toEqual(after);
});

describe("serialization failure", () => {
  const fail = (db: Database): Promise<unknown> => sql`do $$ begin raise exception 'as if' using errcode = '40001'; end $$`.execute(db);

  test("three times → the fourth attempt is taken; what the first three did is gone", async () => {
    let attempts = 0;
    await sql`create table muster.noted (attempt integer)`.execute(through);
    await transaction(context.store, async ({ db }) => {
      attempts += 1;
      await sql`insert into muster.noted values (${attempts})`.execute(db);
      if (attempts < 4) await fail(db);
    });
    expect((await sql`select attempt from muster.noted`.execute(through)).rows).toEqual([{ attempt: 4 }]);
  });

  test("again and again → given up after four attempts, and a client is told to try again", async () => {
    let attempts = 0;
    const failure: unknown = await transaction(context.store, ({ db }) => {
      attempts += 1;
      return fail(db);
    }).catch((error: unknown) => error);
    expect([sqlState(failure), attempts, operationalProblem(failure)?.extensions["code"]]).toEqual(["40001", 4, "UNAVAILABLE"]);
  });

  test("the database's default is SERIALIZABLE → our transactions are READ COMMITTED all the same: twenty mutations at once, a cluster converges", async () => {
    await stranger.query(`alter database ${world.database.name} set default_transaction_isolation = 'serializable'`);
    const strict = openDatabase({ url: world.database.url, size: 10, applicationName: "strict" });
    try {
      world.startWorker();
      const { id, clusterId } = await simCluster(world, { name: "strict", desiredCapacity: 1 });
      const store = { ...context.store, db: strict };
      const grow = (): ReturnType<typeof resizeCluster> =>
        resizeCluster({ ...context, store }, { cluster: { id }, capacity: { by: 1 }, strict: false });
      for (const result of await Promise.all(Array.from({ length: 20 }, grow))) must(result);
      await world.until("all 21", async () => (await clusterFacts(world.database.db, clusterId))?.active === 21);
      expect((await sql<{ level: string }>`show transaction_isolation`.execute(strict)).rows).toEqual([{ transaction_isolation: "serializable" }]);
    } finally {
      await strict.destroy();
    }
  });
});

test.each(["wanted", "taken back"])(
  "a deletion is %s while a planner ends the cluster's action → they go one after the other, in no ring",
  async (change) => {
    const { id, clusterId } = await simCluster(world, { name: "wanted", desiredCapacity: 3 });
    const remove = (): ReturnType<typeof deleteCluster> => deleteCluster(context, { cluster: { id }, abandon: false });
    const deletion = change === "wanted" ? null : must(await remove());
    // A planner writes of actions first, of the cluster's state last. Where there is a ring, it is the one to find it.
    await stranger.query("set deadlock_timeout = '10ms'; begin");
    await stranger.query("select from muster.action where cluster_id = $1 for update", [clusterId]);
    const changing = deletion === null ? remove() : cancelAction(context, { id: encodeId("action", deletion.actionId) });
    await someoneWaits();
    await stranger.query("update muster.cluster_state set updated_at = updated_at where cluster_id = $1", [clusterId]);
    await stranger.query("commit");
    must(await changing);
    expect(begins()).toBe(deletion === null ? 1 : 2);
  },
);

test("one window takes a member away and checks all → it locks them in one order, whatever the change", async () => {
  const { db } = world.database;
  for (const verb of ["create", "inspect", "delete"] as const) hand.open(verb);
  const worker = world.startWorker();
  const { id, clusterId } = await simCluster(world, { name: "both", type: "hand", desiredCapacity: 2 });
  await world.until("both are made", async () => (await clusterFacts(db, clusterId))?.active === 2);
  await worker.stop();
  const [first, last] = await members(db, clusterId);
  if (first === undefined || last === undefined) throw new Error("there are two members");
  await db.updateTable("muster.node").set({ protected: true }).where("id", "=", first.id).execute();
  must(await checkCluster(context, { cluster: { id } }));
  must(await resizeCluster(context, { cluster: { id }, capacity: { exactly: 1 }, strict: true }));
  await stranger.query("begin");
  await stranger.query("select from muster.node where id = $1 for update", [first.id]);
  world.startWorker();
  await someoneWaits();
  // Whoever waits for the first holds nothing behind it.
  await stranger.query("select from muster.node where id = $1 for update nowait", [last.id]);
  await stranger.query("commit");
  await world.until("it has settled", async () => (await clusterFacts(db, clusterId))?.observedGeneration === 2);
});

test("a COMMIT that the server is still busy with, of the newest transaction of all → its end is waited for", async () => {
  const { id } = await simCluster(world, { name: "wanted", desiredCapacity: 3 });
  await stranger.query(`
    create function public.tarry() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return null; end $$;
    create constraint trigger tarry after insert on muster.action deferrable initially deferred for each row execute function public.tarry();
    select pg_advisory_lock(7)`);
  const asked = resize(id);
  await someoneWaits();
  proxy.cut("fin");
  const looks = (): number => proxy.statements.filter((name) => name === "transaction.status").length;
  await Promise.race([asked, world.until("it was looked after twice", async () => looks() >= 2)]);
  await stranger.query("select pg_advisory_unlock(7)");
  must(await asked);
  expect(await traces()).toEqual(after);
});

describe("time-out", () => {
  test.each([
    ["of the lock", undefined, "55P03"],
    ["of the statement", 400, "57014"],
  ])("%s, in a mutation → UNAVAILABLE, nothing half done; the same key again → done once", async (_which, statementTimeoutMs, state) => {
    const { id, clusterId } = await simCluster(world, { name: "wanted", desiredCapacity: 3 });
    const hasty = openDatabase({
      url: world.database.url,
      size: 2,
      applicationName: "hasty",
      ...(statementTimeoutMs === undefined ? {} : { statementTimeoutMs }),
    });
    const hurried = { ...context, store: { ...context.store, db: hasty } };
    try {
      await stranger.query("begin");
      await stranger.query("select from muster.cluster_due where cluster_id = $1 for update", [clusterId]);
      const failure: unknown = await resize(id, hurried).catch((error: unknown) => error);
      expect([sqlState(failure), operationalProblem(failure)?.extensions["code"]]).toEqual([state, "UNAVAILABLE"]);
      expect(await traces()).toEqual(before);
      await stranger.query("commit");
      must(await resize(id, hurried));
      must(await resize(id, hurried));
      expect(await traces()).toEqual(after);
    } finally {
      await hasty.destroy();
    }
  });

  test("of locks, in planner and outbox while a stranger holds all nodes → once it lets go, all is written, nothing FAILED, nothing twice", async () => {
    world.startWorker();
    const { clusterId } = await simCluster(world, { name: "held", type: "hand", desiredCapacity: 20 });
    await world.until("all are being made", async () => hand.of("create").length === 20);
    await stranger.query("begin; lock table muster.node in exclusive mode");
    hand.open("create");
    const ended = (): boolean => world.log.lines.some(({ fields }) => sqlState(fields["error"]) === "55P03");
    await world.until("a lock was waited for in vain", async () => ended());
    await stranger.query("commit");
    await world.until("20 members", async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.active === 20 && facts.nodes === 20 && facts.observedGeneration === 1;
    });
    expect((await sql`select from muster.action where status_reason is not null`.execute(world.database.db)).rows).toEqual([]);
    expect(hand.of("create")).toHaveLength(20);
  });
});
