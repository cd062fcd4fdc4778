/** An installation on this version of PostgreSQL, as a user has it. */
import { sql } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { openDatabase } from "../../../src/store/database.ts";
import { inconsistencies } from "../../support/consistency.ts";
import { foldDifferences } from "../../support/fold.ts";
import { clearFolder, startFolder, startMuster, until } from "../../support/installation.ts";
import { startPostgres, type TestPostgres } from "../../support/postgres.ts";
import { builtRoot, spawnMuster } from "../../support/spawn.ts";
import { openFleet } from "../fleet.ts";

let postgres: TestPostgres;
let url = "";
beforeAll(async () => {
  builtRoot();
  // One that may be killed, and keeps its word all the same.
  postgres = await startPostgres({ fsync: "on", full_page_writes: "on" }, inject("postgres").programs);
  const admin = new pg.Client({ connectionString: postgres.url("postgres") });
  await admin.connect();
  await admin.query("create role muster login password 'muster'");
  await admin.query("create database muster owner muster");
  await admin.end();
  url = `postgres://muster:muster@127.0.0.1:${postgres.port}/muster`;
}, 300_000);
afterAll(() => postgres.stop());

test("migrated, members made, healed, told of; the server killed (-9) → all goes on, nothing lost or doubled, the doctor is content", async ({
  task,
}) => {
  const folder = startFolder();
  const env = { MUSTER_WORKERS: "2", MUSTER_PROCESS: "on", DATABASE_URL: url };
  const at = await startMuster(folder, { env });
  const fleet = openFleet(folder, at);
  const db = openDatabase({ url, size: 2, applicationName: "test" });
  try {
    const { rows } = await sql<{ server_version: string }>`show server_version`.execute(db);
    expect(`postgres ${rows[0]?.server_version.split(".")[0]}`).toBe(task.file.projectName);
    await fleet.make(5);
    await fleet.settled(5);
    const [victim = 0] = fleet.members();
    process.kill(victim, "SIGKILL");
    await until(() => !fleet.members().includes(victim) && fleet.members().length === 5);
    await fleet.settled(5);
    await postgres.signal("SIGKILL");
    await postgres.start();
    await fleet.resize(8);
    await fleet.settled(8);
    expect(await fleet.failures()).toEqual([]);
    expect(await foldDifferences(db)).toEqual([]);
    expect(await inconsistencies(db)).toEqual([]);
    const doctor = spawnMuster({ args: ["doctor"], cwd: folder, env });
    expect((await doctor.exited).code, doctor.output()).toBe(0);
  } finally {
    await fleet.client.close();
    await db.destroy();
    at.muster.kill("SIGINT");
    await at.muster.exited;
    clearFolder(folder);
  }
});
