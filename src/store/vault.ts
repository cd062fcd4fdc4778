/**
 * Secrets at rest: a spec's `writeOnly` values are sealed in place with AES-256-GCM, bound to their profile and path,
 * and carry beside the sealed text the mask that readers see. So reading a profile opens nothing, and a value that was copied to
 * another profile or path does not open. Only a driver's call (and the check of a revised spec) sees the plain value.
 *
 * A vault knows several keys, so that they can be changed under way: it opens with any it knows, by the id written beside the value, and seals with
 * the one that the database says (`installation.secret_check`): never with one that only its own settings name, which others may not know yet.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import type { ProfileId } from "../core/ids.ts";
import { canonicalJson, type Json, type JsonObject } from "../core/json.ts";
import { isJsonObject, secretPaths } from "../core/secret.ts";

export interface Vault {
  /** The ids of the keys it knows, the one its settings name first in front. Written beside each sealed value, they say nothing about the keys. */
  keyIds(): readonly string[];
  /** From now on this key seals. False: it is not known, also after the keys were read again; then nothing has changed. */
  follow(keyId: string): boolean;
  /** @param boundTo opens only where the same text is given */
  seal(plain: Json, boundTo: string): JsonObject;
  /** @throws WrongKey for an unknown key's, another place's or a damaged value */
  open(sealed: JsonObject, boundTo: string): Json;
  /** Whether the value is sealed with the key that seals now. */
  isCurrent(sealed: JsonObject): boolean;
  /** Hex, by the key that seals; a key of its own per purpose. */
  hmac(purpose: string, text: string): string;
  /** The same by every key it knows: what was noted under a former one is recognised. */
  hmacs(purpose: string, text: string): readonly string[];
}

/** A sealed value that no key here opens. */
export class WrongKey extends Error {
  override readonly name = "WrongKey";
}

/** One key, stretched into one per use. */
interface Key {
  readonly id: string;
  readonly seal: Buffer;
  readonly hmac: Buffer;
}

const formatVersion = "1";
const ivBytes = 12;
const tagBytes = 16;

function stretch(key: Uint8Array): Key {
  if (key.byteLength < 32) throw new Error("a secret key must have at least 32 bytes");
  const derive = (use: string): Buffer => Buffer.from(hkdfSync("sha256", key, new Uint8Array(0), `muster ${use}`, 32));
  return { id: derive("id").toString("hex").slice(0, 16), seal: derive("seal"), hmac: derive("hmac") };
}

/** With which key a value was sealed. @throws WrongKey for a form of another version */
export function keyIdOf(sealed: JsonObject): string {
  return partsOf(sealed).id;
}

function partsOf(sealed: JsonObject): { readonly id: string; readonly body: string } {
  const [version, id, body] = String(sealed["$sealed"]).split(".");
  if (version !== formatVersion || id === undefined || body === undefined)
    throw new WrongKey("a secret was sealed in a form this version does not know");
  return { id, body };
}

/**
 * @param keys at least one, of at least 32 bytes from a good source
 * @param readAgain the keys as they are kept now: asked when a value names an unknown one, because a key is kept before anything is sealed with it
 */
export function createVault(keys: readonly Uint8Array[], readAgain: () => readonly Uint8Array[] = () => []): Vault {
  // In the order they were given; what was known once stays known, for values that were read before.
  const ring = new Map<string, Key>();
  const learn = (more: readonly Uint8Array[]): void => {
    for (const key of more.map(stretch)) ring.set(key.id, key);
  };
  const find = (id: string): Key | undefined => {
    if (!ring.has(id)) learn(readAgain());
    return ring.get(id);
  };
  learn(keys);
  const [first] = ring.values();
  if (first === undefined) throw new Error("a vault needs a key");
  let current = first;
  const hmac = (key: Key, purpose: string, text: string): string =>
    createHmac("sha256", key.hmac).update(purpose).update("\0").update(text).digest("hex");
  return {
    keyIds: () => [...ring.keys()],
    follow: (keyId) => {
      const key = find(keyId);
      current = key ?? current;
      return key !== undefined;
    },
    seal: (plain, boundTo) => {
      // Random, not counted: 2^32 values under one key are far away, and no counter has to survive a crash.
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv("aes-256-gcm", current.seal, iv).setAAD(Buffer.from(boundTo, "utf8"));
      const text = Buffer.concat([iv, cipher.update(JSON.stringify(plain), "utf8"), cipher.final(), cipher.getAuthTag()]);
      return { $sealed: `${formatVersion}.${current.id}.${text.toString("base64url")}` };
    },
    open: (sealed, boundTo) => {
      const { id, body } = partsOf(sealed);
      const key = find(id);
      if (key === undefined) throw new WrongKey(`a secret was sealed with the key ${id}, and this process has ${[...ring.keys()].join(", ")}`);
      const bytes = Buffer.from(body, "base64url");
      const decipher = createDecipheriv("aes-256-gcm", key.seal, bytes.subarray(0, ivBytes)).setAAD(Buffer.from(boundTo, "utf8"));
      try {
        decipher.setAuthTag(bytes.subarray(-tagBytes));
        const plain = Buffer.concat([decipher.update(bytes.subarray(ivBytes, -tagBytes)), decipher.final()]);
        return JSON.parse(plain.toString("utf8"));
      } catch (cause) {
        throw new WrongKey("a secret does not open: it was damaged or moved", { cause });
      }
    },
    isCurrent: (sealed) => keyIdOf(sealed) === current.id,
    hmac: (purpose, text) => hmac(current, purpose, text),
    hmacs: (purpose, text) => [...ring.values()].map((key) => hmac(key, purpose, text)),
  };
}

/** What a sealed value is bound to: a value copied to another profile or path does not open. */
function place(profileId: ProfileId, path: readonly string[]): string {
  return JSON.stringify([profileId, ...path]);
}

/** What readers see instead of a secret: at one place of one profile equal exactly when the values are. */
function maskOf(vault: Vault, profileId: ProfileId, path: readonly string[], plain: Json): string {
  return shorten(vault.hmac(maskPurpose(profileId, path), canonicalJson(plain)));
}

/** Whether a reader was shown this mask for this value: also one from before the keys were changed. */
export function isMaskOf(vault: Vault, profileId: ProfileId, path: readonly string[], plain: Json, mask: string): boolean {
  return vault.hmacs(maskPurpose(profileId, path), canonicalJson(plain)).some((hmac) => shorten(hmac) === mask);
}

function maskPurpose(profileId: ProfileId, path: readonly string[]): string {
  return `mask ${place(profileId, path)}`;
}

function shorten(hmac: string): string {
  return `hmac:${hmac.slice(0, 32)}`;
}

/** A copy of the spec with every `writeOnly` value sealed, each beside its mask. */
export function sealSpec(vault: Vault, profileId: ProfileId, specSchema: JsonObject, spec: JsonObject): JsonObject {
  let sealed: JsonObject = spec;
  for (const path of secretPaths(specSchema, spec)) {
    sealed = replaceAt(sealed, path, (plain) => sealValue(vault, profileId, path, plain));
  }
  return sealed;
}

function sealValue(vault: Vault, profileId: ProfileId, path: readonly string[], plain: Json): JsonObject {
  return { ...vault.seal(plain, place(profileId, path)), mask: maskOf(vault, profileId, path, plain) };
}

export interface Resealed {
  readonly spec: JsonObject;
  /** How many values were sealed anew. */
  readonly values: number;
  /** How many do not open: they stay as they are. */
  readonly left: number;
}

/** A copy of the spec whose values are all sealed, and masked, with the key that seals now. */
export function resealSpec(vault: Vault, profileId: ProfileId, spec: JsonObject): Resealed {
  let [values, left] = [0, 0];
  const resealed = mapSealed(spec, (sealed, path) => {
    try {
      if (vault.isCurrent(sealed)) return sealed;
      const fresh = sealValue(vault, profileId, path, vault.open(sealed, place(profileId, path)));
      values++;
      return fresh;
    } catch (error) {
      if (!(error instanceof WrongKey)) throw error;
      left++;
      return sealed;
    }
  });
  return { spec: resealed, values, left };
}

/** The plain spec, for a driver's call. Never log it, never store it. */
export function openSpec(vault: Vault, profileId: ProfileId, spec: JsonObject): JsonObject {
  return mapSealed(spec, (sealed, path) => vault.open(sealed, place(profileId, path)));
}

/** What readers see: `{"$secret": "hmac:…"}` in the place of each sealed value. Opens nothing. */
export function maskSpec(spec: JsonObject): JsonObject {
  return mapSealed(spec, (sealed) => ({ $secret: sealed["mask"] ?? null }));
}

function mapSealed(spec: JsonObject, change: (sealed: JsonObject, path: readonly string[]) => Json): JsonObject {
  const walk = (value: Json, path: readonly string[]): Json => {
    if (Array.isArray(value)) return value.map((item: Json, at) => walk(item, [...path, String(at)]));
    if (!isJsonObject(value)) return value;
    if (typeof value["$sealed"] === "string") return change(value, path);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, [...path, key])]));
  };
  const mapped = walk(spec, []);
  if (!isJsonObject(mapped)) throw new Error("a spec became something else than an object");
  return mapped;
}

/** A copy of `root` in which the value at `path` is another. */
export function replaceAt(root: JsonObject, path: readonly string[], change: (value: Json) => Json): JsonObject {
  const walk = (value: Json, depth: number): Json => {
    const key = path[depth];
    if (key === undefined) return change(value);
    if (Array.isArray(value)) return value.map((item: Json, at) => (String(at) === key ? walk(item, depth + 1) : item));
    if (!isJsonObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, name === key ? walk(item, depth + 1) : item]));
  };
  const replaced = walk(root, 0);
  if (!isJsonObject(replaced)) throw new Error("the root itself is no secret");
  return replaced;
}
