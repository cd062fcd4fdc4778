/** A worker's heartbeat: says that it lives, and answers what it has to know of the others and of the lanes, all in one statement of its own session. */
import type { HostId, WorkerId } from "../core/ids.ts";
import type { Session } from "./session.ts";

/** Where a worker stands with the others. */
export interface Peer {
  readonly id: WorkerId;
  readonly number: number;
  readonly hostId: HostId;
  /** By the database's clock. */
  readonly silentMs: number;
  readonly draining: boolean;
  readonly applicationName: string;
}

/** Lanes and their epochs, so that who knows them can see whether they are still the same. */
export interface LaneSums {
  readonly lanes: number;
  readonly epochs: bigint;
  /** Each epoch times its lane's id and one. */
  readonly weighted: bigint;
}

/** How the lanes are spread: over this worker, its host, and all. */
export interface LaneShares {
  readonly shared: number;
  readonly host: number;
  readonly mineShared: number;
  readonly mineHost: number;
  readonly mine: LaneSums;
  /** Lanes that nobody owns and this worker might. */
  readonly free: number;
}

export interface Heartbeat {
  /** All workers, the one that asks included. */
  readonly peers: readonly Peer[];
  readonly lanes: LaneShares;
}

interface Row {
  readonly id: WorkerId;
  readonly number: number;
  readonly host_id: HostId;
  readonly silent_ms: string;
  readonly draining: boolean;
  readonly application_name: string;
  /** Whoever asked is still known. */
  readonly known: boolean;
  readonly shared: bigint;
  readonly host: bigint;
  readonly mine_shared: bigint;
  readonly mine_host: bigint;
  readonly mine: bigint;
  readonly epochs: string;
  readonly weighted: string;
  readonly free: bigint;
}

/**
 * Says that a worker and its host are there.
 * @returns null: the worker was judged dead, nobody knows it any more
 * @throws ConnectionLost
 */
export async function beat(session: Session, worker: WorkerId, host: HostId): Promise<Heartbeat | null> {
  const rows = await session.query<Row>(
    `
    /* worker.beat */
    with host as (update muster.host set seen_at = clock_timestamp() where id = $2::uuid),
         own as (update muster.worker set heartbeat_at = clock_timestamp() where id = $1::uuid returning id)
    select w.id, w.number, w.host_id, extract(epoch from clock_timestamp() - w.heartbeat_at) * 1000 as silent_ms, w.draining, w.application_name,
           exists (select from own) as known, l.*
      from muster.worker w
     cross join (
       select count(*) filter (where host_id is null) as shared, count(*) filter (where host_id = $2::uuid) as host,
              count(*) filter (where host_id is null and owner = $1::uuid) as mine_shared,
              count(*) filter (where host_id = $2::uuid and owner = $1::uuid) as mine_host, count(*) filter (where owner = $1::uuid) as mine,
              coalesce(sum(epoch) filter (where owner = $1::uuid), 0)::text as epochs,
              coalesce(sum(epoch * (id::bigint + 1)) filter (where owner = $1::uuid), 0)::text as weighted,
              count(*) filter (where owner is null and (host_id is null or host_id = $2::uuid)) as free
         from muster.lane) l
     order by w.number`,
    [worker, host],
  );
  const [first] = rows;
  return first?.known === true ? { peers: rows.map(toPeer), lanes: toShares(first) } : null;
}

function toPeer(row: Row): Peer {
  return {
    id: row.id,
    number: row.number,
    hostId: row.host_id,
    silentMs: Number(row.silent_ms),
    draining: row.draining,
    applicationName: row.application_name,
  };
}

function toShares(row: Row): LaneShares {
  return {
    shared: Number(row.shared),
    host: Number(row.host),
    mineShared: Number(row.mine_shared),
    mineHost: Number(row.mine_host),
    mine: { lanes: Number(row.mine), epochs: BigInt(row.epochs), weighted: BigInt(row.weighted) },
    free: Number(row.free),
  };
}
