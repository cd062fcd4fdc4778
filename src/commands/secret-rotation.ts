/**
 * Changing the key that seals secrets, while everybody works. The database says which key seals (`installation.secret_check`): whoever seals holds
 * that row until its commit, so once another key stands there nothing more is sealed with the former one, and one pass over the profiles in
 * the order of their ids finds all that was. Each window is a transaction of its own; a pass that was cut short is begun again from the start and
 * finds less to do. Any number of passes may run at once.
 */
import type { ProfileId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { secretPaths } from "../core/secret.ts";
import type { Database } from "../store/database.ts";
import { forgetFormerChecks, formerChecks, holdSecretCheck, lockSecretCheck, replaceSecretCheck } from "../store/installation.ts";
import { lockSpecsAfter, replaceSpecs } from "../store/profile-spec.ts";
import { type Store, transaction } from "../store/transaction.ts";
import { keyIdOf, resealSpec, sealSpec, type Vault, WrongKey } from "../store/vault.ts";

/** What the check is bound to: it opens nowhere else. */
export const checkPlace = "installation";
const checkText = "muster";

/** Specs of 64 KiB at most: a window holds its locks for some milliseconds. */
const windowSize = 100;

export function sealCheck(vault: Vault): JsonObject {
  return vault.seal(checkText, checkPlace);
}

/** Seals a spec with the key that the database names, and keeps it so until the transaction ends. @throws WrongKey where that key is not here */
export async function sealNow(db: Database, vault: Vault, profileId: ProfileId, specSchema: JsonObject, spec: JsonObject): Promise<JsonObject> {
  if (secretPaths(specSchema, spec).length > 0) followCheck(vault, await holdSecretCheck(db));
  return sealSpec(vault, profileId, specSchema, spec);
}

function followCheck(vault: Vault, check: JsonObject | null): void {
  if (check === null || vault.follow(keyIdOf(check))) return;
  throw new WrongKey(`secrets are sealed with the key ${keyIdOf(check)} now, and this process has ${vault.keyIds().join(", ")}`);
}

/** What is known when the key to seal with is chosen. */
export interface PresentKey {
  readonly keyId: string;
  /** Values may still be sealed with former keys. */
  readonly unfinished: boolean;
}

export interface Rotation {
  readonly check: JsonObject;
  readonly keyId: string;
  /** Keys that values may still be sealed with. */
  readonly formerIds: readonly string[];
}

/**
 * Makes another key the one that seals. Null: nothing was ever sealed.
 * @param choose the key's id; called while nobody else chooses or seals, perhaps more than once. The key must be kept, for good, when it returns
 */
export function beginRotation(store: Store, vault: Vault, choose: (present: PresentKey) => string): Promise<Rotation | null> {
  return transaction(store, async (tx) => {
    const check = await lockSecretCheck(tx.db);
    if (check === null) return null;
    const present = { keyId: keyIdOf(check), unfinished: formerChecks(check).length > 0 };
    const keyId = choose(present);
    if (!vault.follow(keyId)) throw new WrongKey(`the key ${keyId} was chosen, and this process has ${vault.keyIds().join(", ")}`);
    if (keyId === present.keyId) return rotationOf(check);
    const { former: _, ...last } = check;
    const next = { ...sealCheck(vault), former: [...formerChecks(check), last].filter((one) => keyIdOf(one) !== keyId) };
    await replaceSecretCheck(tx.db, next);
    return rotationOf(next);
  });
}

function rotationOf(check: JsonObject): Rotation {
  return { check, keyId: keyIdOf(check), formerIds: formerChecks(check).map(keyIdOf) };
}

export interface Pass {
  readonly values: number;
  readonly profiles: number;
  /** Values that do not open, by their profiles: they stay under their former keys. */
  readonly left: readonly { readonly profileId: ProfileId; readonly values: number }[];
  /** Another key took this one's place before the end. */
  readonly overtaken: boolean;
}

/** Seals everything that is sealed with another key with the rotation's. Notes the end of it where nothing is left. */
export async function resealAll(store: Store, vault: Vault, rotation: Rotation): Promise<Pass> {
  let [values, profiles] = [0, 0];
  const left: { profileId: ProfileId; values: number }[] = [];
  for (let after: ProfileId | null = null; ; ) {
    const window: Window | null = await resealWindow(store, vault, rotation, after);
    if (window === null) return { values, profiles, left, overtaken: true };
    values += window.values;
    profiles += window.profiles;
    left.push(...window.left);
    if (window.last === null) break;
    after = window.last;
  }
  const overtaken = left.length === 0 && !(await forgetFormerChecks(store.db, rotation.check));
  return { values, profiles, left, overtaken };
}

interface Window extends Omit<Pass, "overtaken"> {
  /** Null: there are no more. */
  readonly last: ProfileId | null;
}

/** Null: another key seals by now. */
function resealWindow(store: Store, vault: Vault, rotation: Rotation, after: ProfileId | null): Promise<Window | null> {
  return transaction(store, async ({ db }) => {
    const check = await holdSecretCheck(db);
    if (check === null || keyIdOf(check) !== rotation.keyId) return null;
    followCheck(vault, check);
    const rows = await lockSpecsAfter(db, after, windowSize);
    const done = rows.map(({ id, spec }) => ({ id, ...resealSpec(vault, id, spec) }));
    const changed = done.filter(({ values }) => values > 0);
    if (changed.length > 0) await replaceSpecs(db, changed);
    return {
      values: changed.reduce((sum, { values }) => sum + values, 0),
      profiles: changed.length,
      left: done.filter(({ left }) => left > 0).map(({ id, left }) => ({ profileId: id, values: left })),
      last: rows.length < windowSize ? null : (rows.at(-1)?.id ?? null),
    };
  });
}
