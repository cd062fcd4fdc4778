/** One seed: a small installation, wishes, faults; then peace, in which everything must settle; then the end of it all. */
import { deleteCluster } from "../../src/commands/cluster.ts";
import { recoverCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { deleteClusterNode } from "../../src/commands/node.ts";
import { createProfile } from "../../src/commands/profile.ts";
import { brandId, type ClusterId, encodeId, type ProfileId } from "../../src/core/ids.ts";
import { limitsWith } from "../../src/core/limits.ts";
import type { DriverCatalog, Idempotency } from "../../src/drivers/driver.ts";
import { startSequencer } from "../../src/engine/sequencer.ts";
import { startWorker } from "../../src/engine/worker.ts";
import { type Feed, startFeed } from "../../src/live/feed.ts";
import { createVault } from "../../src/store/vault.ts";
import { inconsistencies } from "../support/consistency.ts";
import { type ApiProcess, Client, cancellation, drawWish, type Fleet, newCluster } from "./client.ts";
import { type Dice, dice } from "./dice.ts";
import { breaches } from "./invariant.ts";
import { SimulatedProcess } from "./process.ts";
import { Provider, type ProviderMood } from "./provider.ts";
import type { SimulatedServer } from "./server.ts";
import { type FaultRates, Stage } from "./stage.ts";
import { Subscriber } from "./subscriber.ts";
import { createTrace } from "./trace.ts";

export interface Run {
  readonly seed: number;
  readonly hash: string;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly violations: readonly string[];
}

const vault = createVault([new Uint8Array(32).fill(7)]);
/** How long peace may last until everything has settled, simulated ms. */
const patienceMs = 75_000;
/** Steps after which a seed counts as one that never ends. */
const mostSteps = 30_000;
/** Clusters in all, those that are gone included. */
const mostFleets = 5;
const kinds: readonly Idempotency[] = ["keyed", "listed", "blind"];

export async function runSeed(server: SimulatedServer, seed: number, print: ((line: string) => void) | null = null): Promise<Run> {
  await server.reset();
  const trace = createTrace(print);
  const stage = new Stage(server, dice(`muster ${seed}`), trace);
  const scenario = new Scenario(stage);
  let over = false;
  const directed = scenario.direct().then(
    () => {
      over = true;
    },
    (error: unknown) => {
      stage.violate(`the scenario broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    },
  );
  while (!over && stage.violations.length === 0) {
    if (!(await stage.step())) stage.violate("nothing will ever happen any more");
    if (trace.steps > mostSteps) stage.violate(`no end after ${mostSteps} steps: ${scenario.waitsFor}`);
  }
  await stage.clear();
  if (over) await directed;
  return { seed, hash: trace.hash(), steps: trace.steps, simulatedMs: stage.nowMs, faults: stage.faults, violations: stage.violations };
}

interface Api extends ApiProcess {
  feed: Feed | null;
}

class Scenario {
  waitsFor = "";
  private readonly stage: Stage;
  private readonly own: Dice;
  private readonly provider: Provider;
  private readonly clients: Client[];
  private readonly subscribers: Subscriber[] = [];
  private readonly fleets: Fleet[] = [];
  private apis: Api[] = [];
  private installation = "";
  private projectId = brandId("project", "");
  private started = 0;
  private founded = 0;

  constructor(stage: Stage) {
    this.stage = stage;
    this.own = stage.dice.fork("scenario");
    this.provider = new Provider(stage);
    this.clients = [1, 2].map((n) => new Client(stage, `client-${n}`, () => this.apis.filter((api) => api.process.alive)));
  }

  async direct(): Promise<void> {
    const { stage, own } = this;
    const [base] = await stage.look<{ id: string; project: string; incarnation: number }>(
      "select i.id, p.id as project, l.incarnation from muster.installation i, muster.project p, muster.ledger l where p.name = 'default'",
    );
    if (base === undefined) throw new Error("the database is not migrated");
    this.installation = base.id;
    this.projectId = brandId("project", base.project);
    const start = { incarnation: base.incarnation, position: 0n, ordinal: 2 ** 31 - 1 };
    const workers = own.between(2, 3);
    const apis = own.between(1, 2);
    for (let i = 0; i < workers; i++) this.startWorker(i);
    for (let i = 0; i < apis; i++) this.startApi(i);
    for (let i = 0; i < 1; i++) {
      const subscriber = new Subscriber(stage, `subscriber-${i}`, start, () => this.apis.filter((api) => api.process.alive));
      this.subscribers.push(subscriber);
      void subscriber.follow();
    }
    await this.found();
    const failing = await this.war();
    await this.settle();
    await this.quiet();
    await this.change();
    stage.violations.push(...(await stage.outside(breaches({ ...this.witnesses(), failing }))));
    if (stage.violations.length > 0) return;
    await this.end();
    stage.violations.push(...(await stage.outside(breaches({ ...this.witnesses(), failing }))));
    const left = this.provider.living().filter((thing) => thing.type !== "blind");
    if (left.length > 0) stage.violate(`${left.map((thing) => thing.id).join(", ")} live after everything was deleted`);
  }

  private witnesses(): { server: SimulatedServer; provider: Provider; clients: readonly Client[]; subscribers: readonly Subscriber[] } {
    return { server: this.stage.server, provider: this.provider, clients: this.clients, subscribers: this.subscribers };
  }

  private startWorker(slot: number): void {
    const { stage } = this;
    const process = new SimulatedProcess(stage, `worker-${slot}.${++this.started}`, "worker");
    stage.processes.push(process);
    const drivers: DriverCatalog = new Map(kinds.map((kind) => [kind, this.provider.driver(kind, process)]));
    const { db, runtime, store, logger } = process;
    const openSession = () => process.openSession();
    startSequencer({ store, openSession, logger });
    startWorker({
      db,
      runtime,
      wake: store.wake,
      openSession,
      drivers,
      vault,
      logger,
      installation: this.installation,
      host: { id: brandId("host", `00000000-0000-7000-8000-00000000000${slot}`), name: `host-${slot}`, incarnation: "1", folder: "1" },
      pid: slot,
      version: "simulated",
      applicationName: process.name,
    });
  }

  private startApi(slot: number): void {
    const { stage } = this;
    const process = new SimulatedProcess(stage, `api-${slot}.${++this.started}`, "api");
    stage.processes.push(process);
    const { store, logger } = process;
    const openSession = () => process.openSession();
    startSequencer({ store, openSession, logger });
    const limits = limitsWith({ streamEvents: 12 });
    const context: CommandContext = {
      store,
      principal: {
        tokenId: brandId("token", "00000000-0000-7000-8000-000000000001"),
        tokenName: "simulated",
        projectId: this.projectId,
        role: "OPERATOR",
        expiresAtMs: null,
      },
      drivers: new Map(kinds.map((kind) => [kind, this.provider.driver(kind, process)])),
      vault,
      limits,
      processPolicy: { mode: "off" },
    };
    const api: Api = { process, context, feed: null };
    this.apis.push(api);
    void startFeed({ store, openSession, logger, limits }).then((feed) => {
      api.feed = feed;
    });
  }

  /** Profiles and clusters, made before the first fault. */
  private async found(): Promise<void> {
    const { own } = this;
    const [client] = this.clients;
    if (client === undefined) throw new Error("there is no client");
    const count = own.between(1, 2);
    for (let i = 0; i < count; i++) {
      const type = own.pick(["keyed", "keyed", "listed", "listed", "blind"] as const);
      const profiles: string[] = [];
      // One that differs in place, and one by which members are made anew.
      for (const [which, spec] of Object.entries({ old: {}, label: { label: "b" }, new: { version: 2 } })) {
        const profile = await client.ask("create profile", (c, idempotencyKey) =>
          createProfile(c, { name: `profile-${i}-${which}`, type, spec, idempotencyKey }),
        );
        profiles.push(encodeId("profile", brandId("profile", profile?.["profileId"] ?? "") as ProfileId));
      }
      await this.foundFleet(client, type, profiles, own.between(1, 5));
    }
  }

  private async foundFleet(client: Client, type: string, profiles: readonly string[], size: number): Promise<void> {
    const name = `fleet-${this.founded++}`;
    const answer = await client.ask(`create ${name}`, newCluster(name, profiles[0] ?? "", size));
    if (answer === null) return;
    const clusterId = answer["clusterId"] ?? "";
    this.fleets.push({ id: encodeId("cluster", brandId("cluster", clusterId) as ClusterId), clusterId, type, profiles, gone: false });
  }

  /** Wishes and faults; returns whether the provider was bad, too. */
  private async war(): Promise<boolean> {
    const { stage, own } = this;
    const pure = own.chance(0.3);
    const rates: FaultRates = { step: own.pick([0.004, 0.01, 0.02]), commit: own.pick([0.01, 0.05]), wake: own.pick([0.05, 0.5]) };
    const mood: ProviderMood = pure
      ? { refused: 0, lost: 0, slow: 0, impossible: 0 }
      : { refused: own.pick([0, 0.2]), lost: own.pick([0, 0.2]), slow: own.pick([0, 0.15]), impossible: own.pick([0, 0, 0.05]) };
    stage.rates = rates;
    this.provider.mood = mood;
    const lastsMs = own.pick([1_500, 2_500, 4_000, 8_000]);
    const endsMs = stage.nowMs + lastsMs;
    for (const process of stage.processes) process.weight = own.pick([1, 1, 1, 0.1]);
    stage.onKilled = (process) => {
      this.apis = this.apis.filter((api) => api.process !== process);
      const slot = Number(/-(\d+)\./.exec(process.name)?.[1] ?? 0);
      stage.in(own.between(50, 3_000), () => (process.kind === "worker" ? this.startWorker(slot) : this.startApi(slot)));
    };
    const wishing = this.clients.map((client, i) => this.wishUntil(client, own.fork(`wishes ${i}`), endsMs));
    void this.watchUntil(endsMs, own.fork("looks"));
    while (!pure && stage.nowMs < endsMs) {
      await stage.wait(own.between(100, 1_500));
      this.provider.killOne();
    }
    await stage.wait(Math.max(0, endsMs - stage.nowMs));
    stage.peace();
    this.provider.mood = null;
    this.waitsFor = "clients to be told what became of their wishes";
    await Promise.all(wishing);
    return !pure;
  }

  private async wishUntil(client: Client, own: Dice, endsMs: number): Promise<void> {
    while (this.stage.nowMs < endsMs) {
      await this.stage.wait(own.between(1, 500));
      const fleet = own.pick(this.fleets);
      if (fleet.gone && this.fleets.length < mostFleets && own.chance(0.7)) {
        await this.foundFleet(client, fleet.type, fleet.profiles, own.between(0, 3));
        continue;
      }
      const { what, wish } = await drawWish(this.stage, own, fleet);
      const answer = await client.ask(`${what} ${fleet.type}`, wish);
      if (what !== "delete" || answer === null) continue;
      fleet.gone = true;
      if (own.chance(0.5)) continue;
      // Mostly while its first pass is being planned.
      await this.stage.wait(own.pick([0, 3, 6, 10, 15, 100]));
      if ((await client.ask("take deletion back", cancellation(answer["actionId"] ?? ""))) !== null) fleet.gone = false;
    }
  }

  /** What holds whenever no transaction is under way holds in the midst of a war, too: what is written together is seen together. */
  private async watchUntil(endsMs: number, own: Dice): Promise<void> {
    for (;;) {
      await this.stage.wait(own.between(200, 1_500));
      if (this.stage.nowMs >= endsMs) return;
      this.stage.violations.push(...(await this.stage.outside(inconsistencies(this.stage.server.db))));
    }
  }

  private async until(what: string, look: () => Promise<readonly string[]>): Promise<void> {
    const deadline = this.stage.nowMs + patienceMs;
    let missing: readonly string[] = [];
    do {
      await this.stage.wait(200);
      missing = await look();
      this.waitsFor = `${what}: ${missing.slice(0, 5).join("; ")}`;
      if (missing.length === 0) return;
    } while (this.stage.nowMs < deadline);
    this.stage.violate(`waited ${patienceMs / 1_000} s in vain for ${this.waitsFor}`);
    await new Promise(() => undefined);
  }

  private async settle(): Promise<void> {
    const [client] = this.clients;
    for (const fleet of this.fleets) {
      await client?.ask("recover", (c, idempotencyKey) => recoverCluster(c, { cluster: { id: fleet.id }, idempotencyKey }));
    }
    const sinceMs = this.stage.nowMs;
    await this.until("everything to settle", async () => {
      // Nobody but a person can say what is to be thought of what nobody can look at.
      if (this.stage.nowMs - sinceMs > 4_000) await this.abandonUnknowable();
      return this.unsettled();
    });
  }

  private async abandonUnknowable(): Promise<void> {
    const [client] = this.clients;
    const rows = await this.stage.look<{ id: string }>(
      "select n.id from muster.node n join muster.profile p on p.id = n.profile_id where p.type = 'blind' and n.status in (9, 10) order by 1",
    );
    for (const row of rows) {
      const node = { id: encodeId("node", brandId("node", row.id)) };
      await client?.ask("abandon", (c, idempotencyKey) =>
        deleteClusterNode(c, { node, reduceDesiredCapacity: false, abandon: true, idempotencyKey }),
      );
    }
  }

  private async unsettled(): Promise<readonly string[]> {
    const rows = await this.stage.look<{ what: string }>(
      `select 'cluster ' || c.name || ' at generation ' || s.observed_generation || ' of ' || c.generation as what
         from muster.cluster c join muster.cluster_state s on s.cluster_id = c.id where not c.deleting and s.observed_generation <> c.generation
       union all
       select 'cluster ' || c.name || ' has ' || count(n.id) || ' of ' || c.desired_capacity || ' members'
         from muster.cluster c left join muster.node n on n.cluster_id = c.id where not c.deleting group by c.id having count(n.id) <> c.desired_capacity
       union all
       select 'node ' || n.name || ' has status ' || n.status || ' ' || coalesce(n.status_reason, '') from muster.node n where n.status <> 3
       union all
       select 'cluster ' || c.name || ' is still there' from muster.cluster c
        where c.deleting
       union all
       select 'action ' || a.id || ' of kind ' || a.kind || ' goes on' from muster.action a
        where a.finished_at is null
       union all
       select 'node ' || n.name || ' is of another profile than its cluster' from muster.node n join muster.cluster c on c.id = n.cluster_id
        where n.profile_id <> c.profile_id
       union all
       select 'node ' || n.name || ' has a task of kind ' || t.kind from muster.task t join muster.node n on n.id = t.node_id
       union all
       select 'batch ' || batch || ' has no position' from muster.marker order by 1`,
    );
    const [head] = await this.stage.look<{ events: bigint }>("select count(*) as events from muster.event");
    const behind = this.subscribers.filter((subscriber) => BigInt(subscriber.seen.length) < (head?.events ?? 0n));
    return [...rows.map((row) => row.what), ...behind.map((subscriber) => `a subscriber saw ${subscriber.seen.length} of ${head?.events} events`)];
  }

  /** What has settled calls no driver any more, but to look at what nobody can know. */
  private async quiet(): Promise<void> {
    this.waitsFor = "nothing";
    const knowable = this.fleets.every((fleet) => fleet.type !== "blind");
    const { effects, looks } = this.provider;
    await this.stage.wait(1_100);
    if (!knowable) return;
    if (this.provider.effects !== effects)
      this.stage.violate(`everything has settled, and drivers were asked for ${this.provider.effects - effects} more effects`);
    else if (this.provider.looks !== looks)
      this.stage.violate(`everything has settled, and drivers were asked ${this.provider.looks - looks} more times`);
  }

  /** A change of the size costs exactly what it says, when nothing else is going on. */
  private async change(): Promise<void> {
    const { stage, own } = this;
    const [client] = this.clients;
    const fleets = await stage.look<{ id: string; size: number }>("select id, desired_capacity as size from muster.cluster order by id");
    if (fleets.length === 0) return;
    const fleet = own.pick(fleets);
    const size = own.between(0, 4);
    const books = (): { made: number; taken: number } => {
      const made = this.provider.things.filter((thing) => thing.clusterId === fleet.id);
      return { made: made.length, taken: made.filter((thing) => !thing.alive).length };
    };
    const before = books();
    const cluster = { id: encodeId("cluster", brandId("cluster", fleet.id) as ClusterId) };
    await client?.ask(`change to ${size}`, (c, idempotencyKey) =>
      resizeCluster(c, { cluster, capacity: { exactly: size }, strict: false, idempotencyKey }),
    );
    await this.until("the change to settle", () => this.unsettled());
    const after = books();
    const [made, taken] = [after.made - before.made, after.taken - before.taken];
    if (made !== Math.max(0, size - fleet.size) || taken !== Math.max(0, fleet.size - size))
      stage.violate(`from ${fleet.size} to ${size} members, in peace: ${made} were made and ${taken} taken away`);
  }

  private async end(): Promise<void> {
    const [client] = this.clients;
    for (const fleet of this.fleets) {
      await client?.ask("delete", (c, idempotencyKey) =>
        deleteCluster(c, { cluster: { id: fleet.id }, abandon: fleet.type === "blind", idempotencyKey }),
      );
    }
    await this.until("everything to be gone", async () => {
      const rows = await this.stage.look<{ what: string }>(
        `select 'cluster ' || name as what from muster.cluster union all select 'node ' || name from muster.node
         union all select 'action ' || id from muster.action where finished_at is null order by 1`,
      );
      return rows.length > 0 ? rows.map((row) => row.what) : this.unsettled();
    });
  }
}
