/**
 * Places for steps that are begun by whoever plans them, in the very transaction that plans them. A worker that plans for lanes of its own, and has
 * room for the calls, need not write down first what is to be begun, read it back, and write again that it is begun: that is half of what
 * a growing cluster costs. Everything else, and everybody else's lanes, go by the tasks that are due.
 */
import type { NodeId, ProfileId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { laneOf, sharedLanes } from "../core/lane.ts";
import type { TaskKind } from "../core/node.ts";
import type { Driver } from "../drivers/driver.ts";
import { isAbsence } from "../store/failure.ts";
import type { Beginnings, NodeState } from "../store/node-write.ts";
import type { DueTask } from "../store/task.ts";
import type { Store } from "../store/transaction.ts";
import type { Call, Verb } from "./call.ts";
import type { Hearer } from "./carry-out.ts";
import type { Dispatch } from "./dispatch.ts";
import type { LaneBook } from "./lane-book.ts";
import type { KnownProfile } from "./specs.ts";

/** Places that were taken, until they are filled. */
export interface Taken {
  readonly count: number;
  /** The lanes they are good for. */
  readonly lanes: ReadonlyMap<number, bigint>;
  deadline(now: Date): Date;
  /**
   * Carries out what was begun, told as it was before, and gives back the places that are left. Call it exactly once: after the commit, or with nothing
   * when there was none.
   * @param hearer of the outcomes; else the outbox
   */
  fill(tasks: readonly DueTask[], hearer?: Hearer): Left;
}

/** Those that are not carried out. */
export interface Left {
  /** Something else is under way with their nodes. */
  readonly late: readonly DueTask[];
  /** Their lanes are somebody else's by now, or no drivers are called any more. */
  readonly lost: readonly DueTask[];
}

export interface Places {
  /**
   * Takes places for such steps of members of this profile. Null: there are none, or others already wait for them.
   * @param most how many, at most
   */
  take(profileId: ProfileId, profile: KnownProfile, verb: Verb, most: number): Taken | null;
  /** Somebody waits already: whoever comes later must wait behind him, or he would never have his turn. */
  areWaitedFor(profile: KnownProfile): boolean;
}

export interface PlacesDeps {
  readonly store: Pick<Store, "runtime">;
  readonly lanes: LaneBook;
  readonly dispatch: Dispatch;
  /** Aborted when drivers must not be called any more. */
  readonly signal: () => AbortSignal;
  /** How many nodes there is room for, in front of whom nobody waits. */
  readonly open: (verb: Verb) => number;
  /** More is due than was read. */
  readonly crowded: () => boolean;
  /** This worker's share of what a driver's rate allows, 0 … 1. */
  readonly shareOf: (driver: Driver, held: ReadonlyMap<number, bigint>) => number;
  /** The database's deadline lies so much behind the driver's, ms. */
  readonly marginMs: number;
  readonly start: (call: Call, held: ReadonlyMap<number, bigint>, signal: AbortSignal, hearer?: Hearer) => void;
  /** A place has become free. */
  readonly release: () => void;
}

/** `taken`: places that were taken and are not filled yet. */
export function createPlaces(deps: PlacesDeps): Places & { readonly taken: number } {
  const { lanes, dispatch } = deps;
  let taken = 0;
  const take: Places["take"] = (profileId, profile, verb, most) => {
    const signal = deps.signal();
    const held = new Map(lanes.held);
    const { driver, timeoutMs } = profile;
    const free = dispatch.free(driver, profileId, verb, deps.store.runtime.clock.monotonicMs(), (of) => deps.shareOf(of, held));
    const count = signal.aborted ? 0 : Math.min(most, free, deps.open(verb));
    if (count <= 0) return null;
    const giveBack = dispatch.keep(driver, verb, Math.ceil(count / driver.batchSize));
    taken += count;
    return {
      count,
      lanes: held,
      deadline: (now) => new Date(now.getTime() + timeoutMs + deps.marginMs),
      fill: (tasks, hearer) => {
        giveBack();
        taken -= count;
        // A commit may have been long in coming: what a lane's owner by now has found begun is done by that one.
        const isOurs = ({ lane }: DueTask): boolean => !signal.aborted && held.has(lane) && lanes.held.get(lane) === held.get(lane);
        const [ours, lost] = [tasks.filter(isOurs), tasks.filter((task) => !isOurs(task))];
        const [now, late] = [ours.filter(({ nodeId }) => !lanes.inFlight.has(nodeId)), ours.filter(({ nodeId }) => lanes.inFlight.has(nodeId))];
        for (const task of now) lanes.begin(task.nodeId, task.lane, hearer === undefined ? task.clusterId : null);
        for (let i = 0; i < now.length; i += driver.batchSize) {
          const batch = now.slice(i, i + driver.batchSize).map((task) => ({ task, profile }));
          deps.start({ driver, verb, tasks: batch, probe: false }, held, signal, hearer);
        }
        if (now.length < count) deps.release();
        return { late, lost };
      },
    };
  };
  return {
    take,
    areWaitedFor: ({ driver }) => deps.crowded() || dispatch.isWaitedFor(driver),
    get taken() {
      return taken;
    },
  };
}

/** unknown: the COMMIT was not answered, and could not be read back. */
type WindowOutcome = "committed" | "not" | "unknown";

/** One kind of step of one window, as far as it is begun with the window. Made for shared lanes, which a node's id tells. */
export class Beginning {
  private readonly taken: Taken | null;
  private chosen: ReadonlySet<NodeId> = new Set();
  private tasks: readonly DueTask[] = [];
  private left = 0;

  constructor(taken: Taken | null) {
    this.taken = taken;
  }

  /** How many may be begun. */
  get places(): number {
    return this.taken?.count ?? 0;
  }

  /** Chooses whom of these the places are for, the first ones. Returns the lanes under whose epochs they will be begun, to be checked. */
  choose(ids: readonly NodeId[]): ReadonlyMap<number, bigint> {
    const lanes = new Map<number, bigint>();
    const chosen = new Set<NodeId>();
    for (const id of ids) {
      const lane = laneOf(id);
      const epoch = this.taken?.lanes.get(lane);
      if (epoch === undefined || chosen.size >= this.places) continue;
      chosen.add(id);
      lanes.set(lane, epoch);
    }
    this.chosen = chosen;
    return lanes;
  }

  /** Whether steps were written that nobody has begun: they are to be read by whoever owns their lanes. */
  get queues(): boolean {
    return this.left > 0;
  }

  /**
   * Says which of these are begun, those chosen, and keeps them to be carried out.
   * @param suits which may be, apart from that
   */
  begin(tasks: readonly DueTask[], now: Date, suits: (task: DueTask) => boolean): Beginnings {
    const { taken } = this;
    this.tasks = tasks.filter((task) => this.chosen.has(task.nodeId) && suits(task));
    this.left = tasks.length - this.tasks.length;
    if (taken === null) return new Map();
    const deadline = taken.deadline(now);
    return new Map(this.tasks.map((task) => [task.nodeId, { epoch: taken.lanes.get(task.lane) ?? 0n, deadline }]));
  }

  /** After the window. Returns the lanes of those that are written as begun, or may be, and are not carried out: they are to be read again. */
  end(outcome: WindowOutcome): readonly number[] {
    const late = this.taken?.fill(outcome === "committed" ? this.tasks : []).late ?? [];
    return (outcome === "unknown" ? this.tasks : late).map((task) => task.lane);
  }
}

/**
 * Writes a window and ends what it begins, however it comes out. What is written as begun, or may be, and is not carried out is due again with
 * the executor's next turn.
 * @param write null: nothing was written
 */
export async function writeWindow<T>(lanes: LaneBook, beginnings: readonly Beginning[], write: () => Promise<T | null>): Promise<T | null> {
  let outcome: WindowOutcome = "not";
  try {
    const written = await write();
    if (written !== null) outcome = "committed";
    return written;
  } catch (error) {
    if (isAbsence(error)) outcome = "unknown";
    throw error;
  } finally {
    for (const beginning of beginnings) for (const lane of beginning.end(outcome)) lanes.doubtful.add(lane);
  }
}

export function ownsAllLanes(held: ReadonlyMap<number, bigint>): boolean {
  let shared = 0;
  for (const lane of held.keys()) if (lane < sharedLanes) shared++;
  return shared === sharedLanes;
}

type Subject = Pick<
  NodeState,
  | "id"
  | "projectId"
  | "clusterId"
  | "clusterName"
  | "lane"
  | "name"
  | "index"
  | "profileId"
  | "hostId"
  | "status"
  | "epoch"
  | "physicalId"
  | "addresses"
>;

/** Nodes a call must take for its steps to have places: those of a driver that takes fewer end one by one, and a pass for each would cost more than it saves. */
const fewestPerCall = 32;

/** Whether steps of members of the profile may have places: not where lanes are not told by a node's id, as those of hosts are not. */
export function hasPlaces(profile: KnownProfile | null): profile is KnownProfile {
  return profile !== null && !profile.driver.hostBound && profile.driver.batchSize >= fewestPerCall;
}

/** A node's task as it would be read, had it been written and were it due. */
export function taskOf(node: Subject, kind: TaskKind, params: JsonObject | null): DueTask {
  return {
    nodeId: node.id,
    projectId: node.projectId,
    clusterId: node.clusterId,
    clusterName: node.clusterName,
    lane: node.lane,
    kind,
    attempt: 0,
    // Whoever writes it begins it: there is nothing to compare it with.
    version: "",
    begunBy: 0n,
    params,
    name: node.name,
    index: node.index,
    profileId: node.profileId,
    hostId: node.hostId,
    status: node.status,
    epoch: node.epoch,
    physicalId: node.physicalId,
    addresses: node.addresses,
  };
}
