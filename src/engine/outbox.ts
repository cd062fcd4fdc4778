/**
 * Reports on their way into the database: gathered for a moment, then written many at a time in one transaction that checks the lanes'
 * epochs, locks the nodes, decides with `report.ts` and writes everything that follows.
 *
 * Modes of a flush, in order: all is well (one transaction); a lane was lost (its reports are dropped, the rest is written: whoever
 * owns the lane now will find out the same); the database is away (kept and tried again while lanes are held); a report that cannot be
 * written (the batch is halved until it stands alone; an outcome then counts as a failed step, anything else is set aside).
 */
import type { NodeId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { TaskKind } from "../core/node.ts";
import type { Logger } from "../core/runtime.ts";
import type { Observation } from "../drivers/driver.ts";
import { createDoorbell } from "../store/doorbell.ts";
import { isAbsence, isConflict, isTimeout } from "../store/failure.ts";
import { LaneLost } from "../store/lane.ts";
import type { Store } from "../store/transaction.ts";
import type { LaneBook } from "./lane-book.ts";
import type { TaskReport } from "./report.ts";
import type { SpecCache } from "./specs.ts";
import { type Written, writeReports } from "./write-reports.ts";

/** What became of a step. */
export interface TaskOutcome {
  readonly from: "task";
  readonly nodeId: NodeId;
  readonly lane: number;
  readonly epoch: bigint;
  readonly task: { readonly kind: TaskKind; readonly attempt: number; readonly params: JsonObject | null };
  readonly report: TaskReport;
}

export type Report =
  | TaskOutcome
  | {
      readonly from: "watch";
      readonly nodeId: NodeId;
      readonly lane: number;
      readonly epoch: bigint;
      readonly observation: Observation;
    };

export interface Outbox {
  push(report: Report): void;
  /** So many reports wait that what can be seen again should be left alone: the database is slow, or away. */
  readonly full: boolean;
  /** Resolves when it is not full, or when the signal is aborted. */
  room(signal: AbortSignal): Promise<void>;
  /** Resolves when everything pushed so far is written or dropped. */
  drained(): Promise<void>;
  stop(): Promise<void>;
}

/** Reports that wait before it is full: what may be in flight, and as many observations again. */
const queueLimit = 10_000;
/** Reports a transaction at most: it stays far below 250 ms and 10,000 rows. */
const batchLimit = 1_000;
/** How often a batch waits for a lock until it times out (5 s each) before the report that does not get it is looked for. */
const lockPatience = 3;
/** How long the first report waits for company, ms. */
const gatherMs = 2;

export function startOutbox(deps: {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly specs: SpecCache;
  readonly logger: Logger;
  /** Called after each flush. */
  readonly onWritten: (written: Written) => void;
}): Outbox {
  const { store, lanes, logger } = deps;
  const { timers, clock } = store.runtime;
  const queue: Report[] = [];
  const bell = createDoorbell(timers);
  let waiting: (() => void)[] = [];
  const full = (): boolean => queue.length >= queueLimit;
  const room = createRoom(full);
  let busy = false;

  const finish = (reports: readonly Report[]): void => {
    for (const report of reports) if (report.from === "task") lanes.end(report.nodeId);
  };

  /** Writes a batch, whatever it takes. Returns when each report is written, dropped or set aside. */
  const write = async (batch: readonly Report[], patience = lockPatience): Promise<Written> => {
    const owned = batch.filter((report) => lanes.held.get(report.lane) === report.epoch);
    if (owned.length === 0) return nothingWritten;
    try {
      return await writeReports(deps, owned);
    } catch (error) {
      if (error instanceof LaneLost) {
        lanes.lose(error.lanes);
        return write(owned);
      }
      if (isAbsence(error)) {
        await timers.wait(100);
        return write(owned);
      }
      // Somebody froze with a lock in his hand: he is judged before long.
      if ((isTimeout(error) || isConflict(error)) && patience > 0) {
        logger.debug({ error, reports: owned.length }, "reports are written again");
        return write(owned, patience - 1);
      }
      if (owned.length > 1) {
        const half = Math.ceil(owned.length / 2);
        const first = await write(owned.slice(0, half), patience);
        const second = await write(owned.slice(half), patience);
        return { probed: [...first.probed, ...second.probed], follows: first.follows || second.follows };
      }
      const [refused] = owned;
      if (refused?.from === "task" && !isNotWritable(refused.report)) {
        logger.error({ nodeId: refused.nodeId, error }, "an outcome cannot be written: its step counts as failed");
        return write([{ ...refused, report: notWritable(error) }], patience);
      }
      logger.error({ nodeId: refused?.nodeId, error }, "a report cannot be written and is set aside; its task is due again after its deadline");
      return nothingWritten;
    }
  };

  const run = async (): Promise<void> => {
    while (!bell.stopped || queue.length > 0) {
      if (queue.length === 0) {
        for (const resolve of waiting.splice(0)) resolve();
        await bell.wait(60_000);
        continue;
      }
      if (queue.length < batchLimit / 2 && !bell.stopped) await timers.wait(gatherMs);
      const batch = takeBatch(queue);
      room.look();
      busy = true;
      const startedMs = clock.monotonicMs();
      const written = await write(batch);
      finish(batch);
      busy = false;
      logger.debug({ reports: batch.length, ms: Math.round(clock.monotonicMs() - startedMs) }, "reports written");
      deps.onWritten(written);
    }
    for (const resolve of waiting.splice(0)) resolve();
  };
  const done = run();
  return {
    push: (report) => {
      queue.push(report);
      bell.ring();
    },
    get full() {
      return full();
    },
    room: room.wait,
    drained: () =>
      queue.length === 0 && !busy
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push(resolve);
          }),
    stop: async () => {
      bell.stop();
      await done;
      waiting = [];
    },
  };
}

/** Those who wait until it is no longer full. */
function createRoom(full: () => boolean): { look(): void; wait(signal: AbortSignal): Promise<void> } {
  const waiting: (() => void)[] = [];
  return {
    look: () => {
      if (!full()) for (const resolve of waiting.splice(0)) resolve();
    },
    wait: (signal) =>
      full() && !signal.aborted
        ? new Promise((resolve) => {
            waiting.push(resolve);
            signal.addEventListener("abort", () => resolve(), { once: true });
          })
        : Promise.resolve(),
  };
}

const nothingWritten: Written = { probed: [], follows: false };

const notWritableCode = "OUTCOME_NOT_WRITABLE";

/** In place of an outcome that cannot be written: the member is set aside like any other whose step failed, and says why. */
function notWritable(error: unknown): TaskReport {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: "failed", error: { class: "permanent", code: notWritableCode, message } };
}

function isNotWritable(report: TaskReport): boolean {
  return report.kind === "failed" && report.error.code === notWritableCode;
}

/** The oldest reports, one per node: a second one of the same node is decided on what the first made of it, in the next flush. */
function takeBatch(queue: Report[]): Report[] {
  const nodes = new Set<NodeId>();
  const batch: Report[] = [];
  let taken = 0;
  for (const report of queue) {
    if (batch.length >= batchLimit || nodes.has(report.nodeId)) break;
    nodes.add(report.nodeId);
    batch.push(report);
    taken++;
  }
  queue.splice(0, taken);
  return batch;
}
