/** A large installation, put straight into the tables: what would take minutes to make by the engine. The ledger knows nothing of it. */
import { sql } from "kysely";
import { clusterStatusCodes } from "../../src/core/cluster.ts";
import { eventTypes } from "../../src/core/event.ts";
import { healthStatusCodes } from "../../src/core/health.ts";
import { brandId, type ClusterId } from "../../src/core/ids.ts";
import { laneOf } from "../../src/core/lane.ts";
import { nodeStatusCodes, taskKindCodes } from "../../src/core/node.ts";
import { simCluster } from "./cluster.ts";
import type { World } from "./world.ts";

export interface Crowd {
  readonly clusterId: ClusterId;
  /** As the API says it. */
  readonly id: string;
}

/**
 * One cluster with so many members, all ACTIVE and HEALTHY but up to ten, which are in ERROR and wait for a person; every other one has a task that is due
 * some day, all a probe, a health and a crash. Beside it many small clusters, profiles, projects, tokens, actions, idempotency keys, and a history.
 */
export async function fillCrowd(world: World, members: number): Promise<Crowd> {
  const { db } = world.database;
  const { clusterId, id } = await simCluster(world, { name: "crowd", desiredCapacity: members, spec: {} });
  await sql`update muster.cluster_state set status = ${clusterStatusCodes.ACTIVE}::smallint, observed_generation = 1, next_index = 1000000`.execute(
    db,
  );
  await sql`update muster.action set status = 4, started_at = created_at, finished_at = created_at, done = total`.execute(db);
  const batch = 10_000;
  for (let from = 0; from < members; from += batch) {
    const ids = Array.from({ length: Math.min(batch, members - from) }, () => brandId("node", world.store.runtime.entropy.uuid()));
    await sql`
      insert into muster.node (id, project_id, cluster_id, profile_id, lane, index, name, status, health, physical_id, created_at, updated_at, started_at)
      select n.id, c.project_id, c.id, c.profile_id, n.lane, ${from}::integer + n.i, 'crowd-' || (${from}::integer + n.i),
             case when n.i % 1000 = 0 and ${from}::integer < 10000 then ${nodeStatusCodes.ERROR}::smallint else ${nodeStatusCodes.ACTIVE}::smallint end, ${healthStatusCodes.HEALTHY}::smallint,
             'sim-' || n.id || '-1', clock_timestamp(), clock_timestamp(), clock_timestamp()
        from muster.cluster c, unnest(${ids}::uuid[], ${ids.map((node) => laneOf(node))}::int[]) with ordinality as n(id, lane, i)
       where c.id = ${clusterId}`.execute(db);
  }
  await sql`
    insert into muster.cluster_count (cluster_id, writer, active, error, healthy, created_total)
    select ${clusterId}, 30000, count(*) filter (where status = ${nodeStatusCodes.ACTIVE}), count(*) filter (where status = ${nodeStatusCodes.ERROR}), count(*), count(*)
      from muster.node where cluster_id = ${clusterId}`.execute(db);
  await fillBeside(world, clusterId);
  await fillNeighbours(world);
  await fillAsleep(world);
  await fillHistory(world);
  return { clusterId, id };
}

/** Fifty clusters of a hundred members that sleep: what is unusual is not only ours. */
async function fillAsleep(world: World): Promise<void> {
  const { db } = world.database;
  await sql`
    with asleep as (select id, project_id, profile_id from muster.cluster where name like 'profile-%' limit 50),
         nodes as (
           insert into muster.node (id, project_id, cluster_id, profile_id, lane, index, name, status, health, physical_id, created_at, updated_at, started_at)
           select gen_random_uuid(), project_id, id, profile_id, (random() * 255)::integer, g, 'asleep-' || g, ${nodeStatusCodes.SUSPENDED}::smallint,
                  ${healthStatusCodes.UNKNOWN}::smallint, 'sim', now(), now(), now() from asleep, generate_series(1, 100) g)
    insert into muster.cluster_count (cluster_id, writer, suspended, created_total) select id, 30000, 100, 100 from asleep`.execute(db);
  await sql`
    insert into muster.notable (node_id, project_id, cluster_id, status, health, since)
    select id, project_id, cluster_id, status, health, clock_timestamp() from muster.node where status <> ${nodeStatusCodes.ACTIVE}`.execute(db);
}

/** What hangs on a member. */
async function fillBeside(world: World, clusterId: ClusterId): Promise<void> {
  const { db } = world.database;
  await sql`
    insert into muster.task (node_id, project_id, cluster_id, lane, kind, due_at)
    select id, project_id, cluster_id, lane, ${taskKindCodes.CHECK}::smallint, now() + interval '10 days' from muster.node
     where cluster_id = ${clusterId} and index % 2 = 0 and status = ${nodeStatusCodes.ACTIVE}`.execute(db);
  await sql`
    insert into muster.probe (node_id, lane, interval_ms, phase_ms)
    select id, lane, 2000000000, (random() * 100000000)::integer from muster.node where cluster_id = ${clusterId}`.execute(db);
  await sql`
    insert into muster.node_health (node_id, reason, since, signals) select id, 'WORKING', now(), '{}' from muster.node where cluster_id = ${clusterId}`.execute(
    db,
  );
  await sql`insert into muster.node_crash (node_id, crashes, last_at) select id, 1, now() from muster.node where cluster_id = ${clusterId}`.execute(
    db,
  );
}

/** Twenty thousand transactions of others; the sequencer gives them their positions. */
async function fillHistory(world: World): Promise<void> {
  const { db } = world.database;
  await sql`
    with batches as materialized (select nextval('muster.batch') as batch, c.id as cluster_id, c.project_id, c.name
                                    from muster.cluster c, generate_series(1, 4) g where c.name like 'profile-%'),
         marked as (insert into muster.marker (batch, events) select batch, 5 from batches)
    insert into muster.event (batch, ordinal, version, type, level, occurred_at, project_id, cluster_id, cluster_name, data)
    select batch, g, 1, ${eventTypes["cluster.settled"].code}::smallint, 20, now(), project_id, cluster_id, name, '{"generation": 1}'
      from batches, generate_series(1, 5) g`.execute(db);
  world.store.wake.ledger();
  await world.until("a history with positions", async () => {
    const { rows } = await sql<{ left: bigint }>`select count(*) as left from muster.marker`.execute(db);
    return rows[0]?.left === 0n;
  });
}

/** Other people's things: enough of them that reading them all would show. */
async function fillNeighbours(world: World): Promise<void> {
  const { db } = world.database;
  const uuid = sql`gen_random_uuid()`;
  await sql`insert into muster.project (id, name, created_at, updated_at) select ${uuid}, 'project-' || g, now(), now() from generate_series(1, 2000) g`.execute(
    db,
  );
  await sql`
    insert into muster.profile (id, project_id, name, revision, type, spec, created_at, updated_at)
    select ${uuid}, p.id, 'profile-' || g, 1, 'sim', '{}', now(), now() from (select id from muster.project where name like 'project-%' limit 500) p, generate_series(1, 10) g`.execute(
    db,
  );
  await sql`
    insert into muster.cluster (id, project_id, name, profile_id, desired_capacity, min_size, generation, node_name_format, timeout_seconds, created_at, updated_at)
    select ${uuid}, project_id, name || '-cluster', id, 0, 0, 1, '{cluster}-{index}', 3600, now(), now() from muster.profile where name like 'profile-%'`.execute(
    db,
  );
  await sql`
    insert into muster.cluster_state (cluster_id, project_id, status, observed_generation, updated_at)
    select id, project_id, ${clusterStatusCodes.ACTIVE}::smallint, 1, now() from muster.cluster where name like 'profile-%'`.execute(db);
  await sql`
    insert into muster.cluster_due (cluster_id, project_id, lane, due_at)
    select id, project_id, (random() * 255)::integer, 'infinity' from muster.cluster where name like 'profile-%'`.execute(db);
  await sql`
    insert into muster.cluster_count (cluster_id, writer) select id, g from muster.cluster, generate_series(20000, 20005) g where name like 'profile-%'`.execute(
    db,
  );
  await sql`
    insert into muster.token (id, project_id, name, role, hash, created_at)
    select ${uuid}, p.id, 'token-' || g, 1, sha256(${uuid}::text::bytea), now() from (select id from muster.project where name like 'project-%' limit 1000) p, generate_series(1, 5) g`.execute(
    db,
  );
  await sql`
    insert into muster.action (id, project_id, kind, status, cause, cluster_id, inputs, created_at, finished_at)
    select ${uuid}, c.project_id, 3, 4, 1, c.id, '{}', now(), now() from muster.cluster c, generate_series(1, 10) g where c.name like 'profile-%'`.execute(
    db,
  );
  await sql`
    insert into muster.idempotency_key (project_id, key, mutation, input_hmac, payload, created_at)
    select c.project_id, 'key-' || g, 'resizeCluster', '\\x00', '{}', now() from muster.cluster c, generate_series(1, 4) g where c.name = 'profile-1-cluster'`.execute(
    db,
  );
}
