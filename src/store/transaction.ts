/**
 * One transaction: statements, then the ledger's events, counts, the ledger's marker, the clusters that became due, and COMMIT. When the connection is lost
 * during COMMIT the outcome is unknown: it is read back by what the transaction wrote, never repeated blindly.
 */
import { sql } from "kysely";
import type { ClusterId, ProjectId } from "../core/ids.ts";
import type { Runtime } from "../core/runtime.ts";
import { addCount, type CountDeltas, type CountField, writeCounts } from "./count.ts";
import type { Database } from "./database.ts";
import { markDue } from "./due.ts";
import { ConnectionLost, isAbsence, isConflict } from "./failure.ts";
import { type Appended, appendEvents, areWritten, markBatch, type NewEvent, type Written } from "./ledger-write.ts";
import { addUse, type UseDeltas, type UseField, writeUse } from "./project-use.ts";
import type { Wake } from "./wake.ts";

/** What everything that touches the database is handed. */
export interface Store {
  readonly db: Database;
  readonly runtime: Runtime;
  /** Tells other processes, after the commit, that there is something to do. */
  readonly wake: Wake;
  /** Whose rows of counts are written: one of a worker's own (`store/count.ts`), 0 for API processes. */
  readonly writer: number;
}

export interface Tx {
  /** Runs statements inside the transaction. */
  readonly db: Database;
  /** Events to be written at its end, in this order. */
  readonly events: NewEvent[];
  /** Adds to a count of a cluster; written at the end, after all other rows. */
  count(clusterId: ClusterId, field: CountField, delta: number): void;
  /** Adds to what a project uses of its quotas; written likewise. */
  countUse(projectId: ProjectId, field: UseField, delta: number): void;
  /** Has the cluster planned soon after the commit. */
  markDue(clusterId: ClusterId): void;
  /** PostgreSQL's clock, read now: call it once, after the locks, and decide with its answer. */
  now(): Promise<Date>;
}

/** How long an unknown COMMIT is asked after before the caller is told that nobody knows, ms. */
const readBackMs = 10_000;

/** PostgreSQL's clock in whole milliseconds, so that what is stored and what is compared are the same. */
export async function readClock(db: Database): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`/* clock.read */ select date_trunc('milliseconds', clock_timestamp()) as now`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error("PostgreSQL has no clock");
  return row.now;
}

/**
 * Runs `work` in one READ COMMITTED transaction and commits it. Deadlocks and serialization failures run `work` again from its
 * start, up to three times: it must change nothing but the database.
 * @throws ConnectionLost when it was not committed, or when nobody could tell within 10 s
 */
export async function transaction<T>(store: Store, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const progress: Progress<T> = { result: null, written: null, planning: false };
    try {
      const value = await attemptOnce(store, work, progress);
      wakeOthers(store, progress);
      return value;
    } catch (error) {
      const { result, written } = progress;
      // A pooler, or a server that is just ending, may also say in words that it lost what was to be committed.
      if (isAbsence(error) && result !== null && written !== null && (await wasCommitted(store, written))) {
        wakeOthers(store, progress);
        return result.value;
      }
      if (attempt >= 4 || !isConflict(error)) throw error;
    }
  }
}

interface Progress<T> {
  /** Set once `work` is done: from then on a lost connection leaves the outcome unknown. */
  result: { readonly value: T } | null;
  /** What tells it from others, where it wrote events. */
  written: Written | null;
  /** Whether clusters were marked as due. */
  planning: boolean;
}

function wakeOthers(store: Store, progress: { readonly written: Written | null; readonly planning: boolean }): void {
  if (progress.written !== null) store.wake.ledger();
  if (progress.planning) store.wake.work();
}

function attemptOnce<T>(store: Store, work: (tx: Tx) => Promise<T>, progress: Progress<T>): Promise<T> {
  return store.db.connection().execute(async (connection) => {
    // Said, because a database may have another default: what was locked must be read as it is after the wait.
    await sql`begin isolation level read committed`.execute(connection);
    try {
      const events: NewEvent[] = [];
      const counts: CountDeltas = new Map();
      const use: UseDeltas = new Map();
      const due = new Set<ClusterId>();
      const value = await work({
        db: connection,
        events,
        count: (clusterId, field, delta) => addCount(counts, clusterId, field, delta),
        countUse: (projectId, field, delta) => addUse(use, projectId, field, delta),
        markDue: (clusterId) => due.add(clusterId),
        now: () => readClock(connection),
      });
      const appended: Appended | null = events.length > 0 ? await appendEvents(connection, events) : null;
      // The rows that others wait for come after all that takes long.
      await writeCounts(connection, store.writer, counts);
      await writeUse(connection, use, () => store.runtime.entropy.fraction());
      progress.planning = due.size > 0;
      if (appended !== null) progress.written = await markBatch(connection, appended);
      await markDue(connection, [...due]);
      progress.result = { value };
      await sql`commit`.execute(connection);
      return value;
    } catch (error) {
      // A broken connection has rolled back by itself; the first error is the one that tells something.
      if (!(error instanceof ConnectionLost)) await sql`rollback`.execute(connection).catch(expectConnectionLost);
      throw error;
    }
  });
}

function expectConnectionLost(error: unknown): void {
  if (!isAbsence(error)) throw error;
}

/**
 * What became of a transaction whose COMMIT was not answered: waits until it is over, by its id, then looks for what it wrote. What
 * became of the id says nothing by itself: after a crash it may be another transaction's. False also when the server stays away.
 */
async function wasCommitted(store: Store, written: Written): Promise<boolean> {
  const { clock, timers } = store.runtime;
  const deadline = clock.monotonicMs() + readBackMs;
  for (let pauseMs = 10; clock.monotonicMs() < deadline; pauseMs = Math.min(500, pauseMs * 2)) {
    try {
      // A crash may also have taken back that the id was given: then it lies in the future, of which PostgreSQL refuses to speak. The newest id
      // of all lies there, too, until its transaction is over; whoever bears it holds its lock.
      const { rows } = await sql<{ status: string | null }>`
        /* transaction.status */
        select case when ${written.xid}::xid8 < pg_snapshot_xmax(pg_current_snapshot()) then pg_xact_status(${written.xid}::xid8)
                    when exists (select from pg_locks where locktype = 'transactionid' and transactionid = ${written.xid}::xid8::xid and granted)
                    then 'in progress' end as status`.execute(store.db);
      if (rows[0]?.status !== "in progress") return await areWritten(store.db, written);
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
    await timers.wait(pauseMs);
  }
  return false;
}
