/** `muster secrets rotate`: another key seals from now on, and all that former keys sealed is sealed anew. May be killed and run again at any point. */
import { beginRotation, type Pass, type PresentKey, type Rotation, resealAll } from "../commands/secret-rotation.ts";
import { encodeId } from "../core/ids.ts";
import { schemaState } from "../store/migrate.ts";
import type { Store } from "../store/transaction.ts";
import { createVault, type Vault } from "../store/vault.ts";
import { Complaint } from "./complaint.ts";
import type { Config } from "./config.ts";
import { addSecretKey, keysIn } from "./data-folder.ts";
import { findDatabase, withStore } from "./database.ts";
import { nameOfDatabase, schemaObjection } from "./database-complaint.ts";
import { realRuntime } from "./runtime.ts";
import { checkSecretKey, findSecretKeys, keyFileOf } from "./secret-key.ts";

/** @returns the exit code: 1 where something is left under a former key */
export async function runSecretsRotate(config: Config): Promise<number> {
  process.title = "muster secrets rotate";
  const url = findDatabase(config);
  return withStore(url, realRuntime(), async (store) => {
    const objection = schemaObjection(await schemaState(store.db), url);
    if (objection !== null) throw new Complaint(objection);
    const file = keyFileOf(config);
    const vault = createVault(await findSecretKeys(config, store.db), () => (file === null ? [] : (keysIn(file) ?? [])));
    await checkSecretKey(store.db, vault, nameOfDatabase(url));
    return rotate(store, vault, config);
  });
}

async function rotate(store: Store, vault: Vault, config: Config): Promise<number> {
  const rotation = await beginRotation(store, vault, (present) => chooseKey(config, present));
  if (rotation === null) throw new Complaint("Nothing was ever sealed in this database.");
  const pass = await resealAll(store, vault, rotation);
  process.stdout.write(`${report(rotation, pass, keyFileOf(config))}\n`);
  return pass.left.length === 0 && !pass.overtaken ? 0 : 1;
}

/** The first of the keys as they are kept now; one that is made, where it seals already and we are the only ones who could know. @throws Complaint */
function chooseKey(config: Config, present: PresentKey): string {
  const first = firstKey(config);
  if (first !== present.keyId || present.unfinished) return first;
  const file = keyFileOf(config);
  // With a database of one's own, machines that we cannot see may hold copies of the key: they must know the new one first.
  if (config.databaseUrl !== null || config.secretKeys !== null)
    throw new Complaint(
      `The secrets are sealed with the first of the keys in ${file ?? "MUSTER_SECRET_KEY"}. To change it, put a new one (\`openssl rand -hex 32\`) in front of it for every process of this database, ${
        file === null ? "and start them again" : "in the file of every machine"
      }; then run this again.`,
    );
  addSecretKey(config.data);
  return firstKey(config);
}

/** Read anew: another rotation may have put one there a moment ago. */
function firstKey(config: Config): string {
  const file = keyFileOf(config);
  const keys = file === null ? config.secretKeys : keysIn(file);
  const [id] = keys === null ? [] : createVault(keys).keyIds();
  if (id === undefined) throw new Complaint(`${file ?? "MUSTER_SECRET_KEY"} holds no key any more.`);
  return id;
}

function report({ keyId }: Rotation, { values, profiles, left, overtaken }: Pass, file: string | null): string {
  const done = `Secrets are sealed with the key ${keyId} from now on; ${counted(values, "value")} of ${counted(profiles, "profile")} ${values === 1 ? "was" : "were"} sealed anew`;
  if (overtaken) return `${done}, until another key took its place: run this again.`;
  if (left.length > 0) {
    const where = left.slice(0, 20).map(({ profileId, values: some }) => `  ${encodeId("profile", profileId)}: ${some}`);
    const sum = left.reduce((total, { values: some }) => total + some, 0);
    return [
      `${done}, and ${sum} could not be: no key here opens them, or they were damaged. In which profiles:`,
      ...where,
      ...(left.length > where.length ? [`  and ${left.length - where.length} more`] : []),
      "Former keys must stay until nothing is left: put the missing ones back, or delete those profiles, and run this again.",
    ].join("\n");
  }
  return [
    `${done}, none is left under a former key.`,
    `A day from now, former keys may be removed from ${file ?? "MUSTER_SECRET_KEY"}: all but the first. Until then they recognise requests that are repeated`,
    "under idempotency keys from before. Keep them with backups from before: what lies in those was sealed with them.",
  ].join("\n");
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
