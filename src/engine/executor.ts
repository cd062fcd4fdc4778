/**
 * The executor: reads what is due in this worker's lanes, begins it in one transaction that checks the lanes' epochs, calls the
 * drivers and hands their outcomes to the outbox as they come. It owns what is in flight here; it decides nothing.
 */
import type { ClusterId, ProfileId } from "../core/ids.ts";
import { lanesPerHost, sharedLanes } from "../core/lane.ts";
import { type TaskKind, taskKinds } from "../core/node.ts";
import type { Logger } from "../core/runtime.ts";
import type { Driver } from "../drivers/driver.ts";
import { listBusyClusters, stepActions } from "../store/action-write.ts";
import { isAbsence } from "../store/failure.ts";
import { checkLanes, LaneLost } from "../store/lane.ts";
import { lockNodes, saveNodes } from "../store/node-write.ts";
import { beginTasks, type DueTask, listDueTasks, listDueTasksOf, nextTaskMs, postponeTasks, redoBegunTasks } from "../store/task.ts";
import { type Store, transaction } from "../store/transaction.ts";
import { type Call, type CallTask, verbOf } from "./call.ts";
import { carryOut, type Hearer } from "./carry-out.ts";
import { type Choice, type CircuitChange, Dispatch } from "./dispatch.ts";
import { isSameHold, type LaneBook } from "./lane-book.ts";
import { type Loop, startLoop } from "./loop.ts";
import type { Outbox } from "./outbox.ts";
import { createPlaces, type Places } from "./places.ts";
import type { SpecCache } from "./specs.ts";

export interface ExecutorDeps {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly specs: SpecCache;
  readonly outbox: Outbox;
  readonly logger: Logger;
  readonly installation: string;
  /** Aborted when drivers must not be called any more: stopping, or the lanes may be somebody else's. */
  readonly signal: () => AbortSignal;
  /** Why nothing may be made or removed just now, or null: then only inspections are carried out. */
  readonly held: () => string | null;
}

/** Nodes in flight at most, over all drivers: bounds memory, and how much a takeover finds begun. */
const inFlightLimit = 4_000;
/** So many more for what is no create: slow creates must not keep deletions and remedies waiting. Sweeps have none of them. */
const reserve = 1_000;
/** Rows read at most in one turn. */
const readLimit = 2_000;
/** Clusters that are read in turn where more is due than that, and tasks of each of their kinds. */
const turnClusters = 64;
const turnTasks = 32;
/** What was read is drawn from for so many times as long as reading it took, within bounds, ms. */
const drawsPerRead = 10;
const shortestDrawMs = 20;
const longestDrawMs = 250;
/** How long tasks are put off that this worker cannot carry out: another version may take over meanwhile, ms. */
const strangeMs = 30_000;
/** A slow poll behind the bell, ms. */
const pollMs = 1_000;
/** The database's deadline lies so much behind the driver's, so that an outcome in time is never taken for lost, ms. */
const marginMs = 5_000;

export interface Executor extends Loop {
  readonly places: Places;
  /** Something new is due of this cluster, or (null) may be of any. */
  look(clusterId: ClusterId | null): void;
  /** Why members of the profile wait for their provider, as far as this worker knows; null: they do not. */
  silenceOf(profileId: ProfileId): string | null;
  /** Resolves when no driver call is under way. */
  idle(): Promise<void>;
}

/** What was read and is not begun yet, and what it was read under. */
interface Hand {
  /** More is due than was read. */
  readonly crowded: boolean;
  /** The last cluster whose turn it was to be read; null: the round begins anew. */
  readonly after: ClusterId | null;
  readonly held: ReadonlyMap<number, bigint>;
  readonly waits: readonly TaskKind[];
  /** Until then it is drawn from, while anything is left. */
  readonly goodUntilMs: number;
  /** The same, once there may be something new. */
  readonly goodUntilNewsMs: number;
}

export function startExecutor(deps: ExecutorDeps): Executor {
  const { lanes, store } = deps;
  const { clock, entropy } = store.runtime;
  const dispatch = new Dispatch(clock.monotonicMs());
  const running = new Set<Promise<void>>();
  let hand: Hand | null = null;
  let news: "none" | "perhaps" | "certainly" = "none";
  /** More is due than was read, or than there is room for: nobody may go before that. */
  let crowded = false;
  let beingBegun = 0;
  const underWay = (): number => lanes.inFlight.size + places.taken + beingBegun;
  const goodUntilMs = (of: Hand): number => (news === "none" ? of.goodUntilMs : news === "perhaps" ? of.goodUntilNewsMs : 0);

  const turn = async (rung: boolean): Promise<number> => {
    const full = underWay() >= inFlightLimit;
    const room = inFlightLimit + (full ? reserve : 0) - underWay();
    if (room <= 0) crowded = true;
    if (lanes.held.size === 0 || room <= 0 || deps.signal().aborted) return pollMs;
    const restMs = await rest(deps, rung || dispatch.waiting > 0);
    if (restMs !== null) return restMs;
    const signal = deps.signal();
    const waits = waitingKinds(deps.held(), full);
    const drawn = hand !== null && dispatch.waiting > 0 && clock.monotonicMs() < goodUntilMs(hand) && isGood(hand, lanes.held, waits);
    if (hand === null || !drawn) {
      news = "none";
      hand = await read(deps, dispatch, waits, hand?.after ?? null);
      crowded = hand.crowded || waits.length > 0;
    }
    const { held } = hand;
    const choice = dispatch.choose(clock.monotonicMs(), room, (driver) => laneShare(driver, held));
    beingBegun = choice.calls.reduce((sum, call) => sum + call.tasks.length, 0);
    let calls: readonly Call[] = [];
    try {
      await pause(deps, choice.paused);
      calls = choice.calls.length === 0 ? [] : await begin(deps, held, choice.calls, signal);
    } finally {
      beingBegun = 0;
      choice.giveBack();
    }
    if (choice.calls.length === 0) {
      const waitMs = Math.min(pollMs, choice.nextCallMs ?? pollMs);
      // Due but not chosen: a driver is at its limit, and rings when a call returns. What rang this time may have been something new.
      if (dispatch.waiting > 0) return drawn ? Math.max(1, Math.min(waitMs, goodUntilMs(hand) - clock.monotonicMs())) : waitMs;
      return (await untilDueMs(store, held)) ?? pollMs;
    }
    for (const call of calls) start(call, held, signal);
    return 0;
  };
  const start = (call: Call, held: ReadonlyMap<number, bigint>, signal: AbortSignal, hearer = hearerOf(deps)): void => {
    const trial = dispatch.started(call);
    const carried = carryOut(deps, held, call, signal, trial, hearer)
      .then(() => tell(deps, trial.end(clock.monotonicMs(), entropy.fraction())))
      .finally(() => {
        running.delete(carried);
        release();
      });
    running.add(carried);
  };
  /** A place is free: whoever waits for one may have it. */
  const release = (): void => {
    if (crowded || dispatch.waiting > 0) loop.bell.ring();
  };
  const places = createPlaces({
    ...deps,
    dispatch,
    open: (verb) => (crowded ? 0 : inFlightLimit + (verb === "delete" ? reserve : 0) - underWay()),
    crowded: () => hand?.crowded === true,
    shareOf: laneShare,
    marginMs,
    start,
    release,
  });
  const loop = startLoop({ name: "executor", timers: deps.store.runtime.timers, logger: deps.logger }, turn);
  return {
    ...loop,
    places,
    silenceOf: (profileId) => dispatch.silenceOf(profileId),
    look: (clusterId) => {
      // More of a cluster that waits already is no news: it has its turn.
      if (clusterId !== null && !dispatch.hasWaiting(clusterId)) news = "certainly";
      else if (clusterId === null && news === "none") news = "perhaps";
      loop.bell.ring();
    },
    idle: async () => {
      await Promise.all(running);
    },
  };
}

/** How long there is nothing to do, ms; null: there may be something. What may have been written as begun, and was never carried out, is due at once. */
async function rest({ lanes, store }: ExecutorDeps, news: boolean): Promise<number | null> {
  const doubtful = [...lanes.doubtful];
  if (doubtful.length === 0) return news ? null : untilDueMs(store, lanes.held);
  await redoBegunTasks(store.db, doubtful);
  for (const lane of doubtful) lanes.doubtful.delete(lane);
  return null;
}

/** How long until something is due, and a poll at the latest, ms; null: something is. */
async function untilDueMs({ db }: Store, held: ReadonlyMap<number, bigint>): Promise<number | null> {
  const next = await nextTaskMs(db, [...held.keys()]);
  return next !== null && next <= 0 ? null : Math.min(pollMs, next ?? pollMs);
}

function hearerOf({ outbox, lanes }: ExecutorDeps): Hearer {
  return { push: (outcome) => outbox.push(outcome), letGo: (nodeId) => lanes.end(nodeId) };
}

/** What has to wait is not even read: it must not crowd out the rest. */
function waitingKinds(held: string | null, full: boolean): readonly TaskKind[] {
  if (held === null) return full ? ["CREATE"] : [];
  return taskKinds.filter((kind) => kind === "RECOVER" || verbOf({ kind, params: null }) !== "inspect");
}

function isGood(hand: Hand, held: ReadonlyMap<number, bigint>, waits: readonly TaskKind[]): boolean {
  return hand.waits.length === waits.length && isSameHold(hand.held, held);
}

/** @param after where the last round through the clusters has come to */
async function read(deps: ExecutorDeps, dispatch: Dispatch, waits: readonly TaskKind[], after: ClusterId | null): Promise<Hand> {
  const { lanes, store } = deps;
  const { clock } = store.runtime;
  const startedMs = clock.monotonicMs();
  const held = new Map(lanes.held);
  const [ours, inFlight] = [[...held.keys()], [...lanes.inFlight.keys()]];
  const due = await listDueTasks(store.db, ours, inFlight, readLimit, waits);
  // More is due than can be read, and waits for drivers: the oldest may all be one cluster's, so others are read in turn.
  const crowded = due.length === readLimit;
  const clusters = crowded && dispatch.waiting > 0 ? await listBusyClusters(store.db, after, turnClusters) : [];
  if (clusters.length > 0) {
    const known = new Set(due.map((task) => task.nodeId));
    const others = await listDueTasksOf(store.db, clusters, ours, inFlight, turnTasks, waits);
    due.push(...others.filter((task) => !known.has(task.nodeId)));
  }
  const profiles = await deps.specs.get(
    store.db,
    due.map((task) => task.profileId),
  );
  await putOff(
    deps,
    due.filter((task) => !profiles.has(task.profileId) || verbOf(task) === null),
  );
  dispatch.fill(due, profiles);
  const doneMs = clock.monotonicMs();
  const drawMs = Math.min(longestDrawMs, Math.max(shortestDrawMs, (doneMs - startedMs) * drawsPerRead));
  return { crowded, held, waits, after: clusters.at(-1) ?? null, goodUntilMs: doneMs + drawMs, goodUntilNewsMs: doneMs + shortestDrawMs };
}

/** This worker's share of a driver's rate is its share of the lanes that the driver's tasks are in: of one host's, where it is bound to hosts. */
function laneShare(driver: Driver, held: ReadonlyMap<number, bigint>): number {
  if (driver.callsPerSecond === undefined) return 1;
  const shared = [...held.keys()].filter((lane) => lane < sharedLanes).length;
  return driver.hostBound ? Math.min(1, (held.size - shared) / lanesPerHost) : shared / sharedLanes;
}

/** Puts off what waits for a provider that does not answer, and has its clusters say so. It is no attempt. */
async function pause(deps: ExecutorDeps, paused: Choice["paused"]): Promise<void> {
  if (paused.length === 0) return;
  const byMs = new Map<number, DueTask[]>();
  for (const { task, ms } of paused) byMs.set(Math.ceil(ms), [...(byMs.get(Math.ceil(ms)) ?? []), task]);
  await transaction(deps.store, async (tx) => {
    for (const [ms, tasks] of byMs)
      await postponeTasks(
        tx.db,
        tasks.map((task) => task.nodeId),
        ms,
      );
    for (const { task } of paused) if (task.clusterId !== null) tx.markDue(task.clusterId);
  });
}

function tell(deps: ExecutorDeps, changes: readonly CircuitChange[]): void {
  for (const change of changes) {
    const { profileId, driver, verb } = change;
    if (change.kind === "answers")
      deps.logger.info({ profileId, driver, verb, silentMs: Math.round(change.afterMs) }, "a provider answers again: its calls go on");
    else deps.logger.warn({ profileId, driver, verb, pauseMs: change.forMs, reason: change.reason }, "a provider does not answer: its calls wait");
  }
}

/** Tasks of a profile type that this worker does not have: they would crowd out what it can do. */
async function putOff(deps: ExecutorDeps, strange: readonly DueTask[]): Promise<void> {
  if (strange.length === 0) return;
  deps.logger.warn({ tasks: strange.length, profileId: strange[0]?.profileId }, "members of a profile type that this worker does not have wait");
  await postponeTasks(
    deps.store.db,
    strange.map((task) => task.nodeId),
    strangeMs,
  );
}

/** Writes that these tasks are begun. Returns the calls with those that still were as they had been read, and are still ours to carry out. */
async function begin(deps: ExecutorDeps, held: ReadonlyMap<number, bigint>, calls: readonly Call[], signal: AbortSignal): Promise<Call[]> {
  const { store, lanes } = deps;
  // A sweep, or a plan, may have begun with a node since it was read.
  const isFree = ({ task }: CallTask): boolean => !lanes.inFlight.has(task.nodeId);
  const all = calls.flatMap((call) => call.tasks.filter(isFree));
  if (all.length === 0) return [];
  const epochs = new Map(all.map(({ task }) => [task.lane, held.get(task.lane) ?? 0n]));
  try {
    const begun = await transaction(store, async (tx) => {
      await checkLanes(tx.db, epochs);
      const creates = all.filter(({ task }) => task.kind === "CREATE" && task.status === "PLANNED").map(({ task }) => task.nodeId);
      const nodes = await lockNodes(tx.db, creates);
      const now = await tx.now();
      // A member that is planned only may have got another profile since it was read: it is read again.
      const profiles = new Map(nodes.map((node) => [node.id, node.profileId]));
      const asRead = all.filter(({ task }) => (profiles.get(task.nodeId) ?? task.profileId) === task.profileId);
      const kept = await beginTasks(
        tx,
        asRead.map(({ task, profile }) => ({
          task,
          epoch: epochs.get(task.lane) ?? 0n,
          deadline: new Date(now.getTime() + profile.timeoutMs + marginMs),
        })),
      );
      const making = nodes.filter((node) => node.status === "PLANNED" && kept.has(node.id));
      // A plan's own mark would only have the planner look at what it has just done.
      const quiet = { ...tx, markDue: () => undefined };
      await saveNodes(
        quiet,
        now,
        making.map((node) => ({ node, patch: { status: "CREATING" } })),
      );
      await stepActions(
        tx,
        now,
        making.flatMap((node) => (node.actionId === null ? [] : [{ id: node.actionId, event: "begun" as const }])),
      );
      return kept;
    });
    // An answer may have been long in coming: what its lane's owner by now has found begun is done by that one.
    const isOurs = (task: DueTask): boolean => begun.has(task.nodeId) && !signal.aborted && lanes.held.get(task.lane) === epochs.get(task.lane);
    const ours = new Set(all.filter((each) => isOurs(each.task) && isFree(each)));
    for (const { task } of all) if (isOurs(task) && lanes.inFlight.has(task.nodeId)) lanes.doubtful.add(task.lane);
    for (const { task } of ours) lanes.begin(task.nodeId, task.lane, task.clusterId);
    return calls.map((call) => ({ ...call, tasks: call.tasks.filter((each) => ours.has(each)) })).filter((call) => call.tasks.length > 0);
  } catch (error) {
    if (error instanceof LaneLost) lanes.lose(error.lanes);
    // Where no events are written nothing tells whether it was committed.
    if (isAbsence(error)) for (const { task } of all) lanes.doubtful.add(task.lane);
    throw error;
  }
}
