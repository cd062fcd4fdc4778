/** The installation's one row: its id, and by which key its secrets are sealed. */
import { sql } from "kysely";
import type { JsonObject } from "../core/json.ts";
import type { Database } from "./database.ts";

export interface Installation {
  /** The first part of every effect's key. */
  readonly id: string;
  /** A value sealed with the installation's secret key; null: nothing was ever sealed. */
  readonly secretCheck: JsonObject | null;
}

/** @throws Error where the database was not migrated */
export async function readInstallation(db: Database): Promise<Installation> {
  const { rows } = await sql<{ id: string; secret_check: JsonObject | null }>`
    /* installation.read */ select id, secret_check from muster.installation`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error("the installation has no row");
  return { id: row.id, secretCheck: row.secret_check };
}

/** Writes the check where there is none yet. Returns the one that stands. */
export async function claimSecretCheck(db: Database, check: JsonObject): Promise<JsonObject> {
  await sql`
    /* installation.claim_key */
    update muster.installation set secret_check = ${JSON.stringify(check)}::jsonb where secret_check is null`.execute(db);
  return (await readInstallation(db)).secretCheck ?? check;
}
