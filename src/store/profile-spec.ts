/** Profiles as the engine reads them. */
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
