/**
 * Brings a database to this program's schema, and says how a database stands to it. Everything lives in the schema `muster`, the
 * record of migrations too; an ordinary role that may create that schema (or owns it) is enough.
 */
import { readdir } from "node:fs/promises";
import { type Kysely, type Migration, type MigrationProvider, Migrator, sql } from "kysely";
import { type Database, openDatabase } from "./database.ts";
import { ensureLedger, migrateLock, singletonSpace } from "./ledger.ts";
import { ensurePartitions } from "./ledger-partition.ts";

/** unmigrated: Muster was never here. behind: an older Muster was. newer: a newer one was, and this one must not touch it. */
export type SchemaState = "current" | "unmigrated" | "newer" | "behind";

/** How long a migration is waited for that another process runs, ms. */
const lockWaitMs = 120_000;

/** The folder beside src/ (sources) or inside dist/ (built): the same relative place for both. */
const folder = new URL("../../migrations/", import.meta.url);
const fileName = /^(\d{4}_[a-z0-9_]+)\.(?:ts|js)$/;

/** This program's migrations by name, in order. */
async function migrationFiles(): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const file of (await readdir(folder)).sort()) {
    const name = fileName.exec(file)?.[1];
    if (name !== undefined) found.set(name, new URL(file, folder).href);
  }
  return found;
}

interface MigrationModule {
  readonly up: (db: Kysely<never>) => Promise<void>;
}

function isMigration(module: unknown): module is MigrationModule {
  return typeof module === "object" && module !== null && "up" in module && typeof module.up === "function";
}

const provider: MigrationProvider = {
  async getMigrations() {
    const migrations: Record<string, Migration> = {};
    for (const [name, href] of await migrationFiles()) {
      const module: unknown = await import(/* @vite-ignore */ href);
      if (!isMigration(module)) throw new Error(`migration ${name} has no function up`);
      migrations[name] = { up: module.up };
    }
    return migrations;
  },
};

/** How the database stands to this program. Reads one small table; needs no rights beyond SELECT. */
export async function schemaState(db: Database): Promise<SchemaState> {
  const known = new Set((await migrationFiles()).keys());
  const { rows: there } = await sql<{ there: boolean }>`
    /* migration.present */ select to_regclass('muster.migration') is not null as there`.execute(db);
  if (there[0]?.there !== true) return "unmigrated";
  const { rows } = await sql<{ name: string }>`/* migration.list */ select name from muster.migration`.execute(db);
  if (rows.length === 0) return "unmigrated";
  if (rows.some(({ name }) => !known.has(name))) return "newer";
  return rows.length < known.size ? "behind" : "current";
}

export interface Migrated {
  /** How the database stood before. */
  readonly before: SchemaState;
  /** The migrations that were applied now. */
  readonly applied: readonly string[];
}

/**
 * Brings the database to this program's schema and puts the rows there without which nothing works: the installation's id, the
 * ledger, the project `default`. Any number of processes may call it at once: one works, the others wait.
 * @returns what it found; `newer` means that nothing was done
 */
export async function migrate(url: string): Promise<Migrated> {
  // A migration takes as long as it takes: no time-out of statements here. One connection holds the lock, the other works.
  const db = openDatabase({ url, size: 2, applicationName: "muster migrate", statementTimeoutMs: 0 });
  try {
    return await db.connection().execute(async (holder) => {
      await sql`/* migration.patience */ select set_config('lock_timeout', ${String(lockWaitMs)}, false)`.execute(holder);
      await sql`/* migration.lock */ select pg_advisory_lock(${singletonSpace}::integer, ${migrateLock}::integer)`.execute(holder);
      // The lock ends with the connection, which is closed below in every case.
      return await migrateAlone(db);
    });
  } finally {
    await db.destroy();
  }
}

async function migrateAlone(db: Database): Promise<Migrated> {
  const before = await schemaState(db);
  if (before === "newer") return { before, applied: [] };
  if (before === "unmigrated") await createSchema(db);
  const migrator = new Migrator({
    db,
    provider,
    migrationTableSchema: "muster",
    migrationTableName: "migration",
    migrationLockTableName: "migration_lock",
  });
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
  await insertFirstRows(db);
  return { before, applied: (results ?? []).map((result) => result.migrationName) };
}

/** Not `create … if not exists` alone: that asks for the right to create schemas even where an administrator made ours before. */
async function createSchema(db: Database): Promise<void> {
  const { rows } = await sql<{ there: boolean }>`
    /* migration.schema.present */ select to_regnamespace('muster') is not null as there`.execute(db);
  if (rows[0]?.there !== true) await sql`/* migration.schema.create */ create schema muster`.execute(db);
}

async function insertFirstRows(db: Database): Promise<void> {
  await ensureLedger(db);
  await ensurePartitions(db);
  await sql`
    /* installation.create */
    insert into muster.installation (id) values (gen_random_uuid()) on conflict do nothing`.execute(db);
  // A UUIDv7 by PostgreSQL's own clock: the time's 48 bits over a random UUID of version 4, whose version becomes 7.
  await sql`
    /* project.create.first */
    with clock as (select date_trunc('milliseconds', clock_timestamp()) as now)
    insert into muster.project (id, name, created_at, updated_at)
    select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
             placing substring(int8send((extract(epoch from now) * 1000)::bigint) from 3) from 1 for 6), 52, 1), 53, 1), 'hex')::uuid,
           'default', now, now
      from clock
     where not exists (select from muster.project)
    on conflict do nothing`.execute(db);
}
