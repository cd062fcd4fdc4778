/** Profiles with their specs as they are stored: for the engine, and for sealing them anew. */
import { sql } from "kysely";
import type { ProfileId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Database } from "./database.ts";

/** Types and sealed specs of profiles. */
export async function readProfileSpecs(
  db: Database,
  ids: readonly ProfileId[],
): Promise<{ readonly id: ProfileId; readonly type: string; readonly spec: JsonObject }[]> {
  const { rows } = await sql<{ id: ProfileId; type: string; spec: JsonObject }>`
    /* profile.specs */
    select id, type, spec from muster.profile where id = any(${ids}::uuid[])`.execute(db);
  return rows;
}

/** The next specs in the order of ids, locked against each other change; profiles can be used and read meanwhile. */
export async function lockSpecsAfter(
  db: Database,
  after: ProfileId | null,
  limit: number,
): Promise<{ readonly id: ProfileId; readonly spec: JsonObject }[]> {
  const { rows } = await sql<{ id: ProfileId; spec: JsonObject }>`
    /* profile.specs_after */
    select id, spec from muster.profile where id > ${after ?? "00000000-0000-0000-0000-000000000000"}::uuid
     order by id limit ${limit} for no key update`.execute(db);
  return rows;
}

/** Writes specs that say the same, sealed with another key. */
export async function replaceSpecs(db: Database, specs: readonly { readonly id: ProfileId; readonly spec: JsonObject }[]): Promise<void> {
  const ids = specs.map(({ id }) => id);
  await sql`
    /* profile.reseal */
    update muster.profile p set spec = n.spec::jsonb
      from unnest(${ids}::uuid[], ${specs.map(({ spec }) => JSON.stringify(spec))}::text[]) as n(id, spec)
     where p.id = n.id and p.id = any(${ids}::uuid[])`.execute(db);
}
