/** What an API process and a worker have in common: database, wake-ups, vault, drivers, runtime and log, made once per process. */
import { hostname } from "node:os";
import type { Clock, Logger, Runtime } from "../core/runtime.ts";
import type { DriverCatalog } from "../drivers/driver.ts";
import { readHostIncarnation } from "../drivers/process/host.ts";
import { type Database, openDatabase } from "../store/database.ts";
import { readInstallation } from "../store/installation.ts";
import { schemaState } from "../store/migrate.ts";
import { openSession, type Session } from "../store/session.ts";
import { createVault, type Vault } from "../store/vault.ts";
import { createWake, type Wake } from "../store/wake.ts";
import { Complaint } from "./complaint.ts";
import { folderIdentity } from "./data-folder.ts";
import { complaintAbout, nameOfDatabase, schemaObjection } from "./database-complaint.ts";
import { checkDirect } from "./direct.ts";
import { buildDrivers } from "./driver-catalog.ts";
import { createLogger } from "./logger.ts";
import type { PartSettings } from "./part.ts";
import { realRuntime } from "./runtime.ts";
import { checkSecretKey, readKeysAgain } from "./secret-key.ts";

export interface Foundation {
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly db: Database;
  /** The same past any pooler, for what a session is needed for beyond one statement; no connection is held while nobody uses it. */
  readonly direct: Database;
  readonly wake: Wake;
  readonly vault: Vault;
  readonly drivers: DriverCatalog;
  readonly installation: string;
  readonly host: { readonly id: PartSettings["hostId"]; readonly name: string; readonly incarnation: string; readonly folder: string };
  /** What this process's connections are called; unique to it. */
  readonly applicationName: string;
  openSession(): Promise<Session>;
  close(): Promise<void>;
}

/** @throws Complaint where the database cannot be used, is of another age, or was sealed with another key */
export async function layFoundation(settings: PartSettings, poolSize: number): Promise<Foundation> {
  const { config, databaseUrl, directUrl } = settings;
  const runtime = realRuntime();
  const logger = createLogger({ level: config.logLevel, process: settings.name, file: settings.logFile });
  // PostgreSQL cuts names at 63 bytes; the pid must survive that.
  const applicationName = `muster ${settings.name} ${process.pid}@${hostname().slice(0, 30)}`;
  const onIdleError = (error: Error): void => logger.debug({ reason: error.message }, "An idle connection broke");
  const pooler = directUrl !== databaseUrl;
  const db = openDatabase({
    url: databaseUrl,
    size: poolSize,
    applicationName,
    onIdleError,
    onFull: createFullNote(runtime.clock, logger),
    pooler,
  });
  const direct = pooler ? openDatabase({ url: directUrl, size: 1, applicationName, onIdleError }) : db;
  const closeAll = async (): Promise<void> => {
    await db.destroy();
    if (direct !== db) await direct.destroy();
  };
  try {
    const objection = schemaObjection(await schemaState(db), databaseUrl);
    if (objection !== null) throw new Complaint(objection);
    const { id: installation } = await readInstallation(db);
    await checkDirect(directUrl, direct, installation);
    const vault = createVault(settings.secretKeys, () => readKeysAgain(settings.secretKeyFile, logger));
    await checkSecretKey(db, vault, nameOfDatabase(databaseUrl));
    const drivers = buildDrivers(settings, { ...runtime, logger });
    const wake = createWake(db, runtime);
    return {
      runtime,
      logger,
      db,
      direct,
      wake,
      vault,
      drivers,
      installation,
      host: {
        id: settings.hostId,
        name: hostname(),
        incarnation: readHostIncarnation() ?? `unknown since ${Date.now()}`,
        folder: folderIdentity(config.data),
      },
      applicationName,
      openSession: () => openSession({ url: directUrl, applicationName }),
      close: async () => {
        await Promise.all([...drivers.values()].map((driver) => driver.close?.()));
        await wake.close();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw complaintAbout(error, databaseUrl) ?? error;
  }
}

/** How often it is said that the disk is full, ms. */
const fullNoteMs = 10_000;

/** Whoever meets the full disk waits and tries again, several times a second; the log is told now and then. */
function createFullNote(clock: Clock, logger: Logger): () => void {
  let saidAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (clock.monotonicMs() - saidAtMs < fullNoteMs) return;
    saidAtMs = clock.monotonicMs();
    logger.error({}, "PostgreSQL's disk is full: nothing can be changed until there is room");
  };
}
