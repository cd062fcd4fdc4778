/** Operational failures of the database, told apart by SQLSTATE or by where they arose, never by message text. */
import pg from "pg";

/** The connection broke under a statement: nobody knows whether it took effect. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
  constructor(cause: unknown) {
    super("the connection to PostgreSQL was lost", { cause });
  }
}

/** What was to be a session of its own goes through a pooler: its locks and its LISTEN would belong to nobody. */
export class PoolerBetween extends Error {
  override readonly name = "PoolerBetween";
  constructor() {
    super("a pooler stands between this session and PostgreSQL");
  }
}

/** SQLSTATEs (and classes) after which the very same transaction may work when it is tried again. */
const conflicts: ReadonlySet<string> = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
]);

/** disk_full: the transaction was rolled back, and it will be so until somebody makes room. */
const full = "53100";

/** The server is not there, is starting, or is stopping; or it can take nothing just now. */
const absences: ReadonlySet<string> = new Set([
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "57P05", // idle_session_timeout
  "25P03", // idle_in_transaction_session_timeout
  "53300", // too_many_connections
  full,
]);

export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** True where the same transaction, run again from its start, may succeed at once. */
export function isConflict(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && conflicts.has(state);
}

/** True where the server has no room for what was to be written. */
export function isFull(error: unknown): boolean {
  return sqlState(error) === full;
}

/** True where the server cannot be reached, or cannot take anything, just now: wait and try again. */
export function isAbsence(error: unknown): boolean {
  if (error instanceof ConnectionLost) return true;
  const state = sqlState(error);
  return state !== undefined && (absences.has(state) || state.startsWith("08"));
}

/** lock_timeout or statement_timeout ended the statement. */
export function isTimeout(error: unknown): boolean {
  const state = sqlState(error);
  return state === "55P03" || state === "57014";
}

/** The name of the unique constraint or index that a statement violated, or null. */
export function violatedUnique(error: unknown): string | null {
  return error instanceof pg.DatabaseError && error.code === "23505" ? (error.constraint ?? "") : null;
}
