/**
 * The prober: reads a second ahead which members of this worker's lanes are to be probed, probes them at their time, and reports what
 * changes. At rest it keeps nothing per member: a count exists only while a member fails.
 */
import type { NodeId } from "../../core/ids.ts";
import type { Logger } from "../../core/runtime.ts";
import type { Driver, ProbePlan } from "../../drivers/driver.ts";
import { listProbes, type ProbedNode, readProbes } from "../../store/probe.ts";
import { readClock, type Store } from "../../store/transaction.ts";
import type { LaneBook } from "../lane-book.ts";
import { startLoop } from "../loop.ts";
import type { Outbox } from "../outbox.ts";
import type { KnownProfile, SpecCache } from "../specs.ts";
import { type ProbeResult, probeHttp, probeTcp } from "./probe.ts";

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
/** Probes under way at most; what is due beyond it waits. */
const underWayLimit = 256;
/** The first probes of a member that has just begun to run, ms after each other. */
const welcomeMs = [20, 40, 80, 120, 160, 240, 320, 480] as const;

interface Streak {
  failures: number;
  successes: number;
}

export function startProber(deps: ProberDeps): Prober {
  const { store, lanes } = deps;
  const { timers, clock } = store.runtime;
  const stopping = new AbortController();
  const streaks = new Map<NodeId, Streak>();
  const running = new Set<Promise<void>>();
  let readUntilMs = 0;

  const track = (work: Promise<void>): void => {
    const kept = work.catch((error: unknown) => deps.logger.warn({ error }, "a probe broke off")).finally(() => running.delete(kept));
    running.add(kept);
  };

  const turn = async (): Promise<number> => {
    const held = [...lanes.held.keys()];
    const nowMs = (await readClock(store.db)).getTime();
    // A gap (the first turn, a pause of the database) is not made up for: the next probe is the one that counts.
    const fromMs = readUntilMs < nowMs - spanMs || readUntilMs > nowMs + spanMs ? nowMs : readUntilMs;
    readUntilMs = fromMs + spanMs;
    const nodes = held.length === 0 ? [] : await listProbes(store.db, held, fromMs, spanMs);
    const profiles = await deps.specs.get(
      store.db,
      nodes.map((node) => node.profileId),
    );
    if (nodes.length > 0) track(fire(nodes, profiles, fromMs - nowMs));
    return Math.max(1, readUntilMs - nowMs - 100);
  };
  const loop = startLoop({ name: "prober", timers, logger: deps.logger }, turn);

  /** Fires the probes of a span in order of time. */
  const fire = async (nodes: readonly ProbedNode[], profiles: ReadonlyMap<string, KnownProfile>, startsInMs: number): Promise<void> => {
    const zeroMs = clock.monotonicMs() + startsInMs;
    const shots = nodes
      .flatMap((node) => {
        const times: { node: ProbedNode; atMs: number }[] = [];
        for (let atMs = node.inMs; atMs < spanMs; atMs += node.intervalMs) times.push({ node, atMs });
        return times;
      })
      .sort((a, b) => a.atMs - b.atMs);
    for (const { node, atMs } of shots) {
      await timers.wait(Math.max(0, zeroMs + atMs - clock.monotonicMs()), stopping.signal);
      if (stopping.signal.aborted) return;
      if (running.size > underWayLimit) await Promise.race(running);
      const profile = profiles.get(node.profileId);
      if (profile?.probe != null) track(probeOnce(node, profile, profile.probe).then(() => undefined));
    }
  };

  /** Probes and reports. True: the member answered well. */
  const probeOnce = async (node: ProbedNode, profile: KnownProfile, plan: ProbePlan): Promise<boolean> => {
    const epoch = lanes.held.get(node.lane);
    if (epoch === undefined) return false;
    const result = await probe(node, profile, plan, stopping.signal);
    if (stopping.signal.aborted) return false;
    const streak = streaks.get(node.id) ?? { failures: 0, successes: 0 };
    streak.failures = result.ok ? 0 : streak.failures + 1;
    streak.successes = result.ok ? streak.successes + 1 : 0;
    const steady = result.ok && node.health === "HEALTHY";
    if (steady) streaks.delete(node.id);
    else streaks.set(node.id, streak);
    const atMs = clock.wallMs();
    const starting = atMs - node.startedAt.getTime() < plan.startPeriodMs && node.health === "UNKNOWN";
    // The first answer of a member that is starting is enough; later, as many as the profile asks for. Failures that proved nothing
    // while it was starting count as soon as it no longer is.
    const well = result.ok && !steady && (starting || streak.successes >= plan.successThreshold);
    const sick = !result.ok && !starting && streak.failures >= plan.failureThreshold;
    if (well || sick) {
      deps.outbox.push({
        from: "watch",
        nodeId: node.id,
        profileId: node.profileId,
        lane: node.lane,
        epoch,
        observation: {
          nodeId: node.id,
          epoch: node.epoch,
          subject: "WORKLOAD",
          status: well ? "HEALTHY" : "UNHEALTHY",
          reason: well ? "PROBE_OK" : "PROBE_FAILED",
          message: result.message,
          observedAtMs: atMs,
        },
      });
      streaks.delete(node.id);
    }
    return result.ok;
  };

  const welcome = async (ids: readonly NodeId[]): Promise<void> => {
    const nodes = await readProbes(store.db, ids);
    const profiles = await deps.specs.get(
      store.db,
      nodes.map((node) => node.profileId),
    );
    for (const node of nodes) {
      const profile = profiles.get(node.profileId);
      if (profile?.probe != null) track(welcomeOne(node, profile, profile.probe));
    }
  };
  const welcomeOne = async (node: ProbedNode, profile: KnownProfile, plan: ProbePlan): Promise<void> => {
    for (const pauseMs of welcomeMs) {
      if (pauseMs > plan.intervalMs) return;
      await timers.wait(pauseMs, stopping.signal);
      if (stopping.signal.aborted || (await probeOnce(node, profile, plan))) return;
    }
  };

  return {
    welcome: (ids) => {
      if (!stopping.signal.aborted && ids.length > 0) track(welcome(ids.slice(0, underWayLimit)));
    },
    stop: async () => {
      stopping.abort();
      await loop.stop();
      await Promise.all(running);
    },
  };
}

async function probe(node: ProbedNode, profile: KnownProfile, plan: ProbePlan, signal: AbortSignal): Promise<ProbeResult> {
  const { check, timeoutMs } = plan;
  if (check.kind === "command") return probeCommand(profile.driver, node, profile, check.command, timeoutMs);
  const address = addressOf(node, check.port);
  if (address === null) return { ok: false, message: `the driver reported no address named ${check.port}` };
  return check.kind === "http" ? probeHttp(address, check.path, timeoutMs, signal) : probeTcp(address, timeoutMs, signal);
}

/** Probes go to addresses that the driver reported, and nowhere else (DESIGN.md §9). */
function addressOf(node: ProbedNode, name: string): { readonly host: string; readonly port: number } | null {
  if (!Array.isArray(node.addresses)) return null;
  for (const address of node.addresses) {
    if (address === null || typeof address !== "object" || Array.isArray(address)) continue;
    const { host, port } = address;
    if (address["name"] === name && typeof host === "string" && typeof port === "number") return { host, port };
  }
  return null;
}

async function probeCommand(driver: Driver, node: ProbedNode, profile: KnownProfile, command: readonly string[], timeoutMs: number): Promise<ProbeResult> {
  if (driver.runProbe === undefined) return { ok: false, message: `${driver.type} runs no commands` };
  return driver.runProbe({ ...node, clusterName: null, spec: profile.open(), attempt: 1 }, command, timeoutMs);
}
