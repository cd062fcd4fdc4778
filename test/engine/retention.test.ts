/** How long the ledger is kept: the sequencer's setting alone decides. */
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLaneBook } from "../../src/engine/lane-book.ts";
import { startCleaner } from "../../src/engine/maintenance/cleaner.ts";
import { ensureLedger } from "../../src/store/ledger.ts";
import { ensurePartitions } from "../../src/store/ledger-partition.ts";
import { openStage, type Stage, settled } from "../live/stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
  await fillFirstPartition(400);
});
afterEach(() => stage.end());

/** The ledger's first partition of events was filled so many days ago; what comes now belongs to the second. */
async function fillFirstPartition(daysAgo: number): Promise<void> {
  const { db } = stage.database;
  await ensureLedger(db);
  await ensurePartitions(db);
  const first = sql`(select upper_bound from muster.ledger_partition where kind = 'event' and lower_bound = 0)`;
  await sql`select setval('muster.batch', ${first} + 5)`.execute(db);
  await ensurePartitions(db);
  await sql`insert into muster.position (position, batch, events, late) values (1, 1, 0, false)`.execute(db);
  await sql`update muster.ledger set position = 1, top_batch = ${first}`.execute(db);
  const then = sql`clock_timestamp() - ${daysAgo}::integer * interval '1 day'`;
  await sql`update muster.ledger_partition set first_at = ${then}, last_at = ${then} where kind = 'event' and lower_bound = 0`.execute(db);
}

async function firstPartitionIsThere(): Promise<boolean> {
  const { rows } = await sql<{ there: boolean }>`select to_regclass('muster.event_0') is not null as there`.execute(stage.database.db);
  return rows[0]?.there === true;
}

/** A sequencer that has looked after the partitions once: it does so after its first tick, and does not end before it is done. */
async function sequencerOnce(retentionDays: number): Promise<void> {
  const sequencer = stage.startSequencer(retentionDays);
  await stage.write(1, 1, "tick");
  await stage.until("the sequencer has ticked", () => settled(stage));
  await sequencer.stop();
}

/** A cleaner that has gone round once: it is seen to by a key that is older than keys are kept. */
async function cleanerOnce(): Promise<void> {
  const { db } = stage.database;
  await sql`
    insert into muster.idempotency_key (project_id, key, mutation, input_hmac, payload, created_at)
    values (${stage.projectId}, 'old', 'resizeCluster', '', '{}', clock_timestamp() - interval '400 days')`.execute(db);
  const lanes = createLaneBook();
  lanes.add(new Map([[0, 1n]]));
  const cleaner = startCleaner({ store: stage.store, lanes, logger: stage.log });
  await stage.until("the cleaner has gone round", async () => (await sql`select from muster.idempotency_key`.execute(db)).rows.length === 0);
  await cleaner.stop();
}

describe("retention", () => {
  test.each([0, 401])("kept for %i days (0: for ever), filled 400 days ago: neither sequencer nor cleaner drops it", async (days) => {
    await sequencerOnce(days);
    await cleanerOnce();
    expect(await firstPartitionIsThere()).toBe(true);
  });

  test("kept for 399 days, filled 400 days ago: the sequencer drops it", async () => {
    await sequencerOnce(399);
    expect(await firstPartitionIsThere()).toBe(false);
  });
});
