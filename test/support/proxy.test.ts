import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { ConnectionLost } from "../../src/store/failure.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { type DatabaseProxy, startProxy } from "./proxy.ts";

describe("proxy", () => {
  let database: TestDatabase;
  let proxy: DatabaseProxy;
  let db: Database;
  beforeEach(async () => {
    database = await createTestDatabase();
    proxy = await startProxy(database.url);
    db = openDatabase({ url: proxy.url, size: 3, applicationName: "through" });
    await sql`create table public.mark (n integer)`.execute(db);
  });
  afterEach(async () => {
    await proxy.close();
    await db.destroy();
    await database.drop();
  });

  const write = (): Promise<unknown> =>
    db.connection().execute(async (connection) => {
      await sql`begin`.execute(connection);
      await sql`/* mark.insert */ insert into public.mark values (${1}::integer)`.execute(connection);
      await sql`commit`.execute(connection);
    });
  const marks = async (): Promise<number> => {
    const { rows } = await sql<{ n: bigint }>`select count(*) as n from public.mark`.execute(database.db);
    return Number(rows[0]?.n);
  };

  test("reply of COMMIT: lost → the client sees a lost connection, the row is there", async () => {
    const lost = proxy.loseCommitReply((step) => step.transaction.includes("mark.insert"));
    await expect(write()).rejects.toBeInstanceOf(ConnectionLost);
    expect(await lost).toMatchObject({ applicationName: "through", statement: "commit" });
    expect(await marks()).toBe(1);
  });

  test("COMMIT: lost → the client sees a lost connection, the row is not there", async () => {
    const lost = proxy.loseCommit();
    await expect(write()).rejects.toBeInstanceOf(ConnectionLost);
    await lost;
    expect(await marks()).toBe(0);
  });

  test.each(["fin", "rst"] as const)("connection: cut by %s inside a statement → lost, the next one works", async (how) => {
    const holding = proxy.hold((step) => step.statement === "mark.insert");
    const written = expect(write()).rejects.toBeInstanceOf(ConnectionLost);
    await holding;
    proxy.cut(how);
    await written;
    await write();
    expect(await marks()).toBe(1);
  });

  test("statement: held and released → takes effect then", async () => {
    const holding = proxy.hold((step) => step.statement === "mark.insert");
    const written = write();
    const held = await holding;
    expect(held.step.transaction).toEqual(["begin", "mark.insert"]);
    expect(await marks()).toBe(0);
    held.release();
    await written;
    expect(await marks()).toBe(1);
  });

  test("connection: silent → lost once nobody can be answering any more, the next one works", async () => {
    const hasty = openDatabase({ url: proxy.url, size: 1, applicationName: "hasty", statementTimeoutMs: 300 });
    const ask = (): Promise<unknown> => sql`select 1`.execute(hasty);
    await ask();
    proxy.cut("silence");
    await expect(ask()).rejects.toBeInstanceOf(ConnectionLost);
    await ask();
    await hasty.destroy();
  });

  test("everything: frozen and thawed → goes on", async () => {
    proxy.freeze();
    const written = write();
    expect(await marks()).toBe(0);
    proxy.thaw();
    await written;
    expect(await marks()).toBe(1);
  });
});
