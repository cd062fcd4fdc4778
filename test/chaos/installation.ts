/**
 * A Muster for the chaos run, as on many machines: a PostgreSQL of its own with fsync on, a provider with books, worker and API processes, each behind a
 * proxy of its own. A part is kept alive by whoever calls `revive`, as a service manager would.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiClient, connect } from "../../src/cli/client.ts";
import type { Timers } from "../../src/core/runtime.ts";
import { migrate } from "../../src/store/migrate.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { type ProviderProcess, startProvider } from "../support/provider.ts";
import { type DatabaseProxy, startProxy } from "../support/proxy.ts";
import { type Muster, spawnMuster } from "../support/spawn.ts";
import { type SpawnedWorker, spawnWorker } from "../support/spawned-worker.ts";

/** A process of Muster that may be away. */
export interface Part {
  readonly proxy: DatabaseProxy;
  /** Of its present process's connections, for a worker; null: it is away. */
  name(): string | null;
  kill(): Promise<void>;
  freeze(): void;
  thaw(): void;
  /** SIGTERM; resolves when it is gone. */
  stop(): Promise<void>;
  /** Starts it if it is away, as often as it takes. */
  revive(): Promise<void>;
}

export interface Installation {
  readonly postgres: TestPostgres;
  readonly url: string;
  readonly provider: ProviderProcess;
  readonly workers: readonly Part[];
  readonly apis: readonly Part[];
  readonly clients: readonly ApiClient[];
  readonly vaultKey: string;
  /** Processes that ended although nobody had them end, with the last that they said. */
  readonly fallen: readonly string[];
  /** Starts PostgreSQL again: old backends may take a moment to leave. */
  restartPostgres(): Promise<void>;
  stop(options: { readonly keep: boolean }): Promise<void>;
}

const retryMs = 200;

export async function startInstallation(timers: Timers, count: { readonly workers: number; readonly apis: number }): Promise<Installation> {
  const postgres = await startPostgres({ fsync: "on", full_page_writes: "on" });
  const url = postgres.url("postgres");
  await migrate(url);
  const provider = await startProvider();
  const vaultKey = randomBytes(32).toString("hex");
  const hostId = "00000000-0000-7000-8000-00000000c4a0";
  const token = `chaos-${randomBytes(16).toString("hex")}`;
  const folder = mkdtempSync(join(tmpdir(), "muster-chaos-"));
  chmodSync(folder, 0o755);
  const ports: number[] = [];
  for (let i = 0; i < count.apis; i++) ports.push(await freePort());
  const fallen: string[] = [];
  const apis = await Promise.all(
    ports.map((port) => apiPart({ timers, url, fallen }, { folder: join(folder, `api-${port}`), port, vaultKey, token })),
  );
  // One after the other: the first makes the token and the check of the key.
  for (const api of apis) await api.revive();
  const workers = await Promise.all(
    Array.from({ length: count.workers }, (_, n) =>
      workerPart({ timers, url, fallen }, { providerUrl: provider.url, hostId, vaultKey, name: `worker ${n}` }),
    ),
  );
  await Promise.all(workers.map((worker) => worker.revive()));
  const clients = ports.map((port) => connect({ url: `http://127.0.0.1:${port}`, token }));
  return {
    postgres,
    url,
    provider,
    workers,
    apis,
    clients,
    vaultKey,
    fallen,
    restartPostgres: () => untilDone(timers, () => postgres.start()),
    stop: async ({ keep }) => {
      await Promise.all(clients.map((client) => client.close()));
      for (const part of [...workers, ...apis]) {
        part.thaw();
        await part.stop();
        await part.proxy.close();
      }
      await provider.stop();
      await postgres.stop({ keep });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Ground {
  readonly timers: Timers;
  readonly url: string;
  readonly fallen: string[];
}

async function workerPart(
  ground: Ground,
  settings: { readonly providerUrl: string; readonly hostId: string; readonly vaultKey: string; readonly name: string },
): Promise<Part> {
  const proxy = await startProxy(ground.url);
  let started = 0;
  return partOf<SpawnedWorker>(ground, proxy, {
    start: () => {
      started += 1;
      return spawnWorker({ ...settings, url: proxy.url, name: `${settings.name}.${started}` });
    },
    name: (worker) => worker.name,
    output: (worker) => worker.output(),
    signal: (worker, signal) => process.kill(worker.pid, signal),
    gone: (worker) => worker.exited,
  });
}

async function apiPart(
  ground: Ground,
  settings: { readonly folder: string; readonly port: number; readonly vaultKey: string; readonly token: string },
): Promise<Part> {
  const proxy = await startProxy(ground.url);
  return partOf<Muster>(ground, proxy, {
    start: async () => {
      const api = spawnMuster({
        args: ["api"],
        env: {
          DATABASE_URL: proxy.url,
          MUSTER_PORT: String(settings.port),
          MUSTER_DATA: settings.folder,
          MUSTER_SECRET_KEY: settings.vaultKey,
          MUSTER_ADMIN_TOKEN: settings.token,
          MUSTER_LIMIT_TOKEN_REQUESTS_PER_SECOND: "100000",
        },
      });
      await api.line(/The API is there/);
      return api;
    },
    name: () => null,
    output: (api) => api.output(),
    signal: (api, signal) => process.kill(api.pid, signal),
    gone: (api) => api.exited.then(() => undefined),
  });
}

interface Handling<Process> {
  start(): Promise<Process>;
  name(process: Process): string | null;
  output(process: Process): string;
  signal(process: Process, signal: NodeJS.Signals): void;
  gone(process: Process): Promise<void>;
}

function partOf<Process>({ timers, fallen }: Ground, proxy: DatabaseProxy, handling: Handling<Process>): Part {
  let present: Process | null = null;
  const send = (signal: NodeJS.Signals): void => {
    if (present !== null) handling.signal(present, signal);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ended = present;
    if (ended === null) return;
    present = null;
    handling.signal(ended, signal);
    await handling.gone(ended);
  };
  return {
    proxy,
    name: () => (present === null ? null : handling.name(present)),
    kill: () => end("SIGKILL"),
    freeze: () => send("SIGSTOP"),
    thaw: () => send("SIGCONT"),
    stop: () => end("SIGTERM"),
    revive: async () => {
      if (present !== null) return;
      await untilDone(timers, async () => {
        const started = await handling.start();
        present = started;
        void handling.gone(started).then(() => {
          if (present !== started) return;
          present = null;
          fallen.push(`${handling.name(started) ?? "an API process"} ended by itself: ${handling.output(started).slice(-2_000)}`);
        });
      });
    },
  };
}

/** Again and again while it fails: the database may be away, or old processes still on their way out. */
async function untilDone(timers: Timers, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 100) throw error;
      await timers.wait(retryMs);
    }
  }
}

/** A port that nobody listens on just now; it is kept over restarts. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address !== null && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}
