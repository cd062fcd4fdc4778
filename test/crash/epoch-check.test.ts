/** "Check the epoch, takeover, commit": every order in which a transaction of a lane's former owner and a takeover of the lane can cross. */
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { checkLanes, claimLanes, freeLanesOf, LaneLost } from "../../src/store/lane.ts";
import { type Store, transaction } from "../../src/store/transaction.ts";
import { silentWake } from "../../src/store/wake.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createGate, type Gate } from "../support/gate.ts";

describe("a transaction of a lane's owner, and a takeover of the lane", () => {
  const runtime = realRuntime();
  const owner = brandId("worker", runtime.entropy.uuid());
  const host = brandId("host", runtime.entropy.uuid());
  let database: TestDatabase;
  let ownersDb: Database;
  let store: Store;
  let held: ReadonlyMap<number, bigint>;
  beforeEach(async () => {
    database = await createTestDatabase();
    ownersDb = openDatabase({ url: database.url, size: 3, applicationName: "owner" });
    store = { db: ownersDb, runtime, wake: silentWake, writer: 1 };
    await sql`create table public.outcome (n integer)`.execute(database.db);
    held = await claimLanes(ownersDb, owner, { shared: 4, host: 0 }, host);
    expect(held.size).toBe(4);
  });
  afterEach(async () => {
    await ownersDb.destroy();
    await database.drop();
  });

  /** Checks the lanes, passes the gate, writes, commits. */
  const write = (gate?: Gate): Promise<void> =>
    transaction(store, async (tx) => {
      await checkLanes(tx.db, held);
      await gate?.pass();
      await sql`insert into public.outcome values (1)`.execute(tx.db);
    });
  const outcomes = async (): Promise<number> => {
    const { rows } = await sql<{ n: bigint }>`select count(*) as n from public.outcome`.execute(database.db);
    return Number(rows[0]?.n);
  };
  /** Until a statement of that name waits for a lock. */
  const isWaiting = async (name: string): Promise<void> => {
    for (;;) {
      const { rows } = await sql<{ n: bigint }>`
        select count(*) as n from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like ${`%/* ${name} */%`} and pid <> pg_backend_pid()`.execute(
        database.db,
      );
      if ((rows[0]?.n ?? 0n) > 0n) return;
    }
  };

  test("checked, takeover, commit → the takeover waits for the commit; the outcome stands, the next one is refused", async () => {
    const gate = createGate();
    const writing = write(gate);
    await gate.reached;
    const taking = freeLanesOf(database.db, owner);
    await isWaiting("lane.free");
    gate.open();
    await writing;
    expect(await taking).toBe(4);
    expect(await outcomes()).toBe(1);
    await expect(write()).rejects.toBeInstanceOf(LaneLost);
    expect(await outcomes()).toBe(1);
  });

  test("takeover under way, check, takeover committed → the check waits, and is refused", async () => {
    const gate = createGate();
    const taking = database.db.transaction().execute(async (tx) => {
      await freeLanesOf(tx, owner);
      await gate.pass();
    });
    await gate.reached;
    const writing = expect(write()).rejects.toBeInstanceOf(LaneLost);
    await isWaiting("lane.check");
    gate.open();
    await taking;
    await writing;
    expect(await outcomes()).toBe(0);
  });

  test("takeover under way, check, takeover rolled back → the check waits, and is passed", async () => {
    const gate = createGate();
    const changedItsMind = new Error("rolled back");
    const taking = expect(
      database.db.transaction().execute(async (tx) => {
        await freeLanesOf(tx, owner);
        await gate.pass();
        throw changedItsMind;
      }),
    ).rejects.toBe(changedItsMind);
    await gate.reached;
    const writing = write();
    await isWaiting("lane.check");
    gate.open();
    await taking;
    await writing;
    expect(await outcomes()).toBe(1);
  });

  test("the owner holds its lowest lane, a takeover waits for that → it holds none of the others, so the owner can check them", async () => {
    const [lowest = 0, ...others] = [...held.keys()].sort((a, b) => a - b);
    // Whoever reads the table as it lies comes to the others first.
    await sql`create index backwards on muster.lane (id desc)`.execute(database.db);
    await sql`cluster muster.lane using backwards`.execute(database.db);
    const gate = createGate();
    const checking = transaction(store, async (tx) => {
      await checkLanes(tx.db, new Map([...held].filter(([id]) => id === lowest)));
      await gate.pass();
      await sql`select from muster.lane where id = any(${others}::int[]) order by id for share nowait`.execute(tx.db);
    });
    await gate.reached;
    const taking = freeLanesOf(database.db, owner);
    await isWaiting("lane.free");
    gate.open();
    await checking;
    expect(await taking).toBe(held.size);
  });

  test("taken over and claimed by another before the check → refused, nothing written", async () => {
    await freeLanesOf(database.db, owner);
    const other = brandId("worker", runtime.entropy.uuid());
    await claimLanes(database.db, other, { shared: 256, host: 0 }, host);
    await expect(write()).rejects.toBeInstanceOf(LaneLost);
    expect(await outcomes()).toBe(0);
  });

  test("two owners' transactions on the same lanes at once → neither waits for the other", async () => {
    const gate = createGate();
    const first = write(gate);
    await gate.reached;
    await write();
    expect(await outcomes()).toBe(1);
    gate.open();
    await first;
    expect(await outcomes()).toBe(2);
  });
});
