/** Which members are to be probed, and when: a probe's time is its phase in the interval by the database's clock; no row is written for it. */
import { sql } from "kysely";
import { type HealthStatus, healthStatusCodec } from "../core/health.ts";
import type { ClusterId, HostId, NodeId, ProfileId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import { nodeStatusCodec, nodeStatusCodes } from "../core/node.ts";
import type { Database } from "./database.ts";

export interface ProbedNode {
  readonly id: NodeId;
  readonly lane: number;
  readonly profileId: ProfileId;
  readonly name: string;
  readonly index: number | null;
  readonly clusterId: ClusterId | null;
  readonly clusterName: string | null;
  readonly hostId: HostId | null;
  readonly epoch: number;
  readonly physicalId: string | null;
  readonly health: HealthStatus;
  readonly addresses: Json;
  readonly startedAt: Date;
  readonly intervalMs: number;
  /** From the beginning of the span that was asked for to its first probe, ms. */
  readonly inMs: number;
}

interface Row {
  id: NodeId;
  lane: number;
  profile_id: ProfileId;
  name: string;
  index: number | null;
  cluster_id: ClusterId | null;
  cluster_name: string | null;
  host_id: HostId | null;
  epoch: number;
  physical_id: string | null;
  health: number;
  addresses: Json;
  started_at: Date;
  interval_ms: number;
  in_ms: number;
}

/** Members that run, as far as is known; not those that are dead for certain, being remedied, or going. */
const probed = [nodeStatusCodes.ACTIVE, nodeStatusCodes.WARNING, nodeStatusCodes.UPDATING, nodeStatusCodes.ERROR];

const columns = sql`n.id, p.lane, n.profile_id, n.name, n.index, n.cluster_id,
       (select c.name from muster.cluster c where c.id = n.cluster_id) as cluster_name, n.host_id, n.epoch, n.physical_id, n.health, n.addresses, n.started_at, p.interval_ms`;
const running = sql`n.started_at is not null and n.status = any(${probed}::smallint[])
       and not exists (select 1 from muster.notable o where o.node_id = n.id and o.status = ${nodeStatusCodec.code("ERROR")} and o.certain)`;

/** The distinct intervals there are, each found by one step down the index; the last row is null. */
const intervals = sql`
    with recursive intervals(ms) as (
      (select interval_ms from muster.probe order by interval_ms limit 1)
      union all
      select (select p.interval_ms from muster.probe p where p.interval_ms > i.ms order by p.interval_ms limit 1) from intervals i where i.ms is not null)`;

/**
 * Members of these lanes whose probe falls into [from, from + span). Each distinct interval is found by one step down the index, and
 * only the phases in the span are read: O(due), not O(members).
 * @param fromMs the database's clock, ms since 1970
 */
export async function listProbes(db: Database, lanes: readonly number[], fromMs: number, spanMs: number): Promise<ProbedNode[]> {
  const { rows } = await sql<Row>`
    /* probe.due */
    ${intervals},
    starts as (
      select ms, (${fromMs}::bigint % ms)::int as at from intervals where ms is not null),
    -- The span may go over the interval's end: then its rest lies at the beginning.
    spans as (
      select ms, at, at as lowest, at::bigint + ${spanMs}::int - 1 as highest from starts
      union all
      select ms, at, 0, least(at, at::bigint + ${spanMs}::int - ms) - 1 from starts)
    select ${columns}, ((p.phase_ms::bigint - s.at + s.ms) % s.ms)::int as in_ms
      from spans s
      cross join unnest(${lanes}::int[]) as l(lane)
      -- Limits that nothing reaches: without them PostgreSQL may read every probe, or every node, at once.
      cross join lateral (
        select * from muster.probe
         where lane = l.lane and interval_ms = s.ms and phase_ms between s.lowest and s.highest order by phase_ms limit 1000000) p
      cross join lateral (select * from muster.node where id = p.node_id limit 1) n
     where s.highest >= s.lowest and ${running}`.execute(db);
  return rows.map(toProbed);
}

/** Whether any member of these lanes is probed at all: one step down the index for each distinct interval and lane. */
export async function hasProbes(db: Database, lanes: readonly number[]): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    /* probe.any */
    ${intervals}
    select exists (
      select from intervals i cross join unnest(${lanes}::int[]) as l(lane)
       cross join lateral (select from muster.probe where interval_ms = i.ms and lane = l.lane order by phase_ms limit 1) p) as found`.execute(db);
  return rows[0]?.found === true;
}

/** Members that have just begun to run. */
export async function readProbes(db: Database, ids: readonly NodeId[]): Promise<ProbedNode[]> {
  if (ids.length === 0) return [];
  const { rows } = await sql<Row>`
    /* probe.read */
    select ${columns}, 0 as in_ms from muster.probe p join muster.node n on n.id = p.node_id
     where p.node_id = any(${ids}::uuid[]) and ${running}`.execute(db);
  return rows.map(toProbed);
}

function toProbed(row: Row): ProbedNode {
  return {
    id: row.id,
    lane: row.lane,
    profileId: row.profile_id,
    name: row.name,
    index: row.index,
    clusterId: row.cluster_id,
    clusterName: row.cluster_name,
    hostId: row.host_id,
    epoch: row.epoch,
    physicalId: row.physical_id,
    health: healthStatusCodec.name(row.health),
    addresses: row.addresses,
    startedAt: row.started_at,
    intervalMs: row.interval_ms,
    inMs: row.in_ms,
  };
}

/** The lanes of nodes: who may speak about them. */
export async function lanesOf(db: Database, ids: readonly NodeId[]): Promise<Map<NodeId, number>> {
  const { rows } = await sql<{ id: NodeId; lane: number }>`/* node.lanes */ select id, lane from muster.node where id = any(${ids}::uuid[])`.execute(
    db,
  );
  return new Map(rows.map((row) => [row.id, row.lane]));
}
