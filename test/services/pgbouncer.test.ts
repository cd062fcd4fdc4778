/** Muster with PgBouncer in transaction mode before its PostgreSQL: what passes the pooler, what goes past it, and what happens when either dies. */
import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EventStreamDocument, EventsDocument, FeedCursorDocument } from "../../src/cli/graphql/generated/graphql.ts";
import { openDatabase } from "../../src/store/database.ts";
import { sqlState } from "../../src/store/failure.ts";
import { inconsistencies } from "../support/consistency.ts";
import { foldDifferences } from "../support/fold.ts";
import { clearFolder, startFolder, startMuster, type TestInstallation, until } from "../support/installation.ts";
import { type Pgbouncer, startPgbouncer } from "../support/pgbouncer.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { builtRoot, spawnMuster } from "../support/spawn.ts";
import { type Fleet, openFleet } from "./fleet.ts";

let postgres: TestPostgres;
/** A new database, straight on the server. */
let direct = "";
beforeAll(async () => {
  builtRoot();
  // The server is killed here and keeps its word all the same.
  postgres = await startPostgres({ fsync: "on", full_page_writes: "on" });
  const admin = new pg.Client({ connectionString: postgres.url("postgres") });
  await admin.connect();
  await admin.query("create role muster login password 'muster'");
  await admin.end();
}, 300_000);
afterAll(() => postgres.stop());
const createDatabase = async (): Promise<string> => {
  const admin = new pg.Client({ connectionString: postgres.url("postgres") });
  await admin.connect();
  const name = `muster_${randomBytes(4).toString("hex")}`;
  await admin.query(`create database ${name} owner muster`);
  await admin.end();
  return `postgres://muster:muster@127.0.0.1:${postgres.port}/${name}`;
};

describe("a pool behind it", () => {
  let pooler: Pgbouncer;
  beforeAll(async () => {
    direct = await createDatabase();
    // One connection to the server: whatever one client leaves on it, the next one meets.
    pooler = await startPgbouncer(direct, { default_pool_size: "1" });
  });
  afterAll(() => pooler.stop());
  const limits = sql<{ statement: string; lock: string; idle: string }>`
    select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
           current_setting('idle_in_transaction_session_timeout') as idle`;

  test("limits: in a transaction and in a single statement → those that were asked for; nothing of them is left for others", async () => {
    const ours = openDatabase({ url: pooler.url, size: 2, applicationName: "ours", pooler: true, statementTimeoutMs: 700 });
    const stranger = new pg.Client({ connectionString: pooler.url });
    await stranger.connect();
    try {
      const wanted = [{ statement: "700ms", lock: "5s", idle: "10s" }];
      expect((await limits.execute(ours)).rows).toEqual(wanted);
      expect(await ours.transaction().execute(async (tx) => (await limits.execute(tx)).rows)).toEqual(wanted);
      const left = await stranger.query("select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock");
      expect(left.rows).toEqual([{ statement: "0", lock: "0" }]);
    } finally {
      await stranger.end();
      await ours.destroy();
    }
  });

  test("a statement that takes too long → ended by the server (57014), alone and in a transaction; the connection is good for the next", async () => {
    const ours = openDatabase({ url: pooler.url, size: 1, applicationName: "ours", pooler: true, statementTimeoutMs: 300 });
    const tooLong = sql`select pg_sleep(60)`;
    try {
      expect(sqlState(await tooLong.execute(ours).catch((error: unknown) => error))).toBe("57014");
      expect(
        sqlState(
          await ours
            .transaction()
            .execute((tx) => tooLong.execute(tx))
            .catch((error: unknown) => error),
        ),
      ).toBe("57014");
      expect((await sql<{ one: number }>`select 1 as one`.execute(ours)).rows).toEqual([{ one: 1 }]);
    } finally {
      await ours.destroy();
    }
  });
});

describe("an installation behind it", () => {
  let pooler: Pgbouncer;
  let folder: string;
  beforeEach(async () => {
    direct = await createDatabase();
    pooler = await startPgbouncer(direct, { default_pool_size: "8", server_login_retry: "1" });
    folder = startFolder();
  });
  afterEach(async () => {
    clearFolder(folder);
    await pooler.stop();
  });
  const complaint = async (env: Readonly<Record<string, string>>): Promise<string> => {
    const muster = spawnMuster({ args: ["start"], cwd: folder, env: { MUSTER_PORT: "0", ...env } });
    return `${(await muster.exited).code} ${muster.output()}`;
  };

  test("no MUSTER_DIRECT_URL → a sentence that names it, 1; also where the pooler was told to ignore what it does not know", async () => {
    expect(await complaint({ DATABASE_URL: pooler.url })).toMatch(/^1 .*a pooler answers there.*MUSTER_DIRECT_URL/s);
    const ignoring = await startPgbouncer(direct, {
      ignore_startup_parameters: "statement_timeout,lock_timeout,idle_in_transaction_session_timeout",
    });
    try {
      expect(await complaint({ DATABASE_URL: ignoring.url })).toMatch(/^1 .*a pooler stands between.*MUSTER_DIRECT_URL/s);
    } finally {
      await ignoring.stop();
    }
  });

  test("MUSTER_DIRECT_URL leads to another database → a sentence, 1", async () => {
    const other = await createDatabase();
    const migrating = spawnMuster({ args: ["migrate"], cwd: folder, env: { DATABASE_URL: direct } });
    expect((await migrating.exited).code).toBe(0);
    expect(await complaint({ DATABASE_URL: pooler.url, MUSTER_DIRECT_URL: other })).toMatch(/^1 .*leads to another Muster's database/s);
  });

  test("members are made and healed and told of; PgBouncer dies, PostgreSQL dies → all goes on, nothing is lost or doubled", async () => {
    const env = { MUSTER_WORKERS: "2", MUSTER_PROCESS: "on", DATABASE_URL: pooler.url, MUSTER_DIRECT_URL: direct };
    const at: TestInstallation = await startMuster(folder, { env });
    const fleet: Fleet = openFleet(folder, at);
    const db = openDatabase({ url: direct, size: 2, applicationName: "test" });
    const stop = new AbortController();
    try {
      const { feedCursor } = await fleet.client.request(FeedCursorDocument, {});
      const told: string[] = [];
      const listening = (async () => {
        for await (const { events } of fleet.client.subscribe(EventStreamDocument, { after: feedCursor }, stop.signal)) told.push(events.cursor);
      })();
      await fleet.make(5);
      await fleet.settled(5);
      expect((await pooler.clients()).filter((name) => name.startsWith("muster "))).not.toEqual([]);
      const [victim = 0] = fleet.members();
      process.kill(victim, "SIGKILL");
      await until(() => !fleet.members().includes(victim) && fleet.members().length === 5);
      await fleet.settled(5);

      await pooler.kill();
      await pooler.start();
      await fleet.resize(8);
      await fleet.settled(8);

      await postgres.signal("SIGKILL");
      await postgres.start();
      await fleet.resize(6);
      await fleet.settled(6);

      expect(await fleet.failures()).toEqual([]);
      const { events } = await fleet.client.request(EventsDocument, { first: 1_000, after: feedCursor });
      await until(() => told.length >= events.nodes.length);
      expect(told.slice(0, events.nodes.length)).toEqual(events.nodes.map(({ cursor }) => cursor));
      const doctor = spawnMuster({ args: ["doctor"], cwd: folder, env });
      expect((await doctor.exited).code, doctor.output()).toBe(0);
      expect(doctor.output()).toMatch(/ok +sessions +reach the server itself, past the pooler/);
      expect(await foldDifferences(db)).toEqual([]);
      expect(await inconsistencies(db)).toEqual([]);
      stop.abort();
      await listening;
    } finally {
      stop.abort();
      await fleet.client.close();
      await db.destroy();
      at.muster.kill("SIGINT");
      await at.muster.exited;
    }
  });
});
