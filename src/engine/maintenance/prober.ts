/**
 * The prober: reads a second ahead which members of this worker's lanes are to be probed, probes them at their time, and reports what
 * changes (`probe-verdict.ts`). At rest it keeps nothing per member, and asks for nothing where nothing is probed.
 */
import type { NodeId } from "../../core/ids.ts";
import type { Logger } from "../../core/runtime.ts";
import type { Driver, ProbePlan } from "../../drivers/driver.ts";
import { hasProbes, listProbes, type ProbedNode, readProbes } from "../../store/probe.ts";
import { readClock, type Store } from "../../store/transaction.ts";
import { isSameHold, type LaneBook } from "../lane-book.ts";
import { type Loop, startLoop } from "../loop.ts";
import type { Outbox } from "../outbox.ts";
import type { KnownProfile, SpecCache } from "../specs.ts";
import { type ProbeResult, probeHttp, probeTcp } from "./probe-call.ts";
import { createProbeVerdicts, type ProbeVerdicts } from "./probe-verdict.ts";

export interface Prober {
  /** Members that have just begun to run: probed at once and often until they answer, so that they count as soon as they work. */
  welcome(ids: readonly NodeId[]): void;
  stop(): Promise<void>;
}

interface ProberDeps {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly specs: SpecCache;
  readonly outbox: Outbox;
  readonly logger: Logger;
}

/** How far ahead due probes are read, ms. */
const spanMs = 1_000;
/** How long a comparison with the database's clock is relied on: no two clocks run apart by a span in that time, ms. */
const compareMs = 10_000;
/** How long it is relied on whether any member of the same lanes is probed, ms: one that begins to be is welcomed here. */
const knownMs = 10_000;
/** Probes under way at most; what is due beyond it waits. */
const underWayLimit = 256;
/** The first probes of a member that has just begun to run, ms after each other. */
const welcomeMs = [20, 40, 80, 120, 160, 240, 320, 480] as const;

export function startProber(deps: ProberDeps): Prober {
  const schedule = new Schedule(deps);
  return { welcome: (ids) => schedule.welcome(ids), stop: () => schedule.stop() };
}

class Schedule {
  private readonly stopping = new AbortController();
  private readonly running = new Set<Promise<void>>();
  private readonly deps: ProberDeps;
  private readonly verdicts: ProbeVerdicts;
  private readonly loop: Loop;
  private readUntilMs = 0;
  /** How far the database's clock is ahead of our monotonic one, and when that was last looked at. */
  private aheadMs = 0;
  private comparedAtMs = Number.NEGATIVE_INFINITY;
  /** Whether any member of these lanes is probed, as far as is known; null: that has to be asked. */
  private known: { readonly held: ReadonlyMap<number, bigint>; readonly probed: boolean; readonly untilMs: number } | null = null;
  private welcomes = 0;

  constructor(deps: ProberDeps) {
    this.deps = deps;
    this.verdicts = createProbeVerdicts(deps);
    this.loop = startLoop({ name: "prober", timers: deps.store.runtime.timers, logger: deps.logger }, () => this.turn());
  }

  welcome(ids: readonly NodeId[]): void {
    if (this.stopping.signal.aborted || ids.length === 0) return;
    this.known = null;
    this.welcomes++;
    this.track(this.welcomeAll(ids.slice(0, underWayLimit)));
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.loop.stop();
    await Promise.all(this.running);
  }

  private track(work: Promise<void>): void {
    const kept = work.catch((error: unknown) => this.deps.logger.warn({ error }, "a probe broke off")).finally(() => this.running.delete(kept));
    this.running.add(kept);
  }

  private async turn(): Promise<number> {
    const { store, lanes } = this.deps;
    const held = new Map(lanes.held);
    if (!(await this.isAnyProbed(held))) return spanMs;
    const nowMs = await this.databaseNowMs();
    // A gap (the first turn, a pause of the database) is not made up for: the next probe is the one that counts.
    const fromMs = this.readUntilMs < nowMs - spanMs || this.readUntilMs > nowMs + spanMs ? nowMs : this.readUntilMs;
    this.readUntilMs = fromMs + spanMs;
    const nodes = await listProbes(store.db, [...held.keys()], fromMs, spanMs);
    if (nodes.length > 0) this.track(this.fire(nodes, await this.profilesOf(nodes), fromMs - nowMs));
    return Math.max(1, this.readUntilMs - nowMs - 100);
  }

  private async isAnyProbed(held: ReadonlyMap<number, bigint>): Promise<boolean> {
    const { store } = this.deps;
    const nowMs = store.runtime.clock.monotonicMs();
    if (this.known === null || nowMs >= this.known.untilMs || !isSameHold(this.known.held, held)) {
      const { welcomes } = this;
      const found = held.size > 0 && (await hasProbes(store.db, [...held.keys()]));
      // Whoever came while it was asked may not have been seen.
      this.known = { held, probed: found || welcomes !== this.welcomes, untilMs: nowMs + knownMs };
    }
    return this.known.probed;
  }

  /** By the database's clock, whole ms since 1970. */
  private async databaseNowMs(): Promise<number> {
    const { clock } = this.deps.store.runtime;
    if (clock.monotonicMs() - this.comparedAtMs > compareMs) {
      const now = await readClock(this.deps.store.db);
      this.comparedAtMs = clock.monotonicMs();
      this.aheadMs = now.getTime() - this.comparedAtMs;
    }
    return Math.round(clock.monotonicMs() + this.aheadMs);
  }

  private profilesOf(nodes: readonly ProbedNode[]): Promise<ReadonlyMap<string, KnownProfile>> {
    return this.deps.specs.get(
      this.deps.store.db,
      nodes.map((node) => node.profileId),
    );
  }

  /** Fires the probes of a span in order of time. */
  private async fire(nodes: readonly ProbedNode[], profiles: ReadonlyMap<string, KnownProfile>, startsInMs: number): Promise<void> {
    const { clock, timers } = this.deps.store.runtime;
    const zeroMs = clock.monotonicMs() + startsInMs;
    for (const { node, atMs } of shotsOf(nodes)) {
      await timers.wait(Math.max(0, zeroMs + atMs - clock.monotonicMs()), this.stopping.signal);
      if (this.stopping.signal.aborted) return;
      if (this.running.size > underWayLimit) await Promise.race(this.running);
      const profile = profiles.get(node.profileId);
      if (profile?.probe != null) this.track(this.probeOnce(node, profile, profile.probe).then(() => undefined));
    }
  }

  /** True: the member answered well. */
  private async probeOnce(node: ProbedNode, profile: KnownProfile, plan: ProbePlan): Promise<boolean> {
    const epoch = this.deps.lanes.held.get(node.lane);
    if (epoch === undefined) return false;
    const result = await probe(node, profile, plan, this.stopping.signal);
    if (this.stopping.signal.aborted) return false;
    this.verdicts.tell(node, plan, epoch, result);
    return result.ok;
  }

  private async welcomeAll(ids: readonly NodeId[]): Promise<void> {
    const nodes = await readProbes(this.deps.store.db, ids);
    const profiles = await this.profilesOf(nodes);
    for (const node of nodes) {
      const profile = profiles.get(node.profileId);
      if (profile?.probe != null) this.track(this.welcomeOne(node, profile, profile.probe));
    }
  }

  private async welcomeOne(node: ProbedNode, profile: KnownProfile, plan: ProbePlan): Promise<void> {
    for (const pauseMs of welcomeMs) {
      if (pauseMs > plan.intervalMs) return;
      await this.deps.store.runtime.timers.wait(pauseMs, this.stopping.signal);
      if (this.stopping.signal.aborted || (await this.probeOnce(node, profile, plan))) return;
    }
  }
}

/** The probes of a span, in order of time: a short interval comes several times. */
function shotsOf(nodes: readonly ProbedNode[]): { readonly node: ProbedNode; readonly atMs: number }[] {
  return nodes
    .flatMap((node) => {
      const times: { node: ProbedNode; atMs: number }[] = [];
      for (let atMs = node.inMs; atMs < spanMs; atMs += node.intervalMs) times.push({ node, atMs });
      return times;
    })
    .sort((a, b) => a.atMs - b.atMs);
}

async function probe(node: ProbedNode, profile: KnownProfile, plan: ProbePlan, signal: AbortSignal): Promise<ProbeResult> {
  const { check, timeoutMs } = plan;
  if (check.kind === "command") return probeCommand(profile.driver, node, profile, check.command, timeoutMs);
  const address = addressOf(node, check.port);
  if (address === null) return { ok: false, message: `the driver reported no address named ${check.port}` };
  return check.kind === "http" ? probeHttp(address, check.path, timeoutMs, signal) : probeTcp(address, timeoutMs, signal);
}

/** Probes go to addresses that the driver reported, and nowhere else. */
function addressOf(node: ProbedNode, name: string): { readonly host: string; readonly port: number } | null {
  if (!Array.isArray(node.addresses)) return null;
  for (const address of node.addresses) {
    if (address === null || typeof address !== "object" || Array.isArray(address)) continue;
    const { host, port } = address;
    if (address["name"] === name && typeof host === "string" && typeof port === "number") return { host, port };
  }
  return null;
}

async function probeCommand(
  driver: Driver,
  node: ProbedNode,
  profile: KnownProfile,
  command: readonly string[],
  timeoutMs: number,
): Promise<ProbeResult> {
  if (driver.runProbe === undefined) return { ok: false, message: `${driver.type} runs no commands` };
  return driver.runProbe({ ...node, spec: profile.open(), attempt: 1 }, command, timeoutMs);
}
