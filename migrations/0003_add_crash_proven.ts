/** Whether a member had run well before its row of deaths began. Frozen once released; imports nothing from src/. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table muster.node_crash add column proven boolean not null default false`.execute(db);
}
