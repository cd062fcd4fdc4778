/** Workers and hosts: who is there, who is silent. All times are the database's. */
import { sql } from "kysely";
import type { HostId, WorkerId } from "../core/ids.ts";
import { mostWorkers } from "./count.ts";
import type { Database } from "./database.ts";
import { ensureHostLanes } from "./lane.ts";
import { type Store, transaction } from "./transaction.ts";

/** The space of workers' session locks (pg_advisory_lock's first key); the second is the worker's number. */
export const workerLockSpace = 0x6d757374;

export interface Registration {
  readonly id: WorkerId;
  readonly hostId: HostId;
  readonly hostName: string;
  readonly hostIncarnation: string;
  /** Which folder on that host keeps the members' records: the same text, the same records. */
  readonly hostFolder: string;
  /** Host-bound profile types this worker carries out. */
  readonly hostDrivers: readonly string[];
  readonly pid: number;
  readonly version: string;
  /** What all its connections are called in pg_stat_activity; unique to the process. */
  readonly applicationName: string;
}

export interface Registered {
  readonly number: number;
  readonly hostNumber: number;
  /** The host came back as another one: nothing of the former incarnation can be running. */
  readonly hostReborn: boolean;
}

/** A worker goes by this host's id from another machine, or from another folder of this one: a copy of a data folder, as a rule. */
export class HostTaken extends Error {
  override readonly name = "HostTaken";
  readonly holder: string;
  constructor(holder: string) {
    super(`the host id is ${holder}'s: this data folder is a copy of the one it runs on, or stands on another machine by now`);
    this.holder = holder;
  }
}

/**
 * Writes the host and the worker; gives the worker the smallest free number.
 * @param isGone whether a worker that has been silent for so long, and does or does not hold its session lock, counts as dead
 * @throws HostTaken while a living worker is this host from elsewhere: two of them would each take the other's members for dead
 */
export async function registerWorker(
  store: Store,
  registration: Registration,
  isGone: (silentMs: number, lockHeld: boolean) => boolean,
): Promise<Registered> {
  const { id, hostId, hostName, hostIncarnation, hostFolder, hostDrivers, pid, version, applicationName } = registration;
  const home = `${hostIncarnation} ${hostFolder}`;
  return transaction(store, async (tx) => {
    // One registration at a time: two workers must not be given the same number, nor be one host from two places.
    await sql`/* worker.lock */ select pg_advisory_xact_lock(${workerLockSpace}, 0)`.execute(tx.db);
    await checkHome(tx.db, hostId, home, isGone);
    const before = await sql<{ incarnation: string }>`/* host.read */ select incarnation from muster.host where id = ${hostId}`.execute(tx.db);
    const host = await sql<{ number: number }>`
      /* host.save */
      insert into muster.host (id, name, incarnation, drivers, seen_at) values (${hostId}, ${hostName}, ${hostIncarnation}, ${[...hostDrivers]}, clock_timestamp())
      on conflict (id) do update set name = excluded.name, incarnation = excluded.incarnation, drivers = excluded.drivers, seen_at = excluded.seen_at
      returning number`.execute(tx.db);
    const hostNumber = host.rows[0]?.number;
    if (hostNumber === undefined) throw new Error("the host was not saved");
    await ensureHostLanes(tx.db, hostId, hostNumber);
    const worker = await sql<{ number: number }>`
      /* worker.insert */
      insert into muster.worker (id, number, host_id, pid, version, application_name, home, started_at, heartbeat_at)
      select ${id}, (select min(n) from generate_series(1, ${mostWorkers}) as g(n) where not exists (select 1 from muster.worker w where w.number = g.n)),
             ${hostId}, ${pid}, ${version}, ${applicationName}, ${home}, clock_timestamp(), clock_timestamp()
      returning number`.execute(tx.db);
    const number = worker.rows[0]?.number;
    if (number === undefined) throw new Error("the worker was not saved");
    const formerly = before.rows[0]?.incarnation;
    return { number, hostNumber, hostReborn: formerly !== undefined && formerly !== hostIncarnation };
  });
}

async function checkHome(db: Database, hostId: HostId, home: string, isGone: (silentMs: number, lockHeld: boolean) => boolean): Promise<void> {
  const { rows } = await sql<{ number: number; pid: number; name: string; silent_ms: string }>`
    /* worker.elsewhere */
    select w.number, w.pid, h.name, extract(epoch from clock_timestamp() - w.heartbeat_at) * 1000 as silent_ms
      from muster.worker w join muster.host h on h.id = w.host_id
     where w.host_id = ${hostId} and w.home <> ${home}`.execute(db);
  if (rows.length === 0) return;
  const held = await heldWorkerLocks(db);
  const holder = rows.find((row) => !isGone(Number(row.silent_ms), held.has(row.number)));
  if (holder !== undefined) throw new HostTaken(`worker ${holder.number} (process ${holder.pid} on ${holder.name})`);
}

export async function removeWorker(db: Database, id: WorkerId): Promise<void> {
  await sql`/* worker.remove */ delete from muster.worker where id = ${id}`.execute(db);
}

/** Hosts that carry out a host-bound profile type and have a worker that is heard. */
export async function liveHosts(db: Database, driver: string): Promise<{ readonly id: HostId; readonly number: number }[]> {
  const { rows } = await sql<{ id: HostId; number: number }>`
    /* host.live */
    select id, number from muster.host
     where ${driver} = any(drivers)
       and exists (select 1 from muster.worker w where w.host_id = host.id and not w.draining and w.heartbeat_at > clock_timestamp() - interval '5 seconds')
     order by number`.execute(db);
  return rows;
}

/** How long ago PostgreSQL started, ms: after a start nobody is judged for a while. */
export async function serverAgeMs(db: Database): Promise<number> {
  const { rows } = await sql<{
    ms: string;
  }>`/* server.age */ select extract(epoch from clock_timestamp() - pg_postmaster_start_time()) * 1000 as ms`.execute(db);
  return Number(rows[0]?.ms ?? 0);
}

/** Numbers of the workers whose session lock is held by somebody. */
export async function heldWorkerLocks(db: Database): Promise<Set<number>> {
  const { rows } = await sql<{ number: number }>`
    /* worker.locks */
    select objid::int as number from pg_locks
     where locktype = 'advisory' and classid = ${workerLockSpace}::bigint::oid and granted
       and database = (select oid from pg_database where datname = current_database())`.execute(db);
  return new Set(rows.map((row) => row.number));
}

/** Ends all connections of a dead worker, so that no transaction of it can go on. */
export async function endBackends(db: Database, applicationName: string): Promise<void> {
  await sql`
    /* worker.end */
    select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = ${applicationName} and datname = current_database() and pid <> pg_backend_pid()`.execute(db);
}

/** A worker as the API shows it. */
export interface WorkerRow {
  readonly id: WorkerId;
  /** The machine's name. */
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly startedAt: Date;
  readonly lastHeartbeatAt: Date;
  /** Steps begun in its lanes and not finished, counted up to 10,000. */
  readonly tasksHeld: number;
  readonly draining: boolean;
}

export async function listWorkers(db: Database): Promise<WorkerRow[]> {
  return readWorkers(db, null);
}

export async function getWorkersByIds(db: Database, ids: readonly WorkerId[]): Promise<Map<WorkerId, WorkerRow>> {
  return new Map((await readWorkers(db, ids)).map((row) => [row.id, row]));
}

async function readWorkers(db: Database, ids: readonly WorkerId[] | null): Promise<WorkerRow[]> {
  const { rows } = await sql<{
    id: WorkerId;
    host: string;
    pid: number;
    version: string;
    started_at: Date;
    heartbeat_at: Date;
    draining: boolean;
    held: bigint;
  }>`
    /* worker.list */
    select w.id, h.name as host, w.pid, w.version, w.started_at, w.heartbeat_at, w.draining, t.held
      from muster.worker w
      join muster.host h on h.id = w.host_id
      cross join lateral (
        -- What is begun has its deadline soon: of each lane, those that come first are looked at.
        select least(10000, count(*) filter (where begun.begun_by <> 0)) as held from (
          select b.begun_by from muster.lane l
           cross join lateral (
             select begun_by from muster.task where lane = l.id and due_at < (select clock_timestamp()) + interval '15 minutes' order by due_at limit 200) b
           where l.owner = w.id) begun) t
     where ${ids === null} or w.id = any(${ids ?? []}::uuid[])
     order by w.id`.execute(db);
  return rows.map((row) => ({
    id: row.id,
    host: row.host,
    pid: row.pid,
    version: row.version,
    startedAt: row.started_at,
    lastHeartbeatAt: row.heartbeat_at,
    draining: row.draining,
    tasksHeld: Number(row.held),
  }));
}
