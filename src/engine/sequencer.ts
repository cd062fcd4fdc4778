/**
 * The sequencer: exactly one process gives positions to what was committed. Every worker and API process is a candidate.
 *
 * A candidate asks for the lock a few times a second; it also watches whether the leader gets on, and ends the session of one that is
 * frozen. The leader ticks when it is woken, a few milliseconds apart at most under load, and by a slow poll. Most ticks look only at
 * what is new; about once a second one sweeps all markers, for those that became visible very late. It makes partitions
 * ahead of what is written. When its session is lost it stands again like everybody else.
 */
import type { Logger } from "../core/runtime.ts";
import type { Database } from "../store/database.ts";
import { createDoorbell, type Doorbell } from "../store/doorbell.ts";
import { ConnectionLost, isAbsence, isConflict, isTimeout } from "../store/failure.ts";
import { ensureLedgerIn } from "../store/ledger.ts";
import { dropExpired, ensurePartitions } from "../store/ledger-partition.ts";
import { endLeader, type Lead, positionMarkers, standForLead, takeLead } from "../store/ledger-sequence.ts";
import type { Session } from "../store/session.ts";
import { readClock, type Store } from "../store/transaction.ts";
import { createMissingBatches } from "./missing-batches.ts";

export interface SequencerDeps {
  readonly store: Store;
  readonly openSession: () => Promise<Session>;
  /** The database past any pooler, if one stands before the store's: partitions are dropped under a lock of a session's. */
  readonly direct?: Database;
  readonly logger: Logger;
  /** How long events are kept; 0 or absent: for ever. */
  readonly retentionDays?: number;
}

/** How often a candidate asks for the lock, ms. */
const standMs = 500;
/** A marker that waits this long while somebody holds the lock: that somebody is frozen, ms. */
const frozenMs = 4_000;
/** The slow poll that makes up for lost wake-ups; also how often all markers are swept, ms. */
const pollMs = 1_000;
/** At least this long between two ticks, so that one takes several transactions with it, ms. */
const tickMs = 2;
/** Markers per tick: far below what a transaction of ours may write. */
const tickLimit = 5_000;
/** A sweep may take at most one part in this many of the time: dead entries are many while a stranger's transaction is open. */
const sweepShare = 30;
/** Partitions are looked after this often, ms, and after so many positions. */
const upkeepMs = 60_000;
const upkeepPositions = 10_000n;
const dayMs = 86_400_000;
/** Between two attempts to reach a server that is away, or after an error that should not be, ms. */
const retryMs = 500;

interface Sequencer extends SequencerDeps {
  readonly bell: Doorbell;
  readonly stopped: AbortSignal;
}

export function startSequencer(deps: SequencerDeps): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const self: Sequencer = { ...deps, bell: createDoorbell(deps.store.runtime.timers), stopped: stopping.signal };
  const running = run(self);
  return {
    stop: async () => {
      stopping.abort();
      self.bell.ring();
      await running;
    },
  };
}

async function run(self: Sequencer): Promise<void> {
  const { timers } = self.store.runtime;
  while (!self.stopped.aborted) {
    let session: Session | null = null;
    try {
      session = await self.openSession();
      await serve(self, session);
    } catch (error) {
      if (!isAbsence(error)) self.logger.error({ error: String(error) }, "the sequencer failed and stands again");
    }
    await session?.close();
    if (!self.stopped.aborted) await timers.wait(retryMs, self.stopped);
  }
}

/** Stands, and once it holds the lock, leads; returns when told to stop, throws when the session is lost. */
async function serve(self: Sequencer, session: Session): Promise<void> {
  const { clock, timers } = self.store.runtime;
  let stuck: { batch: bigint; sinceMs: number } | null = null;
  while (!self.stopped.aborted) {
    const { held, waiting } = await standForLead(session);
    if (held) return lead(self, session);
    if (waiting === null || stuck === null || waiting !== stuck.batch)
      stuck = waiting === null ? null : { batch: waiting, sinceMs: clock.monotonicMs() };
    else if (clock.monotonicMs() - stuck.sinceMs >= frozenMs) {
      const ended = await endLeader(session);
      self.logger.warn({ batch: String(waiting), ended }, "the sequencer does not get on: its session was ended");
      stuck = null;
    }
    await timers.wait(standMs, self.stopped);
  }
}

async function lead(self: Sequencer, session: Session): Promise<void> {
  const { store, logger, bell } = self;
  const { clock } = store.runtime;
  const changed = await ensureLedgerIn(session);
  if (changed !== null) {
    logger.warn(
      { incarnation: changed.incarnation, former: changed.former },
      "the ledger stands on another server: a new incarnation, older cursors have expired",
    );
  }
  const first = await takeLead(session);
  logger.info({ epoch: String(first.epoch), position: String(first.position) }, "this process gives positions now");
  let lost: Error | null = null;
  void session.lost.then((error) => {
    lost = error;
    bell.ring();
  });
  await session.listen("muster_ledger", () => bell.ring());
  const upkeep = createUpkeep(self);
  const ticker = createTicker(self, session, first);
  while (!self.stopped.aborted) {
    if (lost !== null) throw lost;
    const startedMs = clock.monotonicMs();
    const { full, position } = await ticker();
    upkeep.look(position);
    if (full) continue;
    await store.runtime.timers.wait(Math.max(0, tickMs - (clock.monotonicMs() - startedMs)), self.stopped);
    await bell.wait(pollMs);
  }
  await upkeep.settled();
}

/** One tick after the other: of what is new, or a sweep when one is due. */
function createTicker(self: Sequencer, session: Session, first: Lead): () => Promise<{ full: boolean; position: bigint }> {
  const { clock, timers } = self.store.runtime;
  const missing = createMissingBatches(first.topBatch, first.missing, clock.monotonicMs());
  let { topBatch, position } = first;
  let sweepAtMs = 0;
  return async () => {
    const nowMs = clock.monotonicMs();
    const sweep = nowMs >= sweepAtMs;
    try {
      const ticked = await positionMarkers(session, {
        epoch: first.epoch,
        above: sweep ? 0n : topBatch,
        missing: sweep ? [] : missing.list(nowMs),
        limit: tickLimit,
      });
      if (ticked === "fenced") throw new ConnectionLost(new Error("another process gives positions now"));
      const endedMs = clock.monotonicMs();
      const full = (ticked?.batches.length ?? 0) >= tickLimit;
      if (sweep && !full) sweepAtMs = endedMs + Math.max(pollMs, (endedMs - nowMs) * sweepShare);
      if (ticked !== null) {
        ({ topBatch, position } = ticked);
        missing.note(ticked.batches, endedMs);
      }
      return { full, position };
    } catch (error) {
      if (error instanceof ConnectionLost || isAbsence(error)) throw error;
      if (!isTimeout(error) && !isConflict(error)) self.logger.error({ error: String(error) }, "positions could not be given");
      await ensurePartitions(self.store.db).catch((failure: unknown) => report(self.logger, failure));
      await timers.wait(retryMs, self.stopped);
      return { full: false, position };
    }
  };
}

/** A time-out is said too: three partitions ahead last long, but one that lasts as well ends with no events at all. */
function report(logger: Logger, error: unknown): void {
  if (isAbsence(error)) return;
  const how = isTimeout(error) ? "warn" : "error";
  logger[how]({ error: String(error) }, "the ledger's partitions could not be looked after");
}

/** Partitions ahead, and retention: beside the ticks, which must not wait for it. */
function createUpkeep(self: Sequencer): { look(position: bigint): void; settled(): Promise<void> } {
  const { clock } = self.store.runtime;
  let running: Promise<void> | null = null;
  let last: { atMs: number; position: bigint } | null = null;
  const work = async (): Promise<void> => {
    try {
      await ensurePartitions(self.store.db);
      const { retentionDays = 0 } = self;
      if (retentionDays > 0) {
        const now = await readClock(self.store.db);
        const dropped = await dropExpired(self.direct ?? self.store.db, new Date(now.getTime() - retentionDays * dayMs));
        if (dropped > 0) self.logger.info({ dropped }, "partitions of the ledger were dropped: their time is over");
      }
    } catch (error) {
      report(self.logger, error);
    }
    running = null;
  };
  return {
    look: (position) => {
      const nowMs = clock.monotonicMs();
      if (running !== null || (last !== null && nowMs - last.atMs < upkeepMs && position - last.position < upkeepPositions)) return;
      last = { atMs: nowMs, position };
      running = work();
    },
    settled: async () => {
      await running;
    },
  };
}
