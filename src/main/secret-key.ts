/** The key that seals secrets: where it comes from, and that it is the one this database's secrets were sealed with. */
import type { Database } from "../store/database.ts";
import { claimSecretCheck, readInstallation } from "../store/installation.ts";
import { type Vault, WrongKey } from "../store/vault.ts";
import { Complaint } from "./complaint.ts";
import type { Config } from "./config.ts";
import { makeSecretKey, secretKeyFile, storedSecretKey } from "./data-folder.ts";

/** What the check value is bound to: it opens nowhere else. */
const place = "installation";

/** From the settings, else the data folder's file, else made there, unless the database was sealed with another one. @throws Complaint */
export async function findSecretKey(config: Pick<Config, "data" | "secretKey">, db: Database): Promise<Uint8Array> {
  const given = config.secretKey ?? storedSecretKey(config.data);
  if (given !== null) return given;
  const { secretCheck } = await readInstallation(db);
  if (secretCheck === null) return makeSecretKey(config.data);
  throw new Complaint(
    `The secrets in this database were sealed with a key that is not here: ${secretKeyFile(config.data)} does not exist. Bring that file, or set MUSTER_SECRET_KEY to what it holds.`,
  );
}

/** The first process leaves a sealed value; every later one must be able to open it. @throws Complaint */
export async function checkSecretKey(db: Database, vault: Vault, database: string): Promise<void> {
  const { secretCheck } = await readInstallation(db);
  const check = secretCheck ?? (await claimSecretCheck(db, vault.seal("muster", place)));
  try {
    vault.open(check, place);
  } catch (error) {
    if (!(error instanceof WrongKey)) throw error;
    throw new Complaint(
      `The secrets in the database ${database} were sealed with another key than this process has: ${error.message}. Set MUSTER_SECRET_KEY to the former key, or bring its file.`,
      {
        cause: error,
      },
    );
  }
}
