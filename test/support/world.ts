/**
 * A Muster in one process, for tests: real PostgreSQL, store, vault, drivers and, as many as asked for, workers. `stop` ends all of it and then checks
 * what must hold after any history: the ledger folds to the tables, the kept counts are right, nothing was left behind, nobody logged an error.
 */
import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import type { CommandContext } from "../../src/commands/command.ts";
import { brandId, type ProjectId } from "../../src/core/ids.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import type { Principal, Role } from "../../src/core/principal.ts";
import type { Runtime } from "../../src/core/runtime.ts";
import type { Driver, DriverCatalog } from "../../src/drivers/driver.ts";
import { createSimDriver } from "../../src/drivers/sim/index.ts";
import type { Provider } from "../../src/drivers/sim/provider.ts";
import { startSequencer } from "../../src/engine/sequencer.ts";
import { startWorker, type Worker } from "../../src/engine/worker.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { readInstallation } from "../../src/store/installation.ts";
import { openSession, type Session } from "../../src/store/session.ts";
import type { Store } from "../../src/store/transaction.ts";
import { createVault, type Vault } from "../../src/store/vault.ts";
import { createWake } from "../../src/store/wake.ts";
import { inconsistencies, useDifferences } from "./consistency.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { foldDifferences } from "./fold.ts";
import { createTestLog, type TestLog } from "./log.ts";
import type { WorkerProcessSettings } from "./worker-process.ts";

export interface WorldOptions {
  /** Workers from the start. */
  readonly workers?: number;
  /** Where the effects of `sim` go; else they are computed. */
  readonly provider?: Provider;
  /** Drivers besides `sim`. */
  readonly drivers?: readonly Driver[];
  readonly runtime?: Runtime;
  /** false: nobody gives positions until a worker process does, or everything ends. */
  readonly sequencer?: boolean;
  /** Connections of the pool of commands, and of each worker's. */
  readonly poolSize?: number;
  /** Runs before anything else connects to the database. */
  readonly prepare?: (database: TestDatabase) => Promise<void>;
}

export interface HostPlace {
  readonly incarnation?: string;
  readonly folder?: string;
}

export interface WorldWorker {
  readonly name: string;
  stop(): Promise<void>;
}

export interface World {
  readonly database: TestDatabase;
  readonly store: Store;
  readonly vault: Vault;
  readonly drivers: DriverCatalog;
  readonly log: TestLog;
  readonly installation: string;
  /** The project `default`. */
  readonly projectId: ProjectId;
  /** Whoever asks; OPERATOR unless said otherwise. */
  context(role?: Role, projectId?: ProjectId): CommandContext;
  /** @param place where on the one test host it stands, if not where the others do */
  startWorker(place?: HostPlace): WorldWorker;
  /** A worker that reaches the database by another URL: through a proxy. */
  startWorkerThrough(url: string): WorldWorker;
  /** What a worker in a process of its own needs to join, by the URL of the provider that keeps the books of `sim`. */
  workerSettings(name: string, providerUrl: string, url?: string): WorkerProcessSettings;
  /** Waits until `look` answers something other than false, null or undefined; looks again at every change that the ledger tells. */
  until<T>(what: string, look: () => Promise<T | false | null | undefined>): Promise<T>;
  /** Ends everything, checks everything, drops the database. */
  stop(options?: StopOptions): Promise<void>;
}

export interface StopOptions {
  /** The test broke something on purpose: logged errors are no surprise. */
  readonly errorsExpected?: boolean;
  /** Rows were put straight into the tables: the ledger cannot know of them. */
  readonly withoutHistory?: boolean;
}

/** How long a test waits for what it waits for, ms: a slow machine, eight runs at once. */
const patienceMs = 30_000;
/** Wake-ups may be lost: everybody who waits for them also looks from time to time, ms. */
const pollMs = 200;

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const database = await createTestDatabase(options.poolSize === undefined ? {} : { poolSize: options.poolSize });
  await options.prepare?.(database);
  const runtime = options.runtime ?? realRuntime();
  const log = createTestLog();
  const wake = createWake(database.db, runtime);
  const store: Store = { db: database.db, runtime, wake, writer: 0 };
  const vaultKey = randomBytes(32);
  const vault = createVault([vaultKey]);
  const driverDeps = { ...runtime, logger: log };
  const sim = createSimDriver({ ...driverDeps, ...(options.provider === undefined ? {} : { provider: options.provider }) });
  const drivers: DriverCatalog = new Map([sim, ...(options.drivers ?? [])].map((driver) => [driver.type, driver]));
  const installation = (await readInstallation(database.db)).id;
  const projectId = await defaultProject(database.db);
  const sequence = (): ReturnType<typeof startSequencer> =>
    startSequencer({ store, openSession: () => openSession({ url: database.url, applicationName: "test sequencer" }), logger: log });
  let sequencer = options.sequencer === false ? null : sequence();
  const ear = await openEar(database.url);
  const hostId = brandId("host", runtime.entropy.uuid());
  const workers = new Set<WorldWorker>();
  let started = 0;

  const start = (url: string, place: HostPlace = {}): WorldWorker => {
    started += 1;
    const name = `test worker ${started}`;
    const db = openDatabase({ url, size: options.poolSize ?? 6, applicationName: name });
    const workerWake = createWake(db, runtime);
    const running: Worker = startWorker({
      db,
      runtime,
      wake: workerWake,
      openSession: () => openSession({ url, applicationName: name }),
      drivers,
      vault,
      logger: log,
      installation,
      host: { id: hostId, name: "test-host", incarnation: "test", folder: "test", ...place },
      pid: process.pid,
      version: "test",
      applicationName: name,
    });
    const worker: WorldWorker = {
      name,
      stop: async () => {
        if (!workers.delete(worker)) return;
        await running.stop();
        await workerWake.close();
        await db.destroy();
      },
    };
    workers.add(worker);
    return worker;
  };
  for (let i = 0; i < (options.workers ?? 0); i++) start(database.url);

  return {
    database,
    store,
    vault,
    drivers,
    log,
    installation,
    projectId,
    context: (role = "OPERATOR", of = projectId) => ({
      store,
      principal: principalOf(role, of),
      drivers,
      vault,
      limits: defaultLimits,
      processPolicy: { mode: "on" },
    }),
    startWorker: (place) => start(database.url, place),
    startWorkerThrough: (url) => start(url),
    workerSettings: (name, providerUrl, url = database.url) => ({ url, providerUrl, hostId, name, vaultKey: vaultKey.toString("hex") }),
    until: (what, look) => until(runtime, ear, log, what, look),
    stop: async ({ errorsExpected = false, withoutHistory = false } = {}) => {
      await Promise.all([...workers].map((worker) => worker.stop()));
      sequencer ??= sequence();
      await settleLedger(runtime, database.db);
      await sequencer.stop();
      for (const driver of drivers.values()) await driver.close?.();
      await wake.close();
      await ear.close();
      try {
        if (!withoutHistory) expect(await foldDifferences(database.db), "the ledger, folded, against the tables").toEqual([]);
        if (!withoutHistory) expect(await useDifferences(database.db), "what projects use, kept against counted").toEqual([]);
        expect(await inconsistencies(database.db), "the tables against each other").toEqual([]);
        if (!errorsExpected) expect(log.errors(), "errors that were logged").toEqual([]);
        expect(await connectionsLeft(database), "connections that were left open").toEqual([]);
      } finally {
        await database.drop();
      }
    },
  };
}

function principalOf(role: Role, projectId: ProjectId): Principal {
  return { tokenId: brandId("token", "00000000-0000-7000-8000-000000000001"), tokenName: "test", projectId, role, expiresAtMs: null };
}

async function defaultProject(db: Database): Promise<ProjectId> {
  const row = await db.selectFrom("muster.project").select("id").where("name", "=", "default").executeTakeFirstOrThrow();
  return row.id;
}

/** Hears every wake-up, as any process of ours would. */
interface Ear {
  /** Resolves at the next wake-up. */
  next(): Promise<void>;
  close(): Promise<void>;
}

async function openEar(url: string): Promise<Ear> {
  const session: Session = await openSession({ url, applicationName: "test ear" });
  let waiting: (() => void)[] = [];
  const hear = (): void => {
    const heard = waiting;
    waiting = [];
    for (const resolve of heard) resolve();
  };
  for (const channel of ["muster_work", "muster_plan", "muster_ledger", "muster_feed"] as const) await session.listen(channel, hear);
  return { next: () => new Promise((resolve) => waiting.push(resolve)), close: () => session.close() };
}

async function until<T>(runtime: Runtime, ear: Ear, log: TestLog, what: string, look: () => Promise<T | false | null | undefined>): Promise<T> {
  const deadline = runtime.clock.monotonicMs() + patienceMs;
  for (;;) {
    const change = ear.next();
    const seen = await look();
    if (seen !== false && seen !== null && seen !== undefined) return seen;
    if (runtime.clock.monotonicMs() > deadline) {
      throw new Error(`waited ${patienceMs / 1_000} s in vain: ${what}\n${log.errors().slice(-5).join("\n")}`);
    }
    const patience = new AbortController();
    await Promise.race([change, runtime.timers.wait(pollMs, patience.signal)]);
    patience.abort();
  }
}

/** Until every marker has its position: the fold reads in the ledger's order. */
async function settleLedger(runtime: Runtime, db: Database): Promise<void> {
  const deadline = runtime.clock.monotonicMs() + patienceMs;
  for (;;) {
    const { count } = await db
      .selectFrom("muster.marker")
      .select((e) => e.fn.countAll<bigint>().as("count"))
      .executeTakeFirstOrThrow();
    if (count === 0n) return;
    if (runtime.clock.monotonicMs() > deadline) throw new Error(`${count} batches of events never got a position`);
    await runtime.timers.wait(20);
  }
}

/** Who is still connected to the database besides the test itself. A connection that was just closed may take a moment to vanish. */
async function connectionsLeft(database: TestDatabase): Promise<string[]> {
  const runtime = realRuntime();
  const deadline = runtime.clock.monotonicMs() + 5_000;
  for (;;) {
    const left = await database.connections();
    if (left.length === 0 || runtime.clock.monotonicMs() > deadline) return left;
    await runtime.timers.wait(20);
  }
}
