/** Lanes: shared, lost, taken back. What was begun under an old epoch is never written, and never forgotten. */
import { sql } from "kysely";
import { afterEach, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import type { ClusterId } from "../../src/core/ids.ts";
import { createSpecCache } from "../../src/engine/specs.ts";
import { writeReports } from "../../src/engine/write-reports.ts";
import { countWriter } from "../../src/store/count.ts";
import { LaneLost } from "../../src/store/lane.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type Hand, handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";
import { actionFacts, members } from "./facts.ts";

let world: World;
afterEach(() => world.stop());

const allActive = (clusterId: ClusterId, count: number): Promise<unknown> =>
  world.until(`${count} active members`, async () => {
    const facts = await clusterFacts(world.database.db, clusterId);
    return facts?.active === count && facts.nodes === count;
  });
const owners = async (): Promise<number[]> => {
  const { rows } = await sql<{
    lanes: bigint;
  }>`select count(*) as lanes from muster.lane where owner is not null and host_id is null group by owner order by 1`.execute(world.database.db);
  return rows.map((row) => Number(row.lanes));
};
const begun = async (hand: Hand, count: number): Promise<unknown> =>
  world.until(`${count} creates begun`, async () => hand.of("create").length >= count);

const hostIncarnation = async (): Promise<string | undefined> => {
  const { rows } = await sql<{ incarnation: string }>`select incarnation from muster.host`.execute(world.database.db);
  return rows[0]?.incarnation;
};

/** Somebody else who never does anything owns all lanes now. */
async function takeLanes(): Promise<void> {
  await sql`
    with host as (insert into muster.host (id, name, incarnation, seen_at) values (gen_random_uuid(), 'other', 'other', clock_timestamp() + interval '1 hour') returning id),
         thief as (insert into muster.worker (id, number, host_id, pid, version, started_at, heartbeat_at, draining, application_name)
                   select '00000000-0000-7000-8000-0000000000ff', 999, id, 1, 'test', clock_timestamp(), clock_timestamp() + interval '1 hour', true, 'nobody' from host)
    update muster.lane set owner = '00000000-0000-7000-8000-0000000000ff', epoch = epoch + 1 where host_id is null`.execute(world.database.db);
}

async function giveLanesBack(): Promise<void> {
  await sql`update muster.lane set owner = null, epoch = epoch + 1 where owner = '00000000-0000-7000-8000-0000000000ff'`.execute(world.database.db);
  await sql`delete from muster.worker where number = 999`.execute(world.database.db);
}

describe("two workers", () => {
  test("of one cluster → each has half of the lanes, and both write its outcomes", async () => {
    world = await startWorld({ workers: 2 });
    await world.until("half of the lanes each", async () => (await owners()).join() === "128,128");
    const { clusterId, actionId } = await simCluster(world, { name: "shared", desiredCapacity: 300, spec: { createMs: 50 } });
    await allActive(clusterId, 300);
    await world.until("the action ended", async () => (await actionFacts(world.database.db, actionId)).status === "SUCCEEDED");
    const { rows } = await sql<{
      writer: number;
      made: bigint;
    }>`select writer, created_total as made from muster.cluster_count where created_total > 0 order by writer`.execute(world.database.db);
    expect(rows.map((row) => row.writer)).toEqual([countWriter(1, "outbox"), countWriter(2, "outbox")]);
    for (const { made } of rows) expect(Number(made)).toBeGreaterThan(90);
  });

  test("one leaves in the middle → the other finishes, nothing is made twice and nothing is counted as a failure", async () => {
    const hand = handDriver();
    world = await startWorld({ drivers: [hand.driver] });
    const first = world.startWorker();
    const { clusterId, actionId } = await simCluster(world, { name: "left", type: "hand", desiredCapacity: 12 });
    await begun(hand, 12);
    // Lanes in which something is in flight stay with the first as long as it lives.
    world.startWorker();
    await first.stop();
    await begun(hand, 24);
    hand.open("create");
    await allActive(clusterId, 12);
    await world.until("the action ended", async () => (await actionFacts(world.database.db, actionId)).status === "SUCCEEDED");
    const calls = hand.of("create");
    expect(calls.slice(0, 12).every((call) => call.aborted)).toBe(true);
    for (const call of calls) expect(call).toMatchObject({ epoch: 1, attempt: 1 });
    for (const call of calls.slice(12)) expect(call.fence).toBeGreaterThan(calls.find((former) => former.nodeId === call.nodeId)?.fence ?? 0n);
  });
});

describe("a driver that cannot do one key once", () => {
  test.each(["listed", "blind"] as const)(
    "%s: a create is taken over in the middle → not made again; unknown, and read back",
    async (idempotency) => {
      const hand = handDriver({ idempotency });
      world = await startWorld({ drivers: [hand.driver] });
      const first = world.startWorker();
      const { clusterId } = await simCluster(world, { name: "once", type: "hand", desiredCapacity: 4 });
      await begun(hand, 4);
      world.startWorker();
      await first.stop();
      await world.until("what became of them is unknown", async () =>
        (await members(world.database.db, clusterId)).every((member) => member.status === "UNKNOWN"),
      );
      expect(hand.of("create")).toHaveLength(4);
      const { rows } = await sql<{ kind: number; early: boolean }>`
      select kind, due_at < clock_timestamp() + interval '50 seconds' as early from muster.task`.execute(world.database.db);
      expect(rows).toEqual(Array.from({ length: 4 }, () => ({ kind: 7, early: false })));
    },
  );
});

describe("a worker with the host id of another", () => {
  const waits = async (): Promise<unknown> =>
    world.until("the second one waits", async () => world.log.lines.some((line) => line.message === "this worker waits for its host"));

  test.each([
    ["on another machine", { incarnation: "another machine", folder: "test" }],
    ["in a copied folder of the same machine", { incarnation: "test", folder: "copy" }],
  ])("%s → stays out while the first lives, and takes its place when that goes", async (_, place) => {
    world = await startWorld();
    const first = world.startWorker();
    await world.until("all lanes owned", async () => (await owners()).join() === "256");
    world.startWorker(place);
    await waits();
    expect(await hostIncarnation()).toBe("test");
    const { clusterId } = await simCluster(world, { name: "undisturbed", desiredCapacity: 20 });
    await allActive(clusterId, 20);
    expect(await owners()).toEqual([256]);
    await first.stop();
    await world.until("the second one is the host", async () => (await hostIncarnation()) === place.incarnation && (await owners()).join() === "256");
  });

  test("both at the same moment → one of them is the host", async () => {
    world = await startWorld();
    world.startWorker();
    world.startWorker({ folder: "copy" });
    await waits();
    await world.until("all lanes owned by one", async () => (await owners()).join() === "256");
  });
});

describe("a worker whose lanes were taken", () => {
  test("outcomes that come afterwards → not written; with the lanes back it asks again under the same key, with a newer fence", async () => {
    const hand = handDriver();
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId } = await simCluster(world, { name: "taken", type: "hand", desiredCapacity: 4 });
    await begun(hand, 4);
    await takeLanes();
    hand.open("create");
    // It cannot write them; that it has found out is seen by its asking again once the lanes are free.
    await giveLanesBack();
    await begun(hand, 8);
    await allActive(clusterId, 4);
    const first = hand.of("create").slice(0, 4);
    for (const call of hand.of("create").slice(4)) {
      const former = first.find((each) => each.nodeId === call.nodeId);
      expect(call).toMatchObject({ epoch: 1, attempt: 1 });
      expect(call.fence).toBeGreaterThan(former?.fence ?? 0n);
    }
  });

  test("reports under an old epoch → LaneLost, nothing written", async () => {
    const hand = handDriver();
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId } = await simCluster(world, { name: "stale", type: "hand", desiredCapacity: 1 });
    await begun(hand, 1);
    const { db } = world.database;
    const node = await db
      .selectFrom("muster.node")
      .select(["id", "lane", "profile_id"])
      .where("cluster_id", "=", clusterId)
      .executeTakeFirstOrThrow();
    const { epoch } = await db.selectFrom("muster.lane").select("epoch").where("id", "=", node.lane).executeTakeFirstOrThrow();
    const specs = createSpecCache({ drivers: world.drivers, vault: world.vault });
    const made = { physicalId: "stale", addresses: [], placement: null, checkAfterMs: null };
    const write = writeReports({ store: world.store, specs }, [
      {
        from: "task",
        nodeId: node.id,
        lane: node.lane,
        epoch: BigInt(epoch) - 1n,
        task: { kind: "CREATE", attempt: 1, params: null },
        report: { kind: "made", made },
      },
    ]);
    await expect(write).rejects.toBeInstanceOf(LaneLost);
    expect(await members(db, clusterId)).toMatchObject([{ status: "CREATING" }]);
    hand.open("create");
    await allActive(clusterId, 1);
  });

  test("its lanes' epochs are raised behind its back, and stay its own → it notices and goes on", async () => {
    world = await startWorld({ workers: 1 });
    await world.until("all lanes are owned", async () => (await owners()).join() === "256");
    await sql`update muster.lane set epoch = epoch + 1`.execute(world.database.db);
    const { clusterId } = await simCluster(world, { name: "raised", desiredCapacity: 10 });
    await allActive(clusterId, 10);
  });

  test("its session is ended → it joins anew, frees its former lanes itself, and goes on", async () => {
    const hand = handDriver();
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const { clusterId, id } = await simCluster(world, { name: "rejoined", type: "hand", desiredCapacity: 5 });
    await begun(hand, 5);
    await sql`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = ${0x6d757374} and objid = 1 and granted`.execute(
      world.database.db,
    );
    await begun(hand, 10);
    hand.open("create");
    await allActive(clusterId, 5);
    const workers = await world.database.db.selectFrom("muster.worker").select("id").execute();
    expect(workers).toHaveLength(1);
    hand.open("delete");
    must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
    await world.until("the end", async () => (await clusterFacts(world.database.db, clusterId)) === null);
  });
});

describe("a big cluster", () => {
  test("3,000 members at once → planned in windows; no transaction of ours tells more than it may", async () => {
    world = await startWorld({ workers: 1 });
    const { clusterId, id } = await simCluster(world, { name: "big", desiredCapacity: 3_000 });
    await allActive(clusterId, 3_000);
    must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
    await world.until("the end", async () => (await clusterFacts(world.database.db, clusterId)) === null);
    const { rows } = await sql<{ events: bigint; planned: bigint }>`
      select max(events) as events, max(planned) as planned from (
        select count(*) as events, count(*) filter (where type = 18) as planned from muster.event group by batch) b`.execute(world.database.db);
    expect(Number(rows[0]?.events)).toBeLessThanOrEqual(10_000);
    expect(Number(rows[0]?.planned)).toBeLessThanOrEqual(2_500);
  });
});
