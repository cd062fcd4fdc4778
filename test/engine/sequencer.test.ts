import { sql } from "kysely";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ensureLedger, readLedger } from "../../src/store/ledger.ts";
import { positionMarkers, takeLead } from "../../src/store/ledger-sequence.ts";
import { appendEvents, markBatch } from "../../src/store/ledger-write.ts";
import { namesOf, openStage, type Stage, settled } from "../live/stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.end());

/** A transaction that has written its events and marker and does not end before it is told to. */
async function heldOpen(label: string): Promise<{ batch: Promise<void>; commit(): Promise<void>; rollback(): Promise<void> }> {
  const client = new pg.Client({ connectionString: stage.database.url });
  await client.connect();
  await client.query("begin");
  await client.query(
    `with b as materialized (select nextval('muster.batch') as id), e as (
       insert into muster.event (batch, ordinal, version, type, level, occurred_at, project_id, cluster_id, cluster_name, data)
       select id, 1, 1, 16, 20, clock_timestamp(), $1, $2, $3, '{"generation": 1}' from b)
     insert into muster.marker (batch, events) select id, 1 from b`,
    [stage.projectId, stage.clusterId(1), `${label}-1`],
  );
  const finish = async (how: string): Promise<void> => {
    await client.query(how);
    await client.query("notify muster_ledger");
    await client.end();
  };
  return { batch: Promise.resolve(), commit: () => finish("commit"), rollback: () => finish("rollback") };
}

const positions = async (): Promise<{ position: bigint; late: boolean }[]> => {
  const { rows } = await sql<{ position: bigint; late: boolean }>`select position, late from muster.position order by position`.execute(
    stage.database.db,
  );
  return rows;
};

describe("sequencer", () => {
  test("crossing transactions: the earlier number commits last → later position, nothing waits, nothing is lost", async () => {
    stage.startSequencer();
    const first = await heldOpen("first");
    await stage.write(1, 1, "second");
    await stage.until("second has a position", () => settled(stage));
    expect(namesOf(await stage.history())).toEqual(["second-1"]);
    await first.commit();
    await stage.until("first has a position", async () => (await positions()).length === 2);
    expect(namesOf(await stage.history())).toEqual(["second-1", "first-1"]);
    expect(await positions()).toEqual([
      { position: 1n, late: false },
      { position: 2n, late: true },
    ]);
    expect((await readLedger(stage.database.db)).maxLag).toBe(1n);
  });

  test("a worker stopped inside its transaction after the marker: others go on; it rolls back → no gap in positions", async () => {
    stage.startSequencer();
    const stopped = await heldOpen("stopped");
    for (let i = 0; i < 5; i++) await stage.write(1, 2, `other${i}`);
    await stage.until("the others have positions", () => settled(stage));
    await stopped.rollback();
    await stage.write(1, 1, "last");
    await stage.until("last has a position", async () => (await positions()).length === 6);
    expect((await positions()).map((row) => row.position)).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
  });

  test("a stranger's transaction is open: nobody waits for it, and a tick does not walk over what it holds back", async () => {
    const stranger = new pg.Client({ connectionString: stage.database.superuserUrl });
    await stranger.connect();
    await stranger.query("begin isolation level repeatable read");
    await stranger.query("create table public.stranger ()");
    const session = await stage.openSession();
    const { epoch } = await takeLead(session);
    for (let round = 0; round < 20; round++) {
      await sql`insert into muster.marker (batch, events) select nextval('muster.batch'), 1 from generate_series(1, 200)`.execute(stage.database.db);
      await positionMarkers(session, { epoch, above: BigInt(round) * 200n, missing: [], limit: 1_000 });
    }
    expect((await readLedger(stage.database.db)).head).toBe(4_000n);
    const [plan] = await session.query<{ "QUERY PLAN": [{ Plan: { "Shared Hit Blocks": number } }] }>(
      "explain (analyze, buffers, format json) select batch from muster.marker where batch > 4000 order by batch limit 1000",
    );
    expect(plan?.["QUERY PLAN"][0].Plan["Shared Hit Blocks"]).toBeLessThan(10);
    await session.close();
    await stranger.query("rollback");
    await stranger.end();
  });

  test("a number that was passed over and comes a moment later: found by name, without a look at what lies below", async () => {
    const session = await stage.openSession();
    const { epoch } = await takeLead(session);
    const first = await heldOpen("first");
    await stage.write(1, 1, "second");
    const ticked = await positionMarkers(session, { epoch, above: 0n, missing: [], limit: 10 });
    if (ticked === null || ticked === "fenced") throw new Error("nothing had a position given");
    expect(ticked.batches).toEqual([2n]);
    await first.commit();
    expect(await positionMarkers(session, { epoch, above: ticked.topBatch, missing: [], limit: 10 })).toBeNull();
    expect(await positionMarkers(session, { epoch, above: ticked.topBatch, missing: [1n], limit: 10 })).toMatchObject({
      position: 2n,
      topBatch: 2n,
      batches: [1n],
    });
    await session.close();
  });

  test("a number that a former leader passed over → the next one knows it, so what follows from it cannot come first", async () => {
    const former = await stage.openSession();
    const { epoch } = await takeLead(former);
    const cause = await heldOpen("cause");
    await stage.write(1, 1, "other");
    await positionMarkers(former, { epoch, above: 0n, missing: [], limit: 10 });
    await former.close();
    const next = await stage.openSession();
    const lead = await takeLead(next);
    expect(lead).toMatchObject({ topBatch: 2n, missing: [1n] });
    await cause.commit();
    await stage.write(1, 1, "effect");
    const ticked = await positionMarkers(next, { epoch: lead.epoch, above: lead.topBatch, missing: lead.missing, limit: 10 });
    expect(ticked).toMatchObject({ batches: [1n, 3n] });
    await next.close();
  });

  test("two candidates, the leader's session killed again and again under load → one order, every event once, epochs only grow", async () => {
    stage.startSequencer();
    stage.startSequencer();
    const admin = new pg.Client({ connectionString: stage.database.superuserUrl });
    await admin.connect();
    let writing = true;
    const killer = (async () => {
      while (writing) {
        const before = (await readLedger(stage.database.db)).head;
        await stage.until("someone leads", async () => !writing || (await readLedger(stage.database.db)).head > before);
        await admin.query(
          `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 2 and granted
              and database = (select oid from pg_database where datname = current_database())`,
        );
      }
    })();
    const writers = Array.from({ length: 4 }, async (_, w) => {
      for (let i = 0; i < 150; i++) await stage.write(w, 3, `${w}.${i}`);
    });
    await Promise.all(writers);
    writing = false;
    await killer;
    await admin.end();
    await stage.until("all have positions", () => settled(stage));
    const found = await stage.history();
    expect(found).toHaveLength(4 * 150 * 3);
    expect(new Set(found.map((event) => event.id)).size).toBe(found.length);
    const { rows } = await sql<{ n: bigint; top: bigint; epoch: bigint }>`
      select (select count(*) from muster.position) as n, (select max(position) from muster.position) as top, sequencer_epoch as epoch from muster.ledger`.execute(
      stage.database.db,
    );
    expect(rows[0]).toMatchObject({ n: 600n, top: 600n });
    expect(rows[0]?.epoch).toBeGreaterThan(2n);
    // Causal: what one writer wrote later stands later.
    for (let w = 0; w < 4; w++) {
      const own = found.filter((event) => event.clusterName?.startsWith(`${w}.`)).map((event) => Number(event.clusterName?.split(/[.-]/)[1]));
      expect(own).toEqual([...own].sort((a, b) => a - b));
    }
  });

  test("a former leader that wakes up: its statement meets the higher epoch → changes nothing", async () => {
    const former = await stage.openSession();
    const next = await stage.openSession();
    const old = await takeLead(former);
    await takeLead(next);
    await stage.write(1, 1, "one");
    expect(await positionMarkers(former, { epoch: old.epoch, above: 0n, missing: [], limit: 10 })).toBe("fenced");
    expect(await positions()).toEqual([]);
    expect(await settled(stage)).toBe(false);
    await former.close();
    await next.close();
  });

  test("a leader that holds the lock and does nothing → its session is ended, another takes over", async () => {
    const frozen = await stage.openSession("frozen sequencer");
    await frozen.query("select pg_advisory_lock($1, 2)", [0x6d_73_74_72]);
    stage.startSequencer();
    await stage.write(1, 1, "one");
    await stage.until("one has a position", () => settled(stage));
    expect((await frozen.lost).message).toContain("lost");
  });

  test("another server: the first who leads begins a new incarnation before its first position", async () => {
    const before = await readLedger(stage.database.db);
    await sql`update muster.ledger set system_identifier = 'elsewhere'`.execute(stage.database.db);
    stage.startSequencer();
    await stage.write(1, 1, "one");
    await stage.until("one has a position", () => settled(stage));
    expect((await readLedger(stage.database.db)).incarnation).not.toBe(before.incarnation);
    expect(stage.log.lines.some((line) => line.level === "warn" && line.message.includes("incarnation"))).toBe(true);
    expect(await ensureLedger(stage.database.db)).toBeNull();
  });

  test("a marker of long ago, below everything known → found by the sweep", async () => {
    stage.startSequencer();
    await stage.write(1, 1, "one");
    await stage.until("one has a position", () => settled(stage));
    await sql`select setval('muster.batch', 100000)`.execute(stage.database.db);
    await stage.write(1, 1, "two");
    await stage.until("two has a position", () => settled(stage));
    await sql`insert into muster.marker (batch, events) values (77, 1)`.execute(stage.database.db);
    await stage.until("77 has a position", () => settled(stage));
    expect((await readLedger(stage.database.db)).maxLag).toBe(100_001n - 77n);
  });

  test("no partition left for what is positioned → made, and said nowhere but in time", async () => {
    await stage.database.db.transaction().execute(async (tx) => {
      await markBatch(tx, await appendEvents(tx, [{ type: "cluster.settled", projectId: stage.projectId, data: { generation: 1 } }]));
      await sql`update muster.ledger set position = (select max(upper_bound) from muster.ledger_partition where kind = 'position')`.execute(tx);
    });
    stage.startSequencer();
    await stage.until("it has a position", () => settled(stage));
  });
});
