/** Once per run: a PostgreSQL of its own, and in it a template database, migrated once, that each test file clones. */
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import type { TestProject } from "vitest/node";
import { migrate } from "../../src/store/migrate.ts";
import { startPostgres } from "./postgres.ts";
import { postgresPrograms, reachableTmp } from "./postgres-programs.ts";
import { templateName } from "./template.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Connection strings, with DATABASE in the place of the database's name. */
    postgres: { readonly superuserUrl: string; readonly userUrl: string; readonly folder: string; readonly programs: string };
  }
}

/** How many failed runs' databases are kept. */
const keptRuns = 3;

/** Removes what failed runs of long ago have left. */
function forgetOldRuns(): void {
  const kept = readdirSync(reachableTmp())
    .filter((name) => name.startsWith("muster-test-"))
    .map((name) => join(reachableTmp(), name, "failed"))
    .filter((file) => existsSync(file) && statSync(file).uid === process.getuid?.() && !existsSync(join(file, "../data/postmaster.pid")))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const file of kept.slice(keptRuns)) rmSync(join(file, ".."), { recursive: true, force: true });
}

export default function setup(project: TestProject): Promise<() => Promise<void>> {
  return provideServer(project, postgresPrograms());
}

/** @returns what ends it */
export async function provideServer(project: TestProject, programs: string): Promise<() => Promise<void>> {
  forgetOldRuns();
  const server = await startPostgres({}, programs);
  const admin = new pg.Client({ connectionString: server.url("postgres") });
  await admin.connect();
  // Muster itself needs no superuser, so its tests use none.
  await admin.query(`create role muster login password 'muster'`);
  await admin.query(`create database ${templateName} owner muster`);
  const userUrl = `postgres://muster:muster@127.0.0.1:${server.port}/DATABASE`;
  await migrate(userUrl.replace("DATABASE", templateName));
  await admin.query(`alter database ${templateName} is_template true`);
  await admin.end();
  project.provide("postgres", { superuserUrl: server.url("DATABASE"), userUrl, folder: server.folder, programs });
  return async () => {
    const keep = existsSync(join(server.folder, "failed"));
    await server.stop({ keep });
    if (keep)
      console.log(`\nThe databases of failed tests are kept: npx tsx ${fileURLToPath(new URL("./reopen.ts", import.meta.url))} ${server.folder}`);
  };
}
