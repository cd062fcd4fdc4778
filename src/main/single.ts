/** The parts by themselves, for many machines on one database: `muster api`, `muster worker`, `muster migrate`, `muster token create`. */

import { createLocalToken } from "../commands/first-token.ts";
import { type Role, roles } from "../core/principal.ts";
import type { Runtime } from "../core/runtime.ts";
import { violatedUnique } from "../store/failure.ts";
import { schemaState } from "../store/migrate.ts";
import { mintTokenSecret } from "../store/token.ts";
import { startPart } from "./child.ts";
import { Complaint } from "./complaint.ts";
import type { Config } from "./config.ts";
import { hostIdOf, openDataFolder } from "./data-folder.ts";
import { findDatabase, prepareDatabase, prepareKeys, withStore } from "./database.ts";
import { nameOfDatabase, schemaObjection } from "./database-complaint.ts";
import { createLogger } from "./logger.ts";
import type { PartKind, PartSettings } from "./part.ts";
import { realRuntime } from "./runtime.ts";
import { findSecretKeys, keyFileOf } from "./secret-key.ts";
import { partConfig } from "./start.ts";
import { listenForStop, untilAborted } from "./stop-signal.ts";

/** Runs one part until somebody asks it to end. */
export async function runPart(kind: PartKind, config: Config): Promise<number> {
  process.title = `muster ${kind}`;
  const stop = listenForStop();
  stop.hurried.addEventListener("abort", () => process.exit(1));
  const runtime = realRuntime();
  openDataFolder(config.data);
  const settings = await settingsFor(kind, config, runtime);
  const part = await startPart(settings);
  await untilAborted(stop.asked);
  await part.stop();
  return 0;
}

async function settingsFor(kind: PartKind, config: Config, runtime: Runtime): Promise<PartSettings> {
  const directUrl = findDatabase(config);
  const logger = createLogger({ level: config.logLevel, process: kind, file: null });
  // Before the keys: on an unmigrated database there is nowhere to look for them.
  await withStore(directUrl, runtime, async ({ db }) => {
    const objection = schemaObjection(await schemaState(db), directUrl);
    if (objection !== null) throw new Complaint(objection);
  });
  // The first token is the API's to make: a worker's machine may be nobody's to log in on.
  const secretKeys =
    kind === "api"
      ? (await prepareKeys(directUrl, config, runtime, logger)).secretKeys
      : await withStore(directUrl, runtime, ({ db }) => findSecretKeys(config, db));
  return {
    kind,
    name: kind,
    config: partConfig(config),
    databaseUrl: config.databaseUrl ?? directUrl,
    directUrl,
    secretKeys,
    secretKeyFile: keyFileOf(config),
    process: config.process ?? "off",
    hostId: hostIdOf(config.data),
    logFile: null,
  };
}

export async function runMigrate(config: Config): Promise<number> {
  process.title = "muster migrate";
  const url = findDatabase(config);
  const applied = await prepareDatabase(url, realRuntime(), createLogger({ level: "warn", process: "migrate", file: null }));
  const did = applied.length === 0 ? "was up to date" : `is up to date: ${applied.join(", ")} ${applied.length === 1 ? "was" : "were"} applied`;
  process.stdout.write(`The database ${nameOfDatabase(url)} ${did}.\n`);
  return 0;
}

export async function runTokenCreate(
  config: Config,
  options: { readonly project: string; readonly name: string; readonly role: string },
): Promise<number> {
  const role = roles.find((known): known is Role => known === options.role);
  if (role === undefined) throw new Complaint(`There is no role ${options.role}: there are ${roles.join(", ")}.`);
  const runtime = realRuntime();
  const secret = mintTokenSecret(runtime.entropy);
  const url = findDatabase(config);
  await withStore(url, runtime, async (store) => {
    const objection = schemaObjection(await schemaState(store.db), url);
    if (objection !== null) throw new Complaint(objection);
    try {
      const made = await createLocalToken(store, { project: options.project, name: options.name, role, secret });
      if (!made) throw new Complaint(`There is no project ${options.project}.`);
    } catch (error) {
      if (violatedUnique(error) !== "token_name") throw error;
      throw new Complaint(`There is a token called ${options.name} in the project ${options.project} already. Choose another --name.`);
    }
  });
  // Alone on standard output, so that it can be piped; it is not shown again.
  process.stdout.write(`${secret}\n`);
  return 0;
}
