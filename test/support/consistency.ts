/** What must hold between the tables whenever no transaction is under way, whatever happened before. */
import { sql } from "kysely";
import { healthStatusCodes, healthStatuses } from "../../src/core/health.ts";
import { nodeStatusCodes, nodeStatuses } from "../../src/core/node.ts";
import { statusField } from "../../src/store/count.ts";
import type { Database } from "../../src/store/database.ts";
import { isNotable } from "../../src/store/notable.ts";

/** Everything that does not fit together; empty: all does. */
export async function inconsistencies(db: Database): Promise<string[]> {
  return (await Promise.all([counts(db), notable(db), tasks(db), remains(db), ledger(db)])).flat();
}

/** The kept counts, summed over writers, are what a count of the nodes gives. */
async function counts(db: Database): Promise<string[]> {
  const statuses = sql.join(
    nodeStatuses.map((status) => sql`count(*) filter (where status = ${sql.lit(nodeStatusCodes[status])}) as ${sql.ref(statusField[status])}`),
  );
  const sums = sql.join(nodeStatuses.map((status) => sql`coalesce(sum(${sql.ref(statusField[status])}), 0) as ${sql.ref(statusField[status])}`));
  const { rows } = await sql<{ cluster_id: string; kept: unknown; counted: unknown }>`
    /* consistency.counts */
    with counted as (select cluster_id, to_jsonb(n) - 'cluster_id' as counts from (
           select cluster_id, ${statuses},
                  count(*) filter (where health = ${healthStatusCodes.HEALTHY}::smallint and status <> ${nodeStatusCodes.DELETING}::smallint) as healthy,
                  count(*) filter (where health = ${healthStatusCodes.UNHEALTHY}::smallint and status <> ${nodeStatusCodes.DELETING}::smallint) as unhealthy,
                  count(*) filter (where replacing) as replacing
             from muster.node where cluster_id is not null group by cluster_id) n),
         kept as (select cluster_id, to_jsonb(k) - 'cluster_id' as counts from (
           select cluster_id, ${sums}, coalesce(sum(healthy), 0) as healthy, coalesce(sum(unhealthy), 0) as unhealthy,
                  coalesce(sum(replacing), 0) as replacing
             from muster.cluster_count group by cluster_id) k)
    select coalesce(k.cluster_id, c.cluster_id) as cluster_id, k.counts as kept, c.counts as counted
      from kept k full join counted c on c.cluster_id = k.cluster_id
     where k.counts is distinct from c.counts
       -- A cluster without members has no counted row, and may have kept ones, all zero.
       and not (c.counts is null and not exists (select from jsonb_each_text(k.counts) where value <> '0'))`.execute(db);
  return rows.map((row) => `cluster ${row.cluster_id}: counts kept ${JSON.stringify(row.kept)}, counted ${JSON.stringify(row.counted)}`);
}

/** What projects use of their quotas is what a count gives. Rows that a test has put straight into the tables are not in it. */
export async function useDifferences(db: Database): Promise<string[]> {
  const { rows } = await sql<{ id: string; kept: unknown; counted: unknown }>`
    /* consistency.use */
    with counted as (
           select project_id, 'clusters' as field, count(*) as n from muster.cluster group by project_id
           union all select project_id, 'wanted', sum(desired_capacity) from muster.cluster where not deleting group by project_id
           union all select project_id, 'lone', count(*) from muster.node where cluster_id is null group by project_id),
         kept as (
           select project_id, field, sum(n) as n from muster.project_use
            cross join lateral (values ('clusters', clusters), ('wanted', wanted), ('lone', lone)) as each(field, n) group by project_id, field)
    select coalesce(k.project_id, c.project_id) || ' ' || coalesce(k.field, c.field) as id, k.n as kept, c.n as counted
      from kept k full join counted c on c.project_id = k.project_id and c.field = k.field
     where coalesce(k.n, 0) <> coalesce(c.n, 0)`.execute(db);
  return rows.map((row) => `project ${row.id}: kept ${row.kept}, counted ${row.counted}`);
}

/** The notable table names exactly the members that are not plainly ACTIVE and HEALTHY, as they are. */
async function notable(db: Database): Promise<string[]> {
  const pairs = nodeStatuses.flatMap((status) =>
    healthStatuses.filter((health) => isNotable(status, health)).map((health) => [nodeStatusCodes[status], healthStatusCodes[health]] as const),
  );
  const { rows } = await sql<{ id: string; status: number | null; health: number | null }>`
    /* consistency.notable */
    select coalesce(n.id, o.node_id) as id, n.status, n.health
      from (select id, status, health from muster.node
             where (status, health) in (select * from unnest(${pairs.map(([status]) => status)}::smallint[], ${pairs.map(([, health]) => health)}::smallint[]))) n
      full join muster.notable o on o.node_id = n.id and o.status = n.status and o.health = n.health
     where n.id is null or o.node_id is null`.execute(db);
  return rows.map((row) => `node ${row.id}: notable and node disagree (node: status ${row.status}, health ${row.health})`);
}

/** Who waits for a step has a task, and every task has its node, in the node's lane. */
async function tasks(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    /* consistency.tasks */
    select 'task of ' || t.node_id || ' (kind ' || t.kind || ') has no node' as what
      from muster.task t left join muster.node n on n.id = t.node_id where n.id is null
    union all
    select 'task of ' || t.node_id || ' is in lane ' || t.lane || ', its node in ' || n.lane
      from muster.task t join muster.node n on n.id = t.node_id where n.lane <> t.lane
    union all
    select 'node ' || n.id || ' has status ' || n.status || ' and no task: nobody will ever look at it'
      from muster.node n left join muster.task t on t.node_id = n.id
     where t.node_id is null and n.status = any(${[nodeStatusCodes.PLANNED, nodeStatusCodes.CREATING, nodeStatusCodes.DELETING, nodeStatusCodes.RECOVERING, nodeStatusCodes.UPDATING, nodeStatusCodes.UNKNOWN]}::smallint[])`.execute(
    db,
  );
  return rows.map((row) => row.what);
}

/** Nothing is left of what is gone. */
async function remains(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    /* consistency.remains */
    select 'probe of ' || p.node_id || ' has no node' as what from muster.probe p left join muster.node n on n.id = p.node_id where n.id is null
    union all
    select 'health of ' || h.node_id || ' has no node' from muster.node_health h left join muster.node n on n.id = h.node_id where n.id is null
    union all
    select 'crashes of ' || c.node_id || ' have no node' from muster.node_crash c left join muster.node n on n.id = c.node_id where n.id is null
    union all
    select 'counts of cluster ' || k.cluster_id || ' outlived it'
      from muster.cluster_count k left join muster.cluster c on c.id = k.cluster_id where c.id is null
    union all
    select 'state of cluster ' || s.cluster_id || ' outlived it'
      from muster.cluster_state s left join muster.cluster c on c.id = s.cluster_id where c.id is null
    union all
    select 'cluster ' || c.id || ' has no state' from muster.cluster c left join muster.cluster_state s on s.cluster_id = c.id where s.cluster_id is null
    union all
    select 'cluster ' || c.id || ' is never planned' from muster.cluster c left join muster.cluster_due d on d.cluster_id = c.id where d.cluster_id is null
    union all
    select 'node ' || n.id || ' belongs to cluster ' || n.cluster_id || ', which is gone'
      from muster.node n left join muster.cluster c on c.id = n.cluster_id where n.cluster_id is not null and c.id is null
    union all
    select 'action ' || a.id || ' is unfinished, its cluster gone'
      from muster.action a left join muster.cluster c on c.id = a.cluster_id where a.finished_at is null and a.cluster_id is not null and c.id is null`.execute(
    db,
  );
  return rows.map((row) => row.what);
}

/** Each batch of events has one marker or one position, with as many events as it says. */
async function ledger(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    /* consistency.ledger */
    with placed as (select batch, events from muster.position union all select batch, events from muster.marker),
         written as (select batch, count(*) as events, max(ordinal) as last from muster.event group by batch)
    select 'batch ' || coalesce(p.batch, w.batch) || ': the ledger says ' || coalesce(p.events::text, 'nothing') || ', there are '
           || coalesce(w.events::text, 'none') as what
      from placed p full join written w on w.batch = p.batch
     where p.events is distinct from w.events or w.last <> w.events
    union all
    select 'batch ' || batch || ' has ' || count(*) || ' places' from placed group by batch having count(*) > 1`.execute(db);
  return rows.map((row) => row.what);
}
