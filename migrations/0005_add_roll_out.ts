/**
 * Roll-outs: which members are of another profile than their cluster is found by an index, and how many were brought over is counted. Frozen once
 * released; imports nothing from src/.
 */
import { type Kysely, sql } from "kysely";

const statements = [
  // The live action about the profile; the profile that cancelling it brings back; when it last changed (null: never, so nobody is behind).
  `alter table muster.cluster add column profile_action_id uuid, add column former_profile_id uuid,
     add column profile_changed_at timestamptz`,
  `create index cluster_former_profile on muster.cluster (former_profile_id) where former_profile_id is not null`,
  // replacing: UPDATING by being closed and made anew, so it does not count as active. own_profile: made with a profile of its own, which it keeps.
  `alter table muster.node add column replacing boolean not null default false, add column own_profile boolean not null default false`,
  `update muster.node n set own_profile = true from muster.cluster c where c.id = n.cluster_id and n.profile_id <> c.profile_id`,
  // All members of a cluster are equal in it but during a roll-out, so it stays small.
  `create index node_outdated on muster.node (cluster_id, profile_id) where not replacing and not own_profile`,
  `create index node_own_profile on muster.node (cluster_id) where own_profile`,
  `alter table muster.cluster_count
     add column replacing integer not null default 0,
     add column updated_total bigint not null default 0,
     add column update_failed_total bigint not null default 0`,
];

export async function up(db: Kysely<never>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
