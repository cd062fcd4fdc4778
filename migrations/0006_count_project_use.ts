/** What projects use of their quotas is kept instead of counted. Frozen once released; imports nothing from src/. */
import { type Kysely, sql } from "kysely";

const statements = [
  // No foreign key to project: an insert would wait for whoever changes that row.
  `create table muster.project_use (
     project_id uuid not null,
     -- Any of a few, so that changes of one project rarely wait for each other. What counts is the sum.
     slot smallint not null,
     clusters bigint not null default 0,
     -- The capacities of clusters that are not being deleted.
     wanted bigint not null default 0,
     -- Nodes without a cluster.
     lone bigint not null default 0,
     primary key (project_id, slot)
   ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)`,
  // Whoever still makes clusters without counting them would be forgotten in the sums.
  `lock table muster.cluster, muster.node in share mode`,
  `insert into muster.project_use (project_id, slot, clusters, wanted, lone)
   select p.id, 0, (select count(*) from muster.cluster where project_id = p.id),
          (select coalesce(sum(desired_capacity), 0) from muster.cluster where project_id = p.id and not deleting),
          (select count(*) from muster.node where project_id = p.id and cluster_id is null)
     from muster.project p`,
  `update muster.installation set schema_floor = 6`,
];

export async function up(db: Kysely<never>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
