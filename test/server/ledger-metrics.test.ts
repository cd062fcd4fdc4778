import { sql } from "kysely";
import { Registry } from "prom-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Timers } from "../../src/core/runtime.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { measureLedger } from "../../src/server/ledger-metrics.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createTestLog } from "../support/log.ts";

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database.drop());

test("partitions of the ledger ahead: three, then fewer, then nobody can say → told to Prometheus, round by round", async () => {
  const registry = new Registry();
  const stopping = new AbortController();
  const told = async (): Promise<string> => /^muster_ledger_partitions_ahead (.*)$/m.exec(await registry.metrics())?.[1] ?? "nothing";
  const seen: string[] = [];
  // What happens between two rounds.
  const between = [
    () =>
      sql`delete from muster.ledger_partition p where kind = 'event' and lower_bound = (select max(lower_bound) from muster.ledger_partition where kind = 'event')`.execute(
        database.db,
      ),
    () => sql`alter table muster.ledger_partition rename to elsewhere`.execute(database.db),
    () => stopping.abort(),
  ];
  const timers: Timers = {
    ...realRuntime().timers,
    wait: async () => {
      seen.push(await told());
      await between.shift()?.();
    },
  };
  await measureLedger({ registry, db: database.db, timers, logger: createTestLog() }, stopping.signal);
  expect(seen).toEqual(["3", "2", "Nan"]);
});
