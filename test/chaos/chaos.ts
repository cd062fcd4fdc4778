/**
 * One chaos run: mixed load over several clusters while processes are killed, frozen, cut off and restarted at random, then peace, then every invariant.
 * The same seed plans the same faults and asks the same; how they interleave is the machine's doing.
 */
import { createCluster } from "../../src/commands/cluster.ts";
import { createProfile } from "../../src/commands/profile.ts";
import { encodeId } from "../../src/core/ids.ts";
import type { Runtime } from "../../src/core/runtime.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { must } from "../support/cluster.ts";
import { type Noted, notedOf, runClient } from "./client.ts";
import { commandContext } from "./command-context.ts";
import { type FaultKind, planFaults } from "./fault-plan.ts";
import { follow } from "./follower.ts";
import { type Installation, startInstallation } from "./installation.ts";
import { broken } from "./invariants.ts";
import { type RestDeps, removeAll, settle, staysQuiet } from "./rest.ts";
import { strike } from "./strike.ts";
import { type Takeover, watchLanes } from "./watcher.ts";
import { profiles, tally } from "./wish.ts";

export interface ChaosOptions {
  readonly seed: number;
  /** How long there are load and faults; peace and the checks come on top. */
  readonly stormMs: number;
  readonly everyMs: number;
  readonly workers: number;
  readonly apis: number;
  readonly clients: number;
}

export interface ChaosResult {
  readonly broken: readonly string[];
  readonly mutations: {
    readonly asked: number;
    readonly accepted: number;
    readonly refused: number;
    /** How often each was the reason, without names and numbers; the most frequent first. */
    readonly refusals: readonly (readonly [string, number])[];
    readonly repeated: number;
  };
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly provider: { readonly calls: number; readonly created: number; readonly fencedOff: number };
  readonly events: number;
  readonly resumed: number;
  /** How long lanes of a worker that was struck, and nothing else meanwhile, had no other owner. */
  readonly takeovers: readonly Takeover[];
  readonly settledMs: number;
  /** Where the database is kept, when something is broken. */
  readonly folder: string;
}

export async function runChaos(options: ChaosOptions, runtime: Runtime): Promise<ChaosResult> {
  const { timers, clock } = runtime;
  const installation = await startInstallation(timers, options);
  const db = openDatabase({ url: installation.url, size: 4, applicationName: "chaos" });
  let result: ChaosResult | null = null;
  try {
    const watcher = watchLanes(db, runtime);
    const follower = await follow(installation.clients, timers);
    const journal: Noted[] = [await prepare(installation, db, runtime)];
    const over = new AbortController();
    const clients = Array.from({ length: options.clients }, (_, n) =>
      runClient({ seed: options.seed * 1_000 + n, name: `client${n}`, apis: installation.clients, timers, journal, done: over.signal }),
    );
    const plan = planFaults(options.seed, { ...options, durationMs: options.stormMs });
    const stormAtMs = clock.monotonicMs();
    const { done } = await strike(installation, plan, watcher, runtime);
    await timers.wait(Math.max(0, options.stormMs - (clock.monotonicMs() - stormAtMs)));
    over.abort();
    await Promise.all(clients);
    const [api] = installation.clients;
    if (api === undefined) throw new Error("there is no API");
    const rest: RestDeps = { db, provider: installation.provider, api, runtime, journal };
    const peaceAtMs = clock.monotonicMs();
    const unrest = await settle(rest);
    const settledMs = clock.monotonicMs() - peaceAtMs;
    const evidence = { db, provider: installation.provider, api, journal, follower };
    const breaches = [...unrest, ...(await staysQuiet(rest)), ...(await broken(evidence)), ...watcher.breaches, ...installation.fallen];
    const books = await installation.provider.books();
    if (breaches.length === 0) breaches.push(...(await removeAll(rest)));
    await watcher.stop();
    await follower.stop();
    result = {
      broken: breaches,
      mutations: {
        asked: journal.length,
        accepted: journal.filter(({ accepted }) => accepted.size > 0).length,
        refused: journal.filter(({ accepted }) => accepted.size === 0).length,
        refusals: refusalsIn(journal),
        repeated: journal.reduce((sum, { lost }) => sum + lost.length, 0),
      },
      faults: done,
      provider: { calls: books.total, created: books.created, fencedOff: books.fencedOff },
      events: follower.ids.length,
      resumed: follower.resumed(),
      takeovers: watcher.takeovers,
      settledMs,
      folder: installation.postgres.folder,
    };
    return result;
  } finally {
    await db.destroy();
    await installation.stop({ keep: result === null || result.broken.length > 0 });
  }
}

function refusalsIn(journal: readonly Noted[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { accepted, refused } of journal) {
    const [first] = accepted.size === 0 ? refused : [];
    const kind = (first ?? "")
      .replace(/\s+/g, " ")
      .replace(/\b(cluster|node) \S+(?= (is|are|has|in)\b)/g, "$1 …")
      .replace(/\d+/g, "N");
    if (kind !== "") counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

/** Profiles, and the cluster that counts. Made by the commands themselves: before the storm there is nothing to be proved. */
async function prepare(installation: Installation, db: Database, runtime: Runtime): Promise<Noted> {
  const context = await commandContext(installation, db, runtime);
  for (const [name, spec] of Object.entries(profiles)) must(await createProfile(context, { name, type: "sim", spec }));
  const noted = notedOf("prepare", { kind: "create", cluster: tally, size: 0 });
  const input = { name: tally, profile: { name: "quick" }, desiredCapacity: 0, minSize: 0, timeoutSeconds: 3_600, idempotencyKey: noted.key };
  noted.accepted.add(encodeId("action", must(await createCluster(context, input)).actionId));
  return noted;
}
