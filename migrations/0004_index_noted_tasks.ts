/** Tasks that carry a note (of a job, of a remedy's stage) are found by their cluster. Frozen once released; imports nothing from src/. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<never>): Promise<void> {
  await sql`create index task_noted on muster.task (cluster_id, kind) where params is not null`.execute(db);
}
