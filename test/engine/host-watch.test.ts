/** When the watch of hosts looks again: in a time of its own, against a real table whose hosts fall silent while it looks. */
import { type KyselyPlugin, sql } from "kysely";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import { hostLane, hostLanes } from "../../src/core/lane.ts";
import { nodeStatusCodec } from "../../src/core/node.ts";
import type { Timers } from "../../src/core/runtime.ts";
import { createLaneBook } from "../../src/engine/lane-book.ts";
import { startHostWatch } from "../../src/engine/maintenance/host-watch.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { silentWake } from "../../src/store/wake.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createTestLog } from "../support/log.ts";

const real = realRuntime();
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await sql`update muster.lane set epoch = 1 where id = 0`.execute(database.db);
});
afterAll(() => database.drop());
beforeEach(async () => {
  await sql`delete from muster.node`.execute(database.db);
  await sql`delete from muster.lane where host_id is not null`.execute(database.db);
  await sql`delete from muster.host`.execute(database.db);
});

/** A host with one member that runs. */
async function host(silentSeconds: number): Promise<string> {
  const { db } = database;
  const id = brandId("host", real.entropy.uuid());
  const { rows } = await sql<{ number: number }>`
    insert into muster.host (id, name, incarnation, seen_at) values (${id}, 'h', 'x', clock_timestamp() - make_interval(secs => ${silentSeconds}))
    returning number`.execute(db);
  const number = rows[0]?.number ?? -1;
  for (const lane of hostLanes(number)) await sql`insert into muster.lane (id, host_id) values (${lane}, ${id})`.execute(db);
  const member = brandId("node", real.entropy.uuid());
  await sql`
    insert into muster.node (id, project_id, profile_id, lane, host_id, name, status, health, created_at, updated_at, started_at)
    values (${member}, ${real.entropy.uuid()}, ${real.entropy.uuid()}, ${hostLane(number, member)}, ${id}, 'n', ${nodeStatusCodec.code("ACTIVE")}, 3, now(), now(), now())`.execute(
    db,
  );
  return id;
}

async function lost(): Promise<number> {
  const { rows } = await sql`select from muster.node where status = ${nodeStatusCodec.code("UNKNOWN")}`.execute(database.db);
  return rows.length;
}

/** One turn of the watch. @param during runs after its first statement @returns how long it would wait after it, ms */
async function look(during: () => Promise<unknown> = async () => undefined): Promise<number> {
  let first = true;
  const meanwhile: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      if (first) {
        first = false;
        await during();
      }
      return result;
    },
  };
  const watching: { stop(): Promise<void> }[] = [];
  const waitMs = await new Promise<number>((resolve) => {
    const timers: Timers = {
      wait: (ms, signal) => {
        resolve(ms);
        return new Promise((over) => signal?.addEventListener("abort", () => over()));
      },
    };
    const lanes = createLaneBook();
    lanes.add(new Map([[0, 1n]]));
    const store = { db: database.db.withPlugin(meanwhile), runtime: { ...real, timers }, wake: silentWake, writer: 1 };
    watching.push(startHostWatch({ store, lanes, logger: createTestLog() }));
  });
  await Promise.all(watching.map((watch) => watch.stop()));
  return waitMs;
}

test("all hosts are heard → it waits until the one that was heard longest ago may be silent", async () => {
  await host(-100);
  await host(-60);
  const waitMs = await look();
  expect(waitMs).toBeGreaterThan(5_000);
  expect(waitMs).toBeLessThanOrEqual(65_000);
  expect(await lost()).toBe(0);
});

test("a host falls silent while it looks → found in that very turn, not a whole wait later", async () => {
  await host(-60);
  const silent = await host(-60);
  await look(() => sql`update muster.host set seen_at = seen_at - interval '1 hour' where id = ${silent}`.execute(database.db));
  expect(await lost()).toBe(1);
});

test("a silent host was found → it looks again after a second: there may be more than one look finds", async () => {
  await host(-60);
  await host(3_600);
  expect(await look()).toBe(1_000);
  expect(await lost()).toBe(1);
});
