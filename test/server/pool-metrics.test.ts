import { Registry } from "prom-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { measurePool } from "../../src/server/pool-metrics.ts";
import { readClock } from "../../src/store/transaction.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase({ poolSize: 2 });
});
afterEach(() => database.drop());

test("pooled connections: limit, open, idle, waited for → told to Prometheus as they are when it asks", async () => {
  const { db } = database;
  const registry = new Registry();
  measurePool(registry, db);
  const told = async (): Promise<Record<string, number>> => {
    const metrics = (await registry.getMetricsAsJSON()).filter(({ name }) => name.startsWith("muster_database_connections_"));
    return Object.fromEntries(metrics.map(({ name, values }) => [name.replace("muster_database_connections_", ""), values[0]?.value ?? -1]));
  };
  await readClock(db);
  expect(await told()).toEqual({ limit: 2, open: 1, idle: 1, waiting: 0 });
  let third: Promise<unknown> = Promise.resolve();
  await db.connection().execute(async () => {
    expect(await told()).toEqual({ limit: 2, open: 1, idle: 0, waiting: 0 });
    await db.connection().execute(async () => {
      third = readClock(db);
      expect(await told()).toEqual({ limit: 2, open: 2, idle: 0, waiting: 1 });
    });
  });
  await third;
  expect(await told()).toEqual({ limit: 2, open: 2, idle: 2, waiting: 0 });
});
