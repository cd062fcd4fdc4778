/** What kind of PostgreSQL this is, and what our role may do there: for the checks at the start and for `muster doctor`. */
import { sql } from "kysely";
import type { Database } from "./database.ts";
import { isFull } from "./failure.ts";

export interface ServerFacts {
  /** 150004 for 15.4. */
  readonly versionNumber: number;
  readonly version: string;
  readonly database: string;
  readonly role: string;
  readonly superuser: boolean;
  readonly schemaThere: boolean;
  readonly mayCreateSchema: boolean;
  /** May make tables in the schema, where it is there. */
  readonly ownsSchema: boolean;
  readonly fsync: string;
  readonly synchronousCommit: string;
  readonly inRecovery: boolean;
  readonly encoding: string;
  readonly maxConnections: number;
  readonly connections: number;
  readonly encrypted: boolean;
  /** Milliseconds since 1970 by its clock. */
  readonly nowMs: number;
}

export async function readServerFacts(db: Database): Promise<ServerFacts> {
  const { rows } = await sql<ServerFacts>`
    /* server.facts */
    select current_setting('server_version_num')::int as "versionNumber", current_setting('server_version') as version,
           current_database() as database, current_user as role,
           (select rolsuper from pg_roles where rolname = current_user) as superuser,
           to_regnamespace('muster') is not null as "schemaThere",
           has_database_privilege(current_database(), 'CREATE') as "mayCreateSchema",
           coalesce(has_schema_privilege(to_regnamespace('muster')::oid, 'CREATE'), false) as "ownsSchema",
           current_setting('fsync') as fsync, current_setting('synchronous_commit') as "synchronousCommit",
           pg_is_in_recovery() as "inRecovery",
           (select pg_encoding_to_char(encoding) from pg_database where datname = current_database()) as encoding,
           current_setting('max_connections')::int as "maxConnections",
           (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections,
           coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
           (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs"`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error("PostgreSQL says nothing about itself");
  return row;
}

/** Whether the server could write a megabyte more: tries it, and takes it back. */
export async function hasRoom(db: Database): Promise<boolean> {
  try {
    await sql`
      /* server.room */
      create temporary table muster_room on commit drop as select repeat('x', 1000) as filler from generate_series(1, 1000)`.execute(db);
    return true;
  } catch (error) {
    // A role that may make no temporary tables does not learn it.
    return !isFull(error);
  }
}

export interface WorkerFacts {
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly silentMs: number;
  readonly draining: boolean;
  readonly lanes: number;
}

/** The workers, with how long each has been silent and how many lanes it owns. */
export async function readWorkerFacts(db: Database): Promise<WorkerFacts[]> {
  const { rows } = await sql<WorkerFacts>`
    /* worker.facts */
    select h.name as host, w.pid, w.version, (extract(epoch from clock_timestamp() - w.heartbeat_at) * 1000)::float8 as "silentMs", w.draining,
           (select count(*)::int from muster.lane l where l.owner = w.id) as lanes
      from muster.worker w join muster.host h on h.id = w.host_id
     order by w.number`.execute(db);
  return rows;
}

/** Transactions whose events have no position yet: many, or old ones, mean that nobody sequences the ledger. */
export async function countWaitingMarkers(db: Database): Promise<number> {
  const { rows } = await sql<{
    waiting: number;
  }>`/* ledger.waiting */ select count(*)::int as waiting from (select from muster.marker limit 100000) m`.execute(db);
  return rows[0]?.waiting ?? 0;
}

export interface OpenTransaction {
  /** The same as long as it lasts, and not used again before long. */
  readonly id: string;
  /** How long it has lasted; null: another role's, of which ours may not know (it may with `grant pg_read_all_stats`). */
  readonly ms: number | null;
  /** How many transactions began since: as many may have left rows that vacuum must leave alone. */
  readonly age: number;
  /** Whose: role, program and pid, or the name under which it was prepared. */
  readonly whose: string;
}

/** Every transaction that is open on this database, prepared ones too, ours and strangers'; not this question itself. */
export async function readOpenTransactions(db: Database): Promise<OpenTransaction[]> {
  const { rows } = await sql<OpenTransaction>`
    /* server.transactions */
    select l.virtualtransaction as id, (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::float8 as ms,
           coalesce(greatest(age(a.backend_xid), age(a.backend_xmin)), 0) as age,
           concat_ws(', ', 'role ' || a.usename, nullif(a.application_name, ''), 'process ' || a.pid) as whose
      from pg_locks l join pg_stat_activity a on a.pid = l.pid
     where l.locktype = 'virtualxid' and l.mode = 'ExclusiveLock' and l.granted
       and a.datname = current_database() and a.usesysid is not null and a.pid <> pg_backend_pid()
    union all
    select 'prepared ' || p.gid, (extract(epoch from clock_timestamp() - p.prepared) * 1000)::float8, age(p.transaction), 'prepared as ' || p.gid
      from pg_prepared_xacts p where p.database = current_database()`.execute(db);
  return rows;
}
