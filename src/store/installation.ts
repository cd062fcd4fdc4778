/** The installation's one row: its id, and by which key its secrets are sealed. */
import { sql } from "kysely";
import type { Json, JsonObject } from "../core/json.ts";
import { isJsonObject } from "../core/secret.ts";
import type { Database } from "./database.ts";

export interface Installation {
  /** The first part of every effect's key. */
  readonly id: string;
  /**
   * A value sealed with the key that seals now: whoever seals follows it. As long as values may be left under former keys, `former` holds the values
   * that were here before. Null: nothing was ever sealed.
   */
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

/** The former keys' check values: empty where nothing can be sealed with one of them any more. */
export function formerChecks(check: JsonObject): readonly JsonObject[] {
  const former = check["former"];
  return Array.isArray(former) ? (former as readonly Json[]).filter(isJsonObject) : [];
}

/** The check, unchanged until the transaction ends: what it names is the key to seal with. Many may hold it at once. */
export async function holdSecretCheck(db: Database): Promise<JsonObject | null> {
  const { rows } = await sql<{ check: JsonObject | null }>`
    /* installation.hold_key */ select secret_check as check from muster.installation for share`.execute(db);
  return rows[0]?.check ?? null;
}

/** The check, to be replaced: waits until everybody who seals with the present key has committed, and lets nobody seal meanwhile. */
export async function lockSecretCheck(db: Database): Promise<JsonObject | null> {
  const { rows } = await sql<{ check: JsonObject | null }>`
    /* installation.lock_key */ select secret_check as check from muster.installation for no key update`.execute(db);
  return rows[0]?.check ?? null;
}

export async function replaceSecretCheck(db: Database, check: JsonObject): Promise<void> {
  await sql`/* installation.replace_key */ update muster.installation set secret_check = ${JSON.stringify(check)}::jsonb`.execute(db);
}

/** Notes that nothing is sealed with former keys any more, unless another key has taken this one's place meanwhile. */
export async function forgetFormerChecks(db: Database, check: JsonObject): Promise<boolean> {
  const { numAffectedRows } = await sql`
    /* installation.forget_keys */
    update muster.installation set secret_check = secret_check - 'former'
     where secret_check ->> '$sealed' = ${String(check["$sealed"])}`.execute(db);
  return (numAffectedRows ?? 0n) > 0n;
}
