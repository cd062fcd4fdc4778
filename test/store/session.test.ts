import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realRuntime } from "../../src/main/runtime.ts";
import { ConnectionLost } from "../../src/store/failure.ts";
import { openSession, type Session } from "../../src/store/session.ts";
import { createWake } from "../../src/store/wake.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
const open = (): Promise<Session> => openSession({ url: database.url, applicationName: "session test" });

describe("session", () => {
  test("lock: held by one session → refused to another, free once the first is closed", async () => {
    const one = await open();
    const two = await open();
    expect(await one.tryLock(7, 1)).toBe(true);
    expect(await two.tryLock(7, 1)).toBe(false);
    expect(await two.tryLock(7, 2)).toBe(true);
    await one.close();
    expect(await two.tryLock(7, 1)).toBe(true);
    await two.close();
  });

  test("its backend is ended → lost resolves, statements fail with ConnectionLost, closing it is harmless", async () => {
    const session = await open();
    await sql`select pg_terminate_backend(${session.backendPid})`.execute(database.db);
    expect(await session.lost).toBeInstanceOf(ConnectionLost);
    await expect(session.query("select 1")).rejects.toBeInstanceOf(ConnectionLost);
    await session.close();
  });

  test("closed → lost resolves as well", async () => {
    const session = await open();
    await session.close();
    expect(await session.lost).toBeInstanceOf(ConnectionLost);
  });

  test("nobody listens at the address → ConnectionLost; a refusal of PostgreSQL → its own error", async () => {
    await expect(openSession({ url: "postgres://nobody@127.0.0.1:9/none", applicationName: "t" })).rejects.toBeInstanceOf(ConnectionLost);
    const wrong = openSession({ url: database.url.replace("muster:muster", "muster:wrong"), applicationName: "t" });
    await expect(wrong).rejects.toMatchObject({ code: "28P01" });
  });

  test("int8 → bigint, and the same statement again with other values → other answers", async () => {
    const session = await open();
    for (const n of [1n, 2n, 9_007_199_254_740_993n]) expect(await session.query("select $1::bigint as n", [n])).toEqual([{ n }]);
    await session.close();
  });
});

describe("wake", () => {
  test("a burst of wake-ups → heard by another session, in a few NOTIFYs", async () => {
    const runtime = realRuntime();
    const wake = createWake(database.db, runtime);
    const session = await open();
    let heard = 0;
    const marked = new Promise<void>((resolve) => void session.listen("muster_ledger", resolve));
    await session.listen("muster_work", () => heard++);
    for (let i = 0; i < 1_000; i++) {
      wake.work();
      if (i % 100 === 0) wake.ledger();
    }
    await marked;
    await wake.close();
    await session.query("select 1");
    expect(heard).toBeGreaterThan(0);
    expect(heard).toBeLessThan(10);
    await session.close();
  });

  test("the database is away → dropped in silence; closed → nothing more is sent", async () => {
    const own = await createTestDatabase({ empty: true });
    const wake = createWake(own.db, realRuntime());
    await own.drop();
    wake.ledger();
    await wake.close();
    wake.ledger();
  });
});
