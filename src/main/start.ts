/**
 * `muster start`: PostgreSQL where none is given, migrations, one API process and the workers; kept alive until somebody asks to
 * end, then ended in order: API, workers, PostgreSQL. What it starts ends when it dies; members live on.
 */
import { createServer } from "node:net";
import type { ProcessPolicy } from "../commands/command.ts";
import type { Logger, Runtime } from "../core/runtime.ts";
import { isLoopback } from "../server/origin.ts";
import { Interrupted } from "./complaint.ts";
import type { Config } from "./config.ts";
import { connectionsAllowed } from "./connections.ts";
import { hostIdOf, openDataFolder } from "./data-folder.ts";
import { type Keys, prepareDatabase, prepareKeys } from "./database.ts";
import { type Keeper, keepPart } from "./keeper.ts";
import { listenComplaint } from "./listen-complaint.ts";
import { type OwnerLock, takeOwnerLock } from "./owner-lock.ts";
import type { PartKind, PartSettings } from "./part.ts";
import { type EmbeddedPostgres, startEmbedded } from "./postgres.ts";
import { keyFileOf } from "./secret-key.ts";
import { type StopSignal, untilAborted } from "./stop-signal.ts";

export interface Installation {
  readonly url: string;
  /** The first token's secret, where it was made just now. */
  readonly newToken: string | null;
  /** Ends everything in order. `hurry`: the database's data is thrown away afterwards. */
  stop(options?: { readonly hurry?: boolean }): Promise<void>;
}

export interface StartOptions {
  readonly config: Config;
  /** As others see who holds the folder. */
  readonly command: string;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Where the parts write their log; null: standard error. */
  readonly logFile: string | null;
  /** What the parts print besides: a descriptor, or ours. */
  readonly output: number | "inherit";
  readonly stop: StopSignal;
  /** Held already (the demo empties its folder under the lock). */
  readonly lock?: OwnerLock;
}

/** @throws Complaint; whatever was started until then has ended */
export async function startInstallation(options: StartOptions): Promise<Installation> {
  const { config, runtime, logger } = options;
  openDataFolder(config.data);
  const lock = options.lock ?? (await takeOwnerLock(config.data, options.command, runtime.timers));
  const keepers: Keeper[] = [];
  let postgres: EmbeddedPostgres | null = null;
  const stop = async ({ hurry = false } = {}): Promise<void> => {
    const [api, ...workers] = keepers;
    await api?.stop();
    await Promise.all(workers.map((worker) => worker.stop()));
    await postgres?.stop({ hurry });
    lock.release();
  };
  // Asked a second time: what does not end is killed.
  options.stop.hurried.addEventListener("abort", () => {
    for (const keeper of keepers) keeper.hurry();
  });
  try {
    await checkPort(config.host, config.port);
    if (lock.afterCrash) logger.info({ data: config.data }, "The former owner of the data folder died; going on from what it left");
    if (config.databaseUrl === null) {
      const { timers } = runtime;
      const onMoved = (): void => {
        for (const keeper of keepers) keeper.restart();
      };
      postgres = await startEmbedded({
        data: config.data,
        port: config.postgresPort,
        connections: connectionsAllowed(config.workers),
        timers,
        logger,
        onMoved,
      });
    }
    const address = (): string => postgres?.url() ?? config.databaseUrl ?? "";
    endIfAsked(options.stop);
    const direct = config.directUrl ?? address();
    await prepareDatabase(direct, runtime, logger);
    const keys = await prepareKeys(direct, config, runtime, logger);
    const url = await startParts(options, address, keys, keepers);
    return { url, newToken: keys.newToken, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function endIfAsked(stop: StopSignal): void {
  if (stop.asked.aborted) throw new Interrupted("stopped before everything was up");
}

/** Starts the API and the workers side by side and waits for all. Returns where the API is. */
async function startParts(options: StartOptions, address: () => string, keys: Keys, keepers: Keeper[]): Promise<string> {
  const { config, runtime, logger } = options;
  const hostId = hostIdOf(config.data);
  // Asked for "any port", the API keeps the one it got through all its lives.
  let port = config.port;
  let url = "";
  const settings = (kind: PartKind, name: string): PartSettings => ({
    kind,
    name,
    config: { ...partConfig(config), port },
    databaseUrl: address(),
    directUrl: config.directUrl ?? address(),
    secretKeys: keys.secretKeys,
    secretKeyFile: keyFileOf(config),
    process: processMode(config),
    hostId,
    logFile: options.logFile,
  });
  const keep = (kind: PartKind, name: string, onReady: (at: string | null) => void): Keeper => {
    const keeper = keepPart({
      settings: () => settings(kind, name),
      environment: config.childEnvironment,
      output: options.output,
      timers: runtime.timers,
      logger,
      onReady,
    });
    keepers.push(keeper);
    return keeper;
  };
  keep("api", "api", (at) => {
    url = at ?? url;
    port = Number(new URL(url).port);
  });
  for (let number = 1; number <= config.workers; number++) keep("worker", `worker ${number}`, () => undefined);
  await Promise.race([Promise.all(keepers.map((keeper) => keeper.ready)), untilAborted(options.stop.asked)]);
  endIfAsked(options.stop);
  return url;
}

/** What of the settings a part needs: no secret that it does not. */
export function partConfig(config: Config): PartSettings["config"] {
  const { host, port, data, corsOrigins, hosts, graphiql, ledgerDays, logLevel, limits, driverLimits, environment } = config;
  return { host, port, data, corsOrigins, hosts, graphiql, ledgerDays, logLevel, limits, driverLimits, environment };
}

/** `on` by itself only where nobody from outside can ask for it, and the database is ours alone. */
export function processMode(config: Pick<Config, "process" | "host" | "databaseUrl">): ProcessPolicy["mode"] {
  return config.process ?? (isLoopback(config.host) && config.databaseUrl === null ? "on" : "off");
}

/** Told before PostgreSQL is started, because it is the commonest mistake. @throws Complaint */
function checkPort(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error) => reject(listenComplaint(error, host, port) ?? error));
    probe.listen({ host, port }, () => probe.close(() => resolve()));
  });
}
