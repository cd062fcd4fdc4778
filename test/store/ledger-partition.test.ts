import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureLedger, readIncarnation, readLedger } from "../../src/store/ledger.ts";
import { dropExpired, ensurePartitions, nextSpan } from "../../src/store/ledger-partition.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

interface Part {
  kind: string;
  lower_bound: bigint;
  upper_bound: bigint;
}

async function partitions(database: TestDatabase): Promise<Part[]> {
  const { rows } = await sql<Part>`select kind, lower_bound, upper_bound from muster.ledger_partition order by kind, lower_bound`.execute(
    database.db,
  );
  return rows;
}

async function attached(database: TestDatabase): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select inhrelid::regclass::text as name from pg_inherits
     where inhparent in ('muster.event'::regclass, 'muster.position'::regclass) order by 1`.execute(database.db);
  return rows.map((row) => row.name);
}

describe("the ledger's first row", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  test("incarnation: an ordinary role on the same server → settled once, nothing changes", async () => {
    await ensureLedger(database.db);
    const first = await readIncarnation(database.db);
    expect(first.former).toBeNull();
    expect(await ensureLedger(database.db)).toBeNull();
    expect(await readIncarnation(database.db)).toEqual(first);
  });

  test("incarnation: the data stand on another server → a new one, which knows the former and since when", async () => {
    const before = await readIncarnation(database.db);
    await sql`update muster.ledger set system_identifier = '1'`.execute(database.db);
    const changed = await ensureLedger(database.db);
    expect(changed?.former).toBe(before.incarnation);
    expect(changed?.incarnation).not.toBe(before.incarnation);
    expect(changed?.since.getTime()).toBeGreaterThan(before.since.getTime());
    expect(await ensureLedger(database.db)).toBeNull();
  });

  test("incarnation: another timeline → a new one", async () => {
    await sql`update muster.ledger set timeline = timeline + 1`.execute(database.db);
    expect(await ensureLedger(database.db)).not.toBeNull();
  });

  test("incarnation: ten processes find another server at once → exactly one begins a new one", async () => {
    await sql`update muster.ledger set system_identifier = '2'`.execute(database.db);
    const changes = await Promise.all(Array.from({ length: 10 }, () => ensureLedger(database.db)));
    expect(changes.filter((change) => change !== null)).toHaveLength(1);
  });
});

describe("the ledger's partitions", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
    await ensureLedger(database.db);
  });
  afterAll(() => database.drop());

  test("span: filled within half a day → doubles; more than two days → halves; bounded", () => {
    expect(nextSpan(1024n * 1024n, 3_600_000)).toBe(2048n * 1024n);
    expect(nextSpan(1024n * 1024n, 86_400_000)).toBe(1024n * 1024n);
    expect(nextSpan(1024n * 1024n, 3 * 86_400_000)).toBe(512n * 1024n);
    expect(nextSpan(2n ** 16n, 9 * 86_400_000)).toBe(2n ** 16n);
    expect(nextSpan(2n ** 26n, 1)).toBe(2n ** 26n);
    expect(nextSpan(2n ** 18n, null)).toBe(2n ** 18n);
  });

  test("ensure: several at once, then again → one present and three ahead of each kind, without holes", async () => {
    await Promise.all(Array.from({ length: 4 }, () => ensurePartitions(database.db)));
    const found = await partitions(database);
    await ensurePartitions(database.db);
    expect(await partitions(database)).toEqual(found);
    for (const kind of ["event", "position"]) {
      const bounds = found.filter((part) => part.kind === kind);
      expect(bounds).toHaveLength(4);
      expect(bounds[0]?.lower_bound).toBe(0n);
      bounds.slice(1).forEach((part, i) => {
        expect(part.lower_bound).toBe(bounds[i]?.upper_bound);
      });
    }
    expect(await attached(database)).toHaveLength(8);
  });

  test("ensure: the numbers grow into the second partition → another one ahead, the first one's span noted", async () => {
    const [first] = await partitions(database);
    await sql`select setval('muster.batch', ${(first?.upper_bound ?? 0n) + 5n}::bigint)`.execute(database.db);
    await ensurePartitions(database.db);
    const { rows } = await sql<{ lower_bound: bigint; first: boolean; last: boolean }>`
      select lower_bound, first_at is not null as first, last_at is not null as last
        from muster.ledger_partition where kind = 'event' order by lower_bound`.execute(database.db);
    expect(rows.map(({ first: begun, last }) => [begun, last])).toEqual([
      [true, true],
      [true, false],
      [false, false],
      [false, false],
      [false, false],
    ]);
  });

  test("retention: a partition filled before the time → oldest moves, then it is gone; what is younger stays", async () => {
    const [first] = await partitions(database);
    const upper = first?.upper_bound ?? 0n;
    await sql`insert into muster.position (position, batch, events, late)
              select n, case when n <= 10 then n else ${upper}::bigint + n end, 0, false from generate_series(1, 20) n`.execute(database.db);
    await sql`insert into muster.position (position, batch, events, late) values (21, 7000, 0, true)`.execute(database.db);
    await sql`update muster.ledger set position = 21, top_batch = ${upper}::bigint + 20, max_lag = ${upper}::bigint`.execute(database.db);
    expect(await dropExpired(database.db, new Date(Date.now() - 3_600_000))).toBe(0);
    expect((await readLedger(database.db)).oldest).toBe(1n);
    expect(await dropExpired(database.db, new Date(Date.now() + 3_600_000))).toBe(1);
    // 21 belonged to a batch of the dropped range, so everything up to it is over.
    expect((await readLedger(database.db)).oldest).toBe(22n);
    expect(await attached(database)).not.toContain("muster.event_0");
    expect((await partitions(database)).filter((part) => part.kind === "event")[0]?.lower_bound).toBe(upper);
  });

  test("retention: a stranger reads the partition → left half done, finished by the next call", async () => {
    const parts = (await partitions(database)).filter((part) => part.kind === "event");
    const next = parts[1]?.lower_bound ?? 0n;
    await sql`select setval('muster.batch', ${next + 5n}::bigint)`.execute(database.db);
    await ensurePartitions(database.db);
    await sql`insert into muster.position (position, batch, events, late) values (22, ${next + 1n}::bigint, 0, false), (23, ${next + 2n}::bigint, 0, false)`.execute(
      database.db,
    );
    await sql`update muster.ledger set position = 23, top_batch = ${next + 2n}::bigint`.execute(database.db);
    await database.db.transaction().execute(async (stranger) => {
      await sql`select count(*) from muster.event`.execute(stranger);
      expect(await dropExpired(database.db, new Date(Date.now() + 3_600_000))).toBe(0);
    });
    expect(await dropExpired(database.db, new Date(Date.now() + 3_600_000))).toBe(1);
    expect(await attached(database)).not.toContain(`muster.event_${parts[0]?.lower_bound}`);
    expect(await dropExpired(database.db, new Date(Date.now() + 3_600_000))).toBe(0);
  });
});
