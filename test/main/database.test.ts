import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearFolder, runningIn, startFolder } from "../support/installation.ts";
import { builtRoot, type Muster, spawnMuster } from "../support/spawn.ts";

// Building takes longer than a test may.
beforeAll(() => void builtRoot(), 300_000);

describe("with a PostgreSQL that was given", () => {
  const folder = startFolder();
  let database: TestDatabase;
  let token = "";
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Muster =>
    spawnMuster({ args, cwd: folder, env: { DATABASE_URL: database.url, MUSTER_PORT: "0", ...env } });
  const ended = async (muster: Muster): Promise<string> => `${(await muster.exited).code} ${muster.output()}`;
  beforeAll(async () => {
    database = await createTestDatabase({ empty: true });
  });
  afterAll(async () => {
    clearFolder(folder);
    await database.drop();
  });

  test.each(["api", "worker"])("muster %s on an unmigrated database → a sentence, 1", async (part) => {
    expect(await ended(run([part]))).toMatch(/^1 muster: The database 127\.0\.0\.1:\d+\/test_\w+ holds no Muster yet\. Run `muster migrate` once/);
  });

  test("muster migrate, twice at once, by an ordinary role → both end well, one did it", async () => {
    const said = await Promise.all([ended(run(["migrate"])), ended(run(["migrate"]))]);
    expect(said.sort()).toEqual([
      expect.stringMatching(/^0 .* is up to date: 0001_\w+(, \d{4}_\w+)* (was|were) applied\.\n$/),
      expect.stringMatching(/^0 .* was up to date\.\n$/),
    ]);
    expect(await ended(run(["migrate"]))).toMatch(/^0 .* was up to date/);
  });

  test("muster api and muster worker alone → they work, nothing embedded is started, Ctrl-C ends them", async () => {
    const worker = run(["worker"]);
    const api = run(["api"]);
    const [, url = ""] = await api.line(/"url":"(http:[^"]+)"/);
    await worker.line(/The worker is there/);
    token = readFileSync(join(folder, ".muster/admin-token"), "utf8").trim();
    expect((await ask({ url, token }, "{ viewer { role } }")).data).toEqual({ viewer: { role: "OPERATOR" } });
    expect((await ask({ url, token }, `{ profileTypes { name available } }`)).data).toMatchObject({
      profileTypes: expect.arrayContaining([{ name: "process", available: false }]),
    });
    expect(
      runningIn(folder)
        .map(({ title }) => title)
        .sort(),
    ).toEqual(["muster api", "muster worker"]);
    for (const part of [api, worker]) part.kill("SIGINT");
    expect([(await api.exited).code, (await worker.exited).code]).toEqual([0, 0]);
  });

  test("another secret key than the one its secrets were sealed with → a sentence, 1", async () => {
    expect(await ended(run(["api"], { MUSTER_SECRET_KEY: "ab".repeat(32) }))).toMatch(
      /^1 muster: The secrets in the database .* were sealed with another key/s,
    );
  });

  test("muster doctor, while nothing runs → says so; the secret in the environment is noted, the secret itself is not", async () => {
    const said = await ended(run(["doctor"]));
    // The tests' PostgreSQL is fast, and forgets what it promised when the machine stops: rightly the one thing that is wrong.
    expect(said.match(/^WRONG .*$/gm)).toEqual([expect.stringContaining("fsync is off")]);
    expect(said).toMatch(/^1 .*One thing is wrong\.\n$/s);
    expect(said).toContain("note  worker");
    expect(said).toContain("DATABASE_URL stands in the environment");
    expect(said).not.toContain("muster:muster@");
  });

  test("muster doctor, two partitions of the ledger ahead, then none → noted, then wrong", async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const { rows } = await client.query<{ kind: string; lower_bound: string; upper_bound: string }>(
      "select kind, lower_bound, upper_bound from muster.ledger_partition where kind = 'event' order by lower_bound",
    );
    const forget = (from: number): Promise<unknown> =>
      client.query("delete from muster.ledger_partition where kind = 'event' and lower_bound = any($1)", [
        rows.slice(from).map((row) => row.lower_bound),
      ]);
    try {
      await forget(3);
      expect(await ended(run(["doctor"]))).toMatch(/^note {2}ledger {7}2 of 3 partitions are ahead/m);
      await forget(1);
      expect(await ended(run(["doctor"]))).toMatch(/^WRONG ledger {7}0 of 3 partitions are ahead/m);
    } finally {
      await client.query(
        "insert into muster.ledger_partition (kind, lower_bound, upper_bound) select kind, lower_bound, upper_bound from json_to_recordset($1) as r(kind text, lower_bound bigint, upper_bound bigint) on conflict do nothing",
        [JSON.stringify(rows)],
      );
      await client.end();
    }
  });

  test("muster doctor, a full disk → says so; 1", async () => {
    const admin = new pg.Client({ connectionString: inject("postgres").superuserUrl.replace("DATABASE", database.name) });
    await admin.connect();
    // The server's word is its own; here it is made to say so.
    await admin.query(`
      create function public.refuse() returns event_trigger language plpgsql as $$ begin raise exception 'no space' using errcode = 'disk_full'; end $$;
      create event trigger full_disk on ddl_command_start when tag in ('CREATE TABLE AS') execute function public.refuse()`);
    try {
      const said = await ended(run(["doctor"]));
      expect(said).toMatch(/^WRONG database +its disk is full/m);
    } finally {
      await admin.query("drop event trigger full_disk; drop function public.refuse()");
      await admin.end();
    }
  });

  test.each([["api"], ["worker"], ["migrate"], ["start"]])("muster %s on a database of a newer Muster → a sentence, 1", async (part) => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query("insert into muster.migration values ('9999_from_the_future', 'later') on conflict do nothing");
    await client.end();
    expect(await ended(run([part]))).toMatch(
      /^1 muster: The database \S+ was migrated by a newer Muster, and this one does not know its tables\. Use that version\.\n$/,
    );
  });

  test.each([
    ["nobody listens there", "postgres://u:canary@127.0.0.1:1/d", /nothing listens there/],
    ["no such host", "postgres://u:canary@no.such.host.invalid/d", /no host of that name|looked up/],
  ])("%s → a sentence without the password, 1", async (_case, url, why) => {
    for (const part of ["api", "migrate", "doctor"]) {
      const said = await ended(run([part], { DATABASE_URL: url }));
      expect(said).toMatch(/^1 /);
      expect(said).toMatch(why);
      expect(said).not.toContain("canary");
      expect(said).not.toMatch(/^\s+at /m);
    }
  });

  test("a wrong password, a missing database, a role without the right → each its sentence, 1", async () => {
    const { userUrl, superuserUrl } = inject("postgres");
    const admin = new pg.Client({ connectionString: superuserUrl.replace("DATABASE", database.name) });
    await admin.connect();
    const role = `weak_${database.name}`;
    await admin.query(`create role ${role} login password 'weak'`);
    const weak = userUrl.replace("muster:muster", `${role}:weak`).replace("DATABASE", "postgres");
    try {
      expect(await ended(run(["migrate"], { DATABASE_URL: userUrl.replace(":muster@", ":wrong@").replace("DATABASE", database.name) }))).toMatch(
        /^1 .*the password is wrong/s,
      );
      expect(await ended(run(["migrate"], { DATABASE_URL: userUrl.replace("DATABASE", "no_such_database") }))).toMatch(
        /^1 .*there is no such database/s,
      );
      expect(await ended(run(["migrate"], { DATABASE_URL: weak }))).toMatch(
        /^1 .*may not make the schema muster: `grant create on database postgres to weak_/s,
      );
    } finally {
      await admin.query(`drop role ${role}`);
      await admin.end();
    }
  });
});
