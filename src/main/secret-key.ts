/** The keys that seal secrets: where they come from, and that those are among them which this database's secrets were sealed with. */
import { checkPlace, sealCheck } from "../commands/secret-rotation.ts";
import type { Logger } from "../core/runtime.ts";
import type { Database } from "../store/database.ts";
import { claimSecretCheck, formerChecks, readInstallation } from "../store/installation.ts";
import { keyIdOf, type Vault, WrongKey } from "../store/vault.ts";
import { Complaint, sentenceOf } from "./complaint.ts";
import type { Config } from "./config.ts";
import { keysIn, makeSecretKey, secretKeyFile, storedSecretKeys } from "./data-folder.ts";

type KeySettings = Pick<Config, "data" | "secretKeys" | "secretKeyFile">;

/** The file that holds the keys, or null where a variable does. */
export function keyFileOf({ data, secretKeys, secretKeyFile: given }: KeySettings): string | null {
  return given ?? (secretKeys === null ? secretKeyFile(data) : null);
}

/** From the settings, else the data folder's file, else made there, unless the database was sealed with another one. @throws Complaint */
export async function findSecretKeys(config: KeySettings, db: Database): Promise<readonly Uint8Array[]> {
  const given = config.secretKeys ?? storedSecretKeys(config.data);
  if (given !== null) return given;
  const { secretCheck } = await readInstallation(db);
  if (secretCheck === null) return makeSecretKey(config.data);
  throw new Complaint(
    `The secrets in this database were sealed with a key that is not here: ${secretKeyFile(config.data)} does not exist. Bring that file, or set MUSTER_SECRET_KEY to what it holds.`,
  );
}

/** The keys that the file holds by now. One that cannot be read teaches nothing: whoever asked then says which key it lacks. */
export function readKeysAgain(file: string | null, logger: Logger): readonly Uint8Array[] {
  if (file === null) return [];
  try {
    return keysIn(file) ?? [];
  } catch (error) {
    logger.warn({ file, reason: sentenceOf(error) }, "The secret keys could not be read again");
    return [];
  }
}

/**
 * The first process leaves a sealed value; every later one must be able to open it, and those of former keys as long as values may be
 * left that were sealed with them. The vault then seals with the key that the database names. @throws Complaint
 */
export async function checkSecretKey(db: Database, vault: Vault, database: string): Promise<void> {
  const { secretCheck } = await readInstallation(db);
  const check = secretCheck ?? (await claimSecretCheck(db, sealCheck(vault)));
  try {
    vault.open(check, checkPlace);
    vault.follow(keyIdOf(check));
  } catch (error) {
    if (!(error instanceof WrongKey)) throw error;
    throw new Complaint(
      `The secrets in the database ${database} were sealed with another key than this process has: ${error.message}. Set MUSTER_SECRET_KEY to the former key, or bring its file.`,
      {
        cause: error,
      },
    );
  }
  try {
    for (const former of formerChecks(check)) vault.open(former, checkPlace);
  } catch (error) {
    if (!(error instanceof WrongKey)) throw error;
    throw new Complaint(
      `Some secrets in the database ${database} may still be sealed with a former key that this process does not have: ${error.message}. Put that key back, behind the present one, and run \`muster secrets rotate\`: only when it says that nothing is left may a former key go.`,
      { cause: error },
    );
  }
}
