import pg from "pg";
import { Registry } from "prom-client";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { realRuntime } from "../../src/main/runtime.ts";
import { measureTransactions } from "../../src/server/transaction-metrics.ts";
import { readOpenTransactions } from "../../src/store/server.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createTestLog } from "../support/log.ts";

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database.drop());

/** A role of its own, of which ours may know nothing. */
async function openStranger(): Promise<{ client: pg.Client; close(): Promise<void> }> {
  const admin = new pg.Client({ connectionString: database.superuserUrl });
  await admin.connect();
  const role = `stranger_${database.name}`;
  await admin.query(`create role ${role} login password 'stranger'`);
  const client = new pg.Client({
    connectionString: inject("postgres").userUrl.replace("muster:muster", `${role}:stranger`).replace("DATABASE", database.name),
  });
  await client.connect();
  return {
    client,
    close: async () => {
      await client.end();
      await admin.query(`drop role ${role}`);
      await admin.end();
    },
  };
}

/** Each step happens before a round of the measuring, and takes ten seconds of its clock; answers what was told after each. */
async function rounds(steps: readonly (() => Promise<unknown>)[]): Promise<string[]> {
  const registry = new Registry();
  const stopping = new AbortController();
  const told: string[] = [];
  const waiting = [...steps];
  let nowMs = 0;
  const next = async (): Promise<void> => {
    const step = waiting.shift();
    nowMs += 10_000;
    await (step === undefined ? stopping.abort() : step());
  };
  const timers = {
    wait: async () => {
      told.push(/^muster_database_oldest_transaction_seconds (.*)$/m.exec(await registry.metrics())?.[1] ?? "nothing");
      await next();
    },
  };
  await next();
  await measureTransactions(
    {
      registry,
      db: database.db,
      runtime: { ...realRuntime(), timers, clock: { monotonicMs: () => nowMs, wallMs: () => nowMs } },
      logger: createTestLog(),
    },
    stopping.signal,
  );
  return told;
}

test("a transaction of another role, whose age we may not see → its age grows from when it was first seen; when it ends, it is gone", async () => {
  const { client, close } = await openStranger();
  try {
    const told = await rounds([
      async () => undefined,
      () => client.query("begin; select txid_current()"),
      async () => {
        const [open, ...others] = await readOpenTransactions(database.db);
        expect(open).toMatchObject({ ms: null, whose: expect.stringContaining("role stranger_") });
        // In transactions of the whole server, of which others may have begun some.
        expect(open?.age).toBeGreaterThan(0);
        expect(others).toEqual([]);
      },
      async () => undefined,
      () => client.query("commit"),
    ]);
    expect(told).toEqual(["0", "0", "10", "20", "0"]);
  } finally {
    await close();
  }
});

test("a transaction of our own role, and a prepared one → their age by PostgreSQL's clock", async () => {
  const own = new pg.Client({ connectionString: database.url });
  await own.connect();
  try {
    const ageNow = async (): Promise<number> =>
      Number((await own.query<{ age: string }>("select extract(epoch from clock_timestamp() - now()) as age")).rows[0]?.age);
    await own.query("begin; select txid_current()");
    const before = await ageNow();
    const [told] = await rounds([async () => undefined]);
    expect(Number(told)).toBeGreaterThan(before);
    expect(Number(told)).toBeLessThan(await ageNow());
    await own.query("prepare transaction 'left lying'");
    const [prepared] = await readOpenTransactions(database.db);
    expect(prepared).toMatchObject({ id: "prepared left lying", whose: "prepared as left lying" });
    expect(prepared?.ms).toBeGreaterThan(0);
    // In transactions of the whole server, of which others may have begun some.
    expect(prepared?.age).toBeGreaterThan(0);
    await own.query("rollback prepared 'left lying'");
    expect(await readOpenTransactions(database.db)).toEqual([]);
  } finally {
    await own.end();
  }
});
