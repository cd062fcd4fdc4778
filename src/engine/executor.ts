/**
 * The executor: reads what is due in this worker's lanes, begins it in one transaction that checks the lanes' epochs, calls the
 * drivers and hands their outcomes to the outbox as they come. It owns what is in flight here; it decides nothing.
 */
import type { ClusterId, NodeId, ProfileId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { lanesPerHost, sharedLanes } from "../core/lane.ts";
import { type TaskKind, taskKinds } from "../core/node.ts";
import type { Logger } from "../core/runtime.ts";
import type { CallContext, ChangedNode, Driver, DriverError, DriverNode, Outcome } from "../drivers/driver.ts";
import { listBusyClusters, stepActions } from "../store/action-write.ts";
import { checkLanes, LaneLost } from "../store/lane.ts";
import { lockNodes, saveNodes } from "../store/node-write.ts";
import { beginTasks, type DueTask, listDueTasks, listDueTasksOf, nextTaskMs, postponeTasks } from "../store/task.ts";
import { type Store, transaction } from "../store/transaction.ts";
import { type Call, verbOf } from "./call.ts";
import { type Choice, type CircuitChange, Dispatch, type Trial } from "./dispatch.ts";
import type { LaneBook } from "./lane-book.ts";
import { type Loop, startLoop } from "./loop.ts";
import type { Outbox } from "./outbox.ts";
import type { TaskReport } from "./report.ts";
import type { KnownProfile, SpecCache } from "./specs.ts";

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
/** So many more for what is no create: slow creates must not keep deletions and remedies waiting. */
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
  /** Something new is due of this cluster, or (null) may be of any. */
  look(clusterId: ClusterId | null): void;
  /** Why members of the profile wait for their provider, as far as this worker knows; null: they do not. */
  silenceOf(profileId: ProfileId): string | null;
  /** Resolves when no driver call is under way. */
  idle(): Promise<void>;
}

/** What was read and is not begun yet, and what it was read under. */
interface Hand {
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
  let after: ClusterId | null = null;
  let news: "none" | "perhaps" | "certainly" = "none";
  const goodUntilMs = (of: Hand): number => (news === "none" ? of.goodUntilMs : news === "perhaps" ? of.goodUntilNewsMs : 0);

  const turn = async (): Promise<number> => {
    const full = lanes.inFlight.size >= inFlightLimit;
    const room = inFlightLimit + (full ? reserve : 0) - lanes.inFlight.size;
    if (lanes.held.size === 0 || room <= 0 || deps.signal().aborted) return pollMs;
    const signal = deps.signal();
    const waits = waitingKinds(deps.held(), full);
    const drawn = hand !== null && dispatch.waiting > 0 && clock.monotonicMs() < goodUntilMs(hand) && isGood(hand, lanes.held, waits);
    if (hand === null || !drawn) {
      news = "none";
      hand = await read(deps, dispatch, waits, after);
      after = hand.after;
    }
    const { held } = hand;
    const choice = dispatch.choose(clock.monotonicMs(), room, (driver) => laneShare(driver, held));
    await pause(deps, choice.paused);
    if (choice.calls.length === 0) {
      const waitMs = Math.min(pollMs, choice.nextCallMs ?? pollMs);
      // Due but not chosen: a driver is at its limit, and rings when a call returns. What rang this time may have been something new.
      if (dispatch.waiting > 0) return drawn ? Math.max(1, Math.min(waitMs, goodUntilMs(hand) - clock.monotonicMs())) : waitMs;
      const next = await nextTaskMs(store.db, [...held.keys()]);
      return next === null || next <= 0 ? pollMs : Math.min(pollMs, next);
    }
    for (const call of await begin(deps, held, choice.calls, signal)) {
      const trial = dispatch.started(call);
      const carried = carryOut(deps, held, call, signal, trial)
        .then(() => tell(deps, trial.end(clock.monotonicMs(), entropy.fraction())))
        .finally(() => {
          running.delete(carried);
          loop.bell.ring();
        });
      running.add(carried);
    }
    return 0;
  };
  const loop = startLoop({ name: "executor", timers: deps.store.runtime.timers, logger: deps.logger }, turn);
  return {
    ...loop,
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

/** What has to wait is not even read: it must not crowd out the rest. */
function waitingKinds(held: string | null, full: boolean): readonly TaskKind[] {
  if (held === null) return full ? ["CREATE"] : [];
  return taskKinds.filter((kind) => kind === "RECOVER" || verbOf({ kind, params: null }) !== "inspect");
}

function isGood(hand: Hand, held: ReadonlyMap<number, bigint>, waits: readonly TaskKind[]): boolean {
  if (hand.waits.length !== waits.length || hand.held.size !== held.size) return false;
  for (const [lane, epoch] of held) if (hand.held.get(lane) !== epoch) return false;
  return true;
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
  const crowded = due.length === readLimit && dispatch.waiting > 0;
  const clusters = crowded ? await listBusyClusters(store.db, after, turnClusters) : [];
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
  return { held, waits, after: clusters.at(-1) ?? null, goodUntilMs: doneMs + drawMs, goodUntilNewsMs: doneMs + shortestDrawMs };
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
  const all = calls.flatMap((call) => call.tasks.map(({ task, profile }) => ({ task, profile, call })));
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
    for (const { task } of all) if (isOurs(task)) lanes.begin(task.nodeId, task.lane);
    return calls.map((call) => ({ ...call, tasks: call.tasks.filter(({ task }) => isOurs(task)) })).filter((call) => call.tasks.length > 0);
  } catch (error) {
    if (error instanceof LaneLost) lanes.remove(error.lanes);
    throw error;
  }
}

/** Calls the driver and reports each outcome; nodes for which none came are reported as lost. */
async function carryOut(
  deps: ExecutorDeps,
  held: ReadonlyMap<number, bigint>,
  call: Call,
  signal: AbortSignal,
  trial: Pick<Trial, "hear">,
): Promise<void> {
  const { clock } = deps.store.runtime;
  const open = new Map<NodeId, DueTask>(call.tasks.map(({ task }) => [task.nodeId, task]));
  const report = (nodeId: NodeId, what: TaskReport): void => {
    const task = open.get(nodeId);
    if (task === undefined) return;
    open.delete(nodeId);
    const epoch = held.get(task.lane) ?? 0n;
    // That nobody answered a takeover's predecessor says nothing of the provider.
    const counts = what === takenOver || trial.hear(task, what);
    deps.outbox.push({
      from: "task",
      nodeId,
      lane: task.lane,
      epoch,
      task: { kind: task.kind, attempt: Math.max(0, attemptOf(task) - (counts ? 0 : 1)), params: task.params },
      report: what,
    });
  };
  /** Broken off by ourselves: nothing is known and nothing is said; whoever owns the lane next does again what was begun. */
  const letGo = (nodeId: NodeId): void => {
    if (open.delete(nodeId)) deps.lanes.end(nodeId);
  };
  const longest = Math.max(...call.tasks.map(({ profile }) => profile.timeoutMs));
  const context: CallContext = {
    installation: deps.installation,
    fence: (node) => held.get(open.get(node.id)?.lane ?? -1) ?? 0n,
    signal,
    deadlineMs: clock.monotonicMs() + longest,
  };
  try {
    for await (const [nodeId, what] of outcomes(call, context)) {
      if (context.signal.aborted && what.kind === "failed" && what.error.class === "unknown") letGo(nodeId);
      else report(nodeId, what);
    }
    for (const nodeId of [...open.keys()]) {
      if (context.signal.aborted) letGo(nodeId);
      else report(nodeId, failure("unknown", "NO_OUTCOME", "the driver gave no outcome"));
    }
  } catch (error) {
    if (!context.signal.aborted) deps.logger.error({ driver: call.driver.type, verb: call.verb, error }, "a driver call broke off");
    for (const nodeId of [...open.keys()]) {
      if (context.signal.aborted) letGo(nodeId);
      else report(nodeId, failure("unknown", "DRIVER_BROKE_OFF", "the driver's call broke off"));
    }
  }
}

async function* outcomes(call: Call, context: CallContext): AsyncGenerator<readonly [NodeId, TaskReport]> {
  const { driver, verb } = call;
  // What somebody had begun and nobody finished is made again by a driver that does one key once, and by no other: it is read back.
  const repeated = call.tasks.filter(({ task }) => (verb === "create" || verb === "update") && driver.idempotency !== "keyed" && task.begunBy !== 0n);
  for (const { task } of repeated) yield [task.nodeId, takenOver];
  // Opened once for the call, not once for each of its members.
  const specs = new Map<KnownProfile, JsonObject>();
  const nodes = call.tasks
    .filter((each) => !repeated.includes(each))
    .map(({ task, profile }) => {
      const spec = specs.get(profile) ?? profile.open();
      specs.set(profile, spec);
      return driverNode(task, spec);
    });
  if (nodes.length === 0) return;
  if (verb === "update") {
    if (driver.update === undefined) {
      for (const { id } of nodes) yield [id, failure("permanent", "NO_UPDATE", `profile type ${driver.type} changes nothing in place`)];
      return;
    }
    const changes = new Map(call.tasks.map(({ task }) => [task.nodeId, Number(task.params?.["change"] ?? 0)]));
    const changed = nodes.map((node): ChangedNode => ({ ...node, change: changes.get(node.id) ?? 0 }));
    for await (const o of driver.update(changed, context)) yield [o.nodeId, reportOf(o, (made) => ({ kind: "made", made }))];
  } else if (verb === "create")
    for await (const o of driver.create(nodes, context)) yield [o.nodeId, reportOf(o, (made) => ({ kind: "made", made }))];
  else if (verb === "delete") for await (const o of driver.delete(nodes, context)) yield [o.nodeId, reportOf(o, () => ({ kind: "closed" }))];
  else for await (const o of driver.inspect(nodes, context)) yield [o.nodeId, reportOf(o, (inspection) => ({ kind: "inspected", inspection }))];
}

function reportOf<T>(outcome: Outcome<T>, good: (value: T) => TaskReport): TaskReport {
  return outcome.ok ? good(outcome.value) : { kind: "failed", error: outcome.error };
}

function failure(errorClass: DriverError["class"], code: string, message: string): TaskReport {
  return { kind: "failed", error: { class: errorClass, code, message } };
}

const takenOver = failure("unknown", "TAKEN_OVER", "whoever had begun it did not tell what came of it");

function driverNode(task: DueTask, spec: JsonObject): DriverNode {
  return {
    id: task.nodeId,
    name: task.name,
    index: task.index,
    clusterId: task.clusterId,
    clusterName: task.clusterName,
    epoch: task.epoch,
    physicalId: task.physicalId,
    spec,
    hostId: task.hostId,
    attempt: attemptOf(task),
  };
}

/** Beginning counts as an attempt; doing again what a dead worker had begun does not. */
function attemptOf(task: DueTask): number {
  return task.begunBy === 0n ? task.attempt + 1 : task.attempt;
}
