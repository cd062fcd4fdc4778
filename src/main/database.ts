/** The database of this process: the one that was given, or the embedded one; brought to this version, with what must be in it. */

import { ensureConfiguredToken, ensureFirstToken } from "../commands/first-token.ts";
import type { Logger, Runtime } from "../core/runtime.ts";
import { type DatabaseOptions, openDatabase } from "../store/database.ts";
import { migrate } from "../store/migrate.ts";
import { readServerFacts } from "../store/server.ts";
import { mintTokenSecret } from "../store/token.ts";
import type { Store } from "../store/transaction.ts";
import { silentWake } from "../store/wake.ts";
import { Complaint } from "./complaint.ts";
import type { Config } from "./config.ts";
import { adminTokenFile } from "./data-folder.ts";
import { complaintAbout, nameOfDatabase, objectionsTo, schemaObjection } from "./database-complaint.ts";
import { runningEmbedded } from "./postgres.ts";
import { readState } from "./postgres-place.ts";
import { writePrivate } from "./private-file.ts";
import { findSecretKeys } from "./secret-key.ts";

/** For a moment's work on the database; operational failures become complaints. */
export async function withStore<T>(
  url: string,
  runtime: Runtime,
  work: (store: Store) => Promise<T>,
  options: Pick<DatabaseOptions, "pooler"> = {},
): Promise<T> {
  const db = openDatabase({ url, size: 2, applicationName: "muster", ...options });
  try {
    return await work({ db, runtime, wake: silentWake, writer: 0 });
  } catch (error) {
    throw complaintAbout(error, url) ?? error;
  } finally {
    await db.destroy();
  }
}

/** The database itself, past any pooler: the one that was given, or that of a Muster that runs on this data folder. @throws Complaint where there is neither */
export function findDatabase(config: Pick<Config, "databaseUrl" | "directUrl" | "data">): string {
  const url = config.directUrl ?? config.databaseUrl ?? runningEmbedded(readState(config.data));
  if (url !== null) return url;
  throw new Complaint(`There is no database: DATABASE_URL is not set, and no \`muster start\` runs on ${config.data}.`);
}

/** Checks the server and brings the database to this version. @throws Complaint */
export async function prepareDatabase(url: string, runtime: Runtime, logger: Logger): Promise<readonly string[]> {
  const objections = await withStore(url, runtime, async ({ db }) => objectionsTo(await readServerFacts(db)));
  if (objections.length > 0)
    throw new Complaint(`The database ${nameOfDatabase(url)} cannot be used:\n${objections.map((objection) => `  ${objection}`).join("\n")}`);
  try {
    const { before, applied } = await migrate(url);
    if (before === "newer") throw new Complaint(schemaObjection("newer", url) ?? "");
    if (applied.length > 0) logger.info({ applied, before }, "The database was migrated");
    return applied;
  } catch (error) {
    throw complaintAbout(error, url) ?? error;
  }
}

export interface Keys {
  readonly secretKeys: readonly Uint8Array[];
  /** The first token's secret, where it was made just now. */
  readonly newToken: string | null;
}

/** The secret keys and the first token. Call it on a migrated database. @throws Complaint */
export function prepareKeys(url: string, config: Config, runtime: Runtime, logger: Logger): Promise<Keys> {
  return withStore(url, runtime, async (store) => ({
    secretKeys: await findSecretKeys(config, store.db),
    newToken: await prepareToken(store, config, logger),
  }));
}

async function prepareToken(store: Store, config: Config, logger: Logger): Promise<string | null> {
  if (config.adminToken !== null) {
    const state = await ensureConfiguredToken(store, config.adminToken);
    if (state === "revoked") throw new Complaint("The token in MUSTER_ADMIN_TOKEN was revoked. Choose another, or leave it out.");
    return null;
  }
  const secret = mintTokenSecret(store.runtime.entropy);
  const file = adminTokenFile(config.data);
  const state = await ensureFirstToken(store, secret, () => writePrivate(file, `${secret}\n`));
  if (state === "made") logger.info({ file }, "The first token was made");
  return state === "made" ? secret : null;
}
