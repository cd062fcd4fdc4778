/**
 * Where on its host a worker stands, so that no second place can pass for the same host; and the deadlines of actions on single
 * nodes, which no planner watches. Frozen once released; imports nothing from src/.
 */
import { type Kysely, sql } from "kysely";

const statements = [
  // Incarnation of the host and identity of its data folder; null: written by a worker that did not say.
  `alter table muster.worker add column home text`,
  `create index action_deadline on muster.action (timeout_at) where finished_at is null and node_id is not null`,
];

export async function up(db: Kysely<never>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
