/**
 * Secrets at rest: a spec's `writeOnly` values are sealed in place with AES-256-GCM, bound to their profile and path,
 * and carry beside the sealed text the mask that readers see. So reading a profile opens nothing, and a value that was copied to
 * another profile or path does not open. Only a driver's call (and the check of a revised spec) sees the plain value.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import type { ProfileId } from "../core/ids.ts";
import { canonicalJson, type Json, type JsonObject } from "../core/json.ts";
import { isJsonObject, secretPaths } from "../core/secret.ts";

export interface Vault {
  /** Which key this is; written beside each sealed value. Says nothing about the key. */
  readonly keyId: string;
  /** @param boundTo opens only where the same text is given */
  seal(plain: Json, boundTo: string): JsonObject;
  /** @throws WrongKey for another key's, another place's or a damaged value */
  open(sealed: JsonObject, boundTo: string): Json;
  /** Hex; a key of its own per purpose. */
  hmac(purpose: string, text: string): string;
}

/** A sealed value that this key does not open. */
export class WrongKey extends Error {
  override readonly name = "WrongKey";
}

const formatVersion = "1";
const ivBytes = 12;
const tagBytes = 16;

/** @param key at least 32 bytes from a good source; it is stretched into one key per use */
export function createVault(key: Uint8Array): Vault {
  if (key.byteLength < 32) throw new Error("the secret key must have at least 32 bytes");
  const derive = (use: string): Buffer => Buffer.from(hkdfSync("sha256", key, new Uint8Array(0), `muster ${use}`, 32));
  const sealKey = derive("seal");
  const hmacKey = derive("hmac");
  const keyId = derive("id").toString("hex").slice(0, 16);
  return {
    keyId,
    seal: (plain, boundTo) => {
      // Random, not counted: 2^32 values under one key are far away, and no counter has to survive a crash.
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv("aes-256-gcm", sealKey, iv).setAAD(Buffer.from(boundTo, "utf8"));
      const text = Buffer.concat([iv, cipher.update(JSON.stringify(plain), "utf8"), cipher.final(), cipher.getAuthTag()]);
      return { $sealed: `${formatVersion}.${keyId}.${text.toString("base64url")}` };
    },
    open: (sealed, boundTo) => {
      const [version, id, body] = String(sealed["$sealed"]).split(".");
      if (version !== formatVersion || body === undefined) throw new WrongKey("a secret was sealed in a form this version does not know");
      if (id !== keyId) throw new WrongKey(`a secret was sealed with the key ${id}, and this is ${keyId}`);
      const bytes = Buffer.from(body, "base64url");
      const decipher = createDecipheriv("aes-256-gcm", sealKey, bytes.subarray(0, ivBytes)).setAAD(Buffer.from(boundTo, "utf8"));
      try {
        decipher.setAuthTag(bytes.subarray(-tagBytes));
        const plain = Buffer.concat([decipher.update(bytes.subarray(ivBytes, -tagBytes)), decipher.final()]);
        return JSON.parse(plain.toString("utf8"));
      } catch (cause) {
        throw new WrongKey("a secret does not open: it was damaged or moved", { cause });
      }
    },
    hmac: (purpose, text) => createHmac("sha256", hmacKey).update(purpose).update("\0").update(text).digest("hex"),
  };
}

/** What a sealed value is bound to: a value copied to another profile or path does not open. */
function place(profileId: ProfileId, path: readonly string[]): string {
  return JSON.stringify([profileId, ...path]);
}

/** What readers see instead of a secret: equal within one profile exactly when the values are. */
function maskOf(vault: Vault, profileId: ProfileId, path: readonly string[], plain: Json): string {
  return `hmac:${vault.hmac(`mask ${place(profileId, path)}`, canonicalJson(plain)).slice(0, 32)}`;
}

/** A copy of the spec with every `writeOnly` value sealed, each beside its mask. */
export function sealSpec(vault: Vault, profileId: ProfileId, specSchema: JsonObject, spec: JsonObject): JsonObject {
  let sealed: JsonObject = spec;
  for (const path of secretPaths(specSchema, spec)) {
    sealed = replaceAt(sealed, path, (plain) => ({
      ...vault.seal(plain, place(profileId, path)),
      mask: maskOf(vault, profileId, path, plain),
    }));
  }
  return sealed;
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
