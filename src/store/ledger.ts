/**
 * The ledger's one row: which history this is, and how far it goes. An incarnation is bound to PostgreSQL's system identifier and
 * timeline: after a restore or a fail-over the newest lines may be missing, so older cursors must not be taken for
 * places in it.
 */
import { sql } from "kysely";
import type { LedgerCursor } from "../core/cursor.ts";
import { lastOrdinal } from "../core/cursor.ts";
import type { Database } from "./database.ts";
import type { Session } from "./session.ts";

/** Advisory locks of which the installation has one each ("mstr"). 5 is the embedded PostgreSQL's owner's (`main/postgres.ts`). */
export const singletonSpace = 0x6d_73_74_72;
export const migrateLock = 1;
export const sequencerLock = 2;
export const partitionLock = 3;
export const firstTokenLock = 6;

export interface LedgerState {
  readonly incarnation: number;
  /** The newest position given; 0: none yet. */
  readonly head: bigint;
  /** The highest batch that has a position. */
  readonly topBatch: bigint;
  /** How far behind the then highest batch a late one ever was. */
  readonly maxLag: bigint;
  /** The lowest position that is still there (or would be). */
  readonly oldest: bigint;
}

interface StateRow {
  incarnation: number;
  position: bigint;
  top_batch: bigint;
  max_lag: bigint;
  oldest: bigint;
}

/** @throws when the installation was never migrated */
export async function readLedger(db: Database): Promise<LedgerState> {
  const { rows } = await sql<StateRow>`
    /* ledger.state */ select incarnation, position, top_batch, max_lag, oldest from muster.ledger`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error("the ledger has no first row: the database is not migrated");
  return { incarnation: row.incarnation, head: row.position, topBatch: row.top_batch, maxLag: row.max_lag, oldest: row.oldest };
}

/** Behind everything up to the head of this state. */
export function cursorBehind(state: LedgerState): LedgerCursor {
  return { incarnation: state.incarnation, position: state.head, ordinal: lastOrdinal };
}

/** Before everything that is still there. */
export function oldestCursor(state: LedgerState): LedgerCursor {
  return { incarnation: state.incarnation, position: state.oldest - 1n, ordinal: lastOrdinal };
}

/** False when lines behind the cursor are gone, or when it was never a place in this history. */
export function isWithin(state: LedgerState, cursor: LedgerCursor): boolean {
  if (cursor.incarnation !== state.incarnation || cursor.position > state.head) return false;
  return cursor.position >= state.oldest || (cursor.position === state.oldest - 1n && cursor.ordinal === lastOrdinal);
}

export interface Incarnation {
  readonly incarnation: number;
  /** PostgreSQL's time. */
  readonly since: Date;
  /** null: the installation's first. Else everything must be read back from the drivers before anything is made or removed. */
  readonly former: number | null;
}

interface IncarnationRow {
  incarnation: number;
  incarnation_since: Date;
  former_incarnation: number | null;
}

function incarnationOf(row: IncarnationRow | undefined): Incarnation {
  if (row === undefined) throw new Error("the ledger has no first row: the database is not migrated");
  return { incarnation: row.incarnation, since: row.incarnation_since, former: row.former_incarnation };
}

/** Which incarnation this is and since when. Ask again after every reconnect: it changes while nobody looks. */
export async function readIncarnation(db: Database): Promise<Incarnation> {
  const { rows } = await sql<IncarnationRow>`
    /* ledger.incarnation */ select incarnation, incarnation_since, former_incarnation from muster.ledger`.execute(db);
  return incarnationOf(rows[0]);
}

/**
 * The timeline is read from the name of the WAL file that is being written: the control file names the new one only after the
 * checkpoint that follows a fail-over.
 */
const settleStatement = `
  /* ledger.settle */
  with server as (
    select system_identifier::text as system_identifier,
           ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer as timeline,
           (1 + floor(random() * 2147483646))::integer as incarnation
      from pg_control_system()
  )
  insert into muster.ledger as l (incarnation, system_identifier, timeline)
  select incarnation, system_identifier, timeline from server
  on conflict (singleton) do update
    set incarnation = excluded.incarnation, former_incarnation = l.incarnation, incarnation_since = clock_timestamp(),
        system_identifier = excluded.system_identifier, timeline = excluded.timeline
  where (l.system_identifier, l.timeline) is distinct from (excluded.system_identifier, excluded.timeline)
  returning incarnation, incarnation_since, former_incarnation`;

/**
 * Writes the ledger's first row, or, on a server that is not the one it was written on, begins a new incarnation.
 * @returns the incarnation that began now; null: nothing has changed
 */
export async function ensureLedger(db: Database): Promise<Incarnation | null> {
  const { rows } = await sql.raw<IncarnationRow>(settleStatement).execute(db);
  return rows[0] === undefined ? null : incarnationOf(rows[0]);
}

/** The same over a session: the sequencer asks before it gives its first position. */
export async function ensureLedgerIn(session: Session): Promise<Incarnation | null> {
  const [row] = await session.query<IncarnationRow>(settleStatement);
  return row === undefined ? null : incarnationOf(row);
}
