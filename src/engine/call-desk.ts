/**
 * One driver's desk: who waits for it, in which order, and which calls it takes next. Its places, calls in flight, and calls per second
 * where it names a rate, are given in turns, first to projects, then to the clusters of each (`turn-order.ts`): alone, a project may have all
 * of them. Creates leave some of them to everything else.
 */
import type { ClusterId, ProjectId } from "../core/ids.ts";
import type { Driver } from "../drivers/driver.ts";
import type { DueTask } from "../store/task.ts";
import { type Call, type CallTask, providerKey, type Verb } from "./call.ts";
import { CallRate } from "./call-rate.ts";
import type { Circuits } from "./circuit.ts";
import { type Queue, takeTurns } from "./turn-order.ts";

/** The share of a driver's calls that creates may take up. */
const createShare = 0.75;
/** The share of a call that is one cluster's turn: small enough to be fair, big enough that a call is about few clusters. */
const quantumShare = 1 / 8;
/** While one call tries whether the provider answers again, the others look away for so long, ms. */
const whileProbingMs = 1_000;

export interface Waiting extends CallTask {
  readonly verb: Verb;
}

export interface Paused {
  readonly task: DueTask;
  readonly ms: number;
}

/** A project's or a cluster's use of the driver. */
interface Flow {
  underWay: number;
  waitsSince: number;
}

/** What the desk may give now: the time, calls and nodes at most. */
interface Allowance {
  readonly nowMs: number;
  readonly calls: number;
  readonly room: number;
}

type OpenCall = Call & { readonly tasks: CallTask[] };

export class CallDesk {
  readonly driver: Driver;
  /** In the order in which they are to be chosen. */
  private inOrder: readonly Waiting[] = [];
  private readonly rate: CallRate | null;
  private readonly flows = new Map<string, Flow>();
  /** Under way, or kept for whoever is about to begin them. */
  private calls = 0;
  private creates = 0;
  /** Grows with each look at who waits and with each choice among them. */
  private turn = 0;

  constructor(driver: Driver, nowMs: number) {
    this.driver = driver;
    this.rate = driver.callsPerSecond === undefined ? null : new CallRate(driver.callsPerSecond, driver.burst ?? driver.callsPerSecond, nowMs);
  }

  get waiting(): number {
    return this.inOrder.length;
  }

  hasWaiting(clusterId: ClusterId): boolean {
    return this.inOrder.some(({ task }) => task.clusterId === clusterId);
  }

  /** Takes tasks in hand, in place of those it had. @param tasks in the order in which each cluster's are to be done */
  fill(tasks: readonly Waiting[]): void {
    this.turn += 1;
    const projects = new Map<ProjectId, Map<string, Waiting[]>>();
    const present = new Set<string>();
    for (const waiting of tasks) {
      const { projectId } = waiting.task;
      const clusters = projects.get(projectId) ?? new Map<string, Waiting[]>();
      projects.set(projectId, clusters);
      const key = clusterKey(waiting.task);
      const queue = clusters.get(key) ?? [];
      clusters.set(key, queue);
      queue.push(waiting);
      present.add(projectId).add(key);
    }
    // Whoever waits for nothing and has nothing under way is forgotten.
    for (const [key, flow] of this.flows) if (flow.underWay === 0 && !present.has(key)) this.flows.delete(key);
    const quantum = Math.max(1, Math.floor(this.driver.batchSize * quantumShare));
    const queueOf = (key: string, items: readonly Waiting[]): Queue<Waiting> => ({ ...this.flowOf(key), items });
    const inTurns = (clusters: ReadonlyMap<string, readonly Waiting[]>): readonly Waiting[] =>
      takeTurns(
        [...clusters].map(([key, items]) => queueOf(key, items)),
        quantum,
      );
    this.inOrder = takeTurns(
      [...projects].map(([projectId, clusters]) => queueOf(projectId, inTurns(clusters))),
      quantum,
    );
  }

  /** Chooses calls. What is chosen or paused is no longer in hand, and what is chosen is kept. @param share of the driver's rate that is ours */
  choose(
    circuits: Circuits,
    nowMs: number,
    room: number,
    share: number,
  ): { readonly calls: readonly Call[]; readonly paused: readonly Paused[]; readonly giveBack: () => void } {
    this.turn += 1;
    const allowed = this.rate?.allowed(nowMs, share) ?? Number.POSITIVE_INFINITY;
    const { calls, left, paused } = this.fillCalls(circuits, { nowMs, calls: Math.min(allowed, this.driver.maxCallsInFlight - this.calls), room });
    this.inOrder = left;
    return { calls, paused, giveBack: this.keep(calls.length, calls.filter((call) => call.verb === "create").length) };
  }

  /** When the rate lets another call through, where anybody waits for that, ms. Call it after `choose`. */
  nextCallMs(share: number): number | null {
    return this.rate === null || this.waiting === 0 || this.calls >= this.driver.maxCallsInFlight ? null : this.rate.waitMs(share);
  }

  /** How many nodes a call or several could take now; 0 while anybody waits. */
  free(verb: Verb, nowMs: number, share: number): number {
    if (this.waiting > 0) return 0;
    const allowed = this.rate?.allowed(nowMs, share) ?? Number.POSITIVE_INFINITY;
    const calls = Math.min(allowed, this.driver.maxCallsInFlight - this.calls, verb === "create" ? this.mostCreates - this.creates : allowed);
    return Math.max(0, Math.floor(calls)) * this.driver.batchSize;
  }

  /** Keeps so many calls from everybody else, also of the rate. Returns what gives them back. @param creates so many of them make nodes */
  keep(calls: number, creates: number): () => void {
    this.calls += calls;
    this.creates += creates;
    this.rate?.take(calls);
    return () => {
      this.calls -= calls;
      this.creates -= creates;
      this.rate?.take(-calls);
    };
  }

  private get mostCreates(): number {
    return Math.ceil(this.driver.maxCallsInFlight * createShare);
  }

  /** A call is under way: what was kept for it is given back before. Returns what is to be done when it is over. */
  started(call: Call): () => void {
    const create = call.verb === "create" ? 1 : 0;
    this.calls += 1;
    this.creates += create;
    this.rate?.take(1);
    const flows = call.tasks.flatMap(({ task }) => [this.flowOf(task.projectId), this.flowOf(clusterKey(task))]);
    for (const flow of flows) {
      flow.underWay += 1;
      flow.waitsSince = this.turn;
    }
    return () => {
      this.calls -= 1;
      this.creates -= create;
      for (const flow of flows) flow.underWay -= 1;
    };
  }

  private flowOf(key: string): Flow {
    const flow = this.flows.get(key) ?? { underWay: 0, waitsSince: this.turn };
    this.flows.set(key, flow);
    return flow;
  }

  /** Fills calls with what is in hand, in its order. */
  private fillCalls(
    circuits: Circuits,
    allowance: Allowance,
  ): { readonly calls: readonly Call[]; readonly left: readonly Waiting[]; readonly paused: readonly Paused[] } {
    const calls: OpenCall[] = [];
    const open = new Map<string, OpenCall>();
    const left: Waiting[] = [];
    const paused: Paused[] = [];
    const probed = new Set<string>();
    let { room } = allowance;
    let creates = this.mostCreates - this.creates;
    for (const waiting of this.inOrder) {
      const { task, profile, verb } = waiting;
      const provider = providerKey(task, verb);
      const gate = circuits.gate(provider, allowance.nowMs);
      if (gate.kind === "wait" || probed.has(provider)) {
        paused.push({ task, ms: gate.kind === "wait" && gate.ms > 0 ? gate.ms : whileProbingMs });
        continue;
      }
      const probe = gate.kind === "probe";
      const kind = `${verb}/${task.kind}`;
      const known = probe ? undefined : open.get(kind);
      const fits = known !== undefined && known.tasks.length < this.driver.batchSize;
      if (room <= 0 || (!fits && (calls.length >= allowance.calls || (verb === "create" && creates <= 0)))) {
        left.push(waiting);
        continue;
      }
      const call: OpenCall = fits ? known : { driver: this.driver, verb, tasks: [], probe };
      if (!fits) {
        calls.push(call);
        if (verb === "create") creates -= 1;
      }
      if (probe) probed.add(provider);
      else open.set(kind, call);
      call.tasks.push({ task, profile });
      room -= 1;
    }
    return { calls, left, paused };
  }
}

function clusterKey(task: DueTask): string {
  return task.clusterId ?? `${task.projectId}/`;
}
