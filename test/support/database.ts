/** A database of a test file's own: a clone of the run's migrated template. It stays when a test of the file failed, and says its name. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sql } from "kysely";
import pg from "pg";
import { inject, TestRunner } from "vitest";

import { type Database, openDatabase } from "../../src/store/database.ts";
import { failures } from "./failure-note.ts";
import { templateName } from "./template.ts";

export interface TestDatabase {
  /** As the ordinary user that owns the database: what DATABASE_URL would be. */
  readonly url: string;
  /** As a superuser, for statistics and settings that need one. */
  readonly superuserUrl: string;
  readonly name: string;
  readonly db: Database;
  /** Gathers statistics of all tables, as autovacuum would after a while. */
  analyze(): Promise<void>;
  /** What the other connections to it are called, besides those of `db`. */
  connections(): Promise<string[]>;
  /** Ends the pool and removes the database, unless a test failed. */
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** Of the pool behind `db`. */
  readonly poolSize?: number;
  /** An empty database instead of a migrated one. */
  readonly empty?: boolean;
}

export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const postgres = inject("postgres");
  const name = `test_${randomBytes(6).toString("hex")}`;
  const superuserUrl = postgres.superuserUrl.replace("DATABASE", name);
  const url = postgres.userUrl.replace("DATABASE", name);
  await asSuperuser(`create database ${name} owner muster ${options.empty === true ? "" : `template ${templateName}`}`);
  const db = openDatabase({ url, size: options.poolSize ?? 10, applicationName: "test" });
  let dropped = false;
  return {
    url,
    superuserUrl,
    name,
    db,
    analyze: async () => {
      await sql`vacuum analyze`.execute(db);
    },
    connections: async () => {
      const { rows } = await sql<{ name: string }>`
        /* test.connections */ select application_name as name from pg_stat_activity
         where datname = ${name} and backend_type = 'client backend' and application_name <> 'test'`.execute(db);
      return rows.map((row) => row.name);
    },
    drop: async () => {
      if (dropped) return;
      dropped = true;
      await db.destroy();
      const failed = [...failures(), ...(TestRunner.getCurrentTest()?.result?.state === "fail" ? [TestRunner.getCurrentTest()?.name ?? ""] : [])];
      if (failed.length > 0) {
        writeFileSync(join(postgres.folder, "failed"), "");
        console.error(`Database ${name} is kept (${failed.join("; ")})`);
        return;
      }
      await asSuperuser(`drop database ${name} with (force)`);
    },
  };
}

async function asSuperuser(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject("postgres").superuserUrl.replace("DATABASE", "postgres") });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
