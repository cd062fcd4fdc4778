/** Hosts that nobody hears, and the members that stand on them. */
import { sql } from "kysely";
import type { HostId, NodeId } from "../core/ids.ts";
import { hostLanes, lanesPerHost, sharedLanes } from "../core/lane.ts";
import { nodeSources, nodeStatusCodec } from "../core/node.ts";
import type { Database } from "./database.ts";

export interface SilentHost {
  readonly id: HostId;
  readonly number: number;
  readonly name: string;
  readonly silentMs: number;
}

/** Whether a node would become UNKNOWN with its host. */
const reached = sql`n.status = any(${nodeSources("lost").map((status) => nodeStatusCodec.code(status))}::smallint[]) and n.started_at is not null`;

/**
 * Hosts without a worker, silent for longer than `afterMs`, of which some member is not known to be lost yet. Machines that went for good stay
 * in the table: they must not crowd out the one that has just gone.
 */
export async function listSilentHosts(db: Database, afterMs: number): Promise<SilentHost[]> {
  const { rows } = await sql<{ id: HostId; number: number; name: string; silent_ms: string }>`
    /* host.silent */
    select h.id, h.number, h.name, extract(epoch from clock_timestamp() - h.seen_at) * 1000 as silent_ms
      from muster.host h
     -- With its limit it is asked of each silent host by itself; without, all nodes there are may be read.
     cross join lateral (
       select 1 from muster.node n
        where n.host_id is not null and n.lane >= ${sharedLanes}::int + h.number * ${lanesPerHost}::int
          and n.lane < ${sharedLanes}::int + (h.number + 1) * ${lanesPerHost}::int and n.host_id = h.id and ${reached} limit 1) m
     where h.seen_at < clock_timestamp() - make_interval(secs => ${afterMs}::float8 / 1000)
       and not exists (select 1 from muster.worker w where w.host_id = h.id)
     order by h.seen_at limit 100`.execute(db);
  return rows.map((row) => ({ id: row.id, number: row.number, name: row.name, silentMs: Number(row.silent_ms) }));
}

/**
 * How long until a host that is heard now, or has a worker that is not judged yet, may have been silent for `afterMs`, ms; null: there is none.
 * Whoever asks before `listSilentHosts`, and finds nothing there, need not look again before then.
 */
export async function nextSilenceMs(db: Database, afterMs: number): Promise<number | null> {
  const { rows } = await sql<{ ms: string | null }>`
    /* host.heard */
    select min(h.ms) as ms
      from (select id, ${afterMs}::float8 - extract(epoch from clock_timestamp() - seen_at) * 1000 as ms from muster.host) h
     where h.ms > 0 or exists (select from muster.worker w where w.host_id = h.id)`.execute(db);
  const ms = rows[0]?.ms ?? null;
  return ms === null ? null : Math.max(0, Number(ms));
}

/** Members of a host that would become UNKNOWN with it, at most `limit`. */
export async function listReachedMembers(db: Database, host: Pick<SilentHost, "id" | "number">, limit: number): Promise<NodeId[]> {
  const { rows } = await sql<{ id: NodeId }>`
    /* host.members */
    select n.id from muster.node n
     where n.host_id is not null and n.lane = any(${hostLanes(host.number)}::int[]) and n.host_id = ${host.id} and ${reached}
     limit ${limit}`.execute(db);
  return rows.map((row) => row.id);
}

/**
 * Locks the lanes of a host while nobody owns them, so that no worker can claim them before this transaction ends.
 * False: somebody owns one, the host is back.
 */
export async function holdOrphanLanes(db: Database, host: Pick<SilentHost, "number">): Promise<boolean> {
  const { rows } = await sql<{ owned: boolean }>`
    /* host.lanes */
    select owner is not null as owned from muster.lane where id = any(${hostLanes(host.number)}::int[]) order by id for share`.execute(db);
  return rows.every((row) => !row.owned);
}
