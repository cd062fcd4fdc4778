/**
 * Ids: branded UUIDs inside, TypeIDs outside.
 *
 * Every object has a UUIDv7 (so primary keys grow to the right). Inside the program it travels as a plain UUID string whose
 * *type* says what it names; at the edges it is a TypeID (`cluster_01j…`, https://github.com/jetify-com/typeid), whose prefix
 * says it to people. Minting needs a clock and randomness and is therefore handed in (`Entropy`, core/runtime.ts).
 */

declare const brand: unique symbol;
type Branded<Noun extends string> = string & { readonly [brand]: Noun };

export type ProjectId = Branded<"project">;
export type TokenId = Branded<"token">;
export type ProfileId = Branded<"profile">;
export type ClusterId = Branded<"cluster">;
export type NodeId = Branded<"node">;
export type ActionId = Branded<"action">;
export type EventId = Branded<"event">;
export type WorkerId = Branded<"worker">;
export type HostId = Branded<"host">;
export type ProfileTypeId = Branded<"ptype">;
export type ViewerId = Branded<"viewer">;

/** TypeID prefix → brand. `ptype` and `viewer` name things that have no row of their own. */
export interface IdByPrefix {
  project: ProjectId;
  token: TokenId;
  profile: ProfileId;
  cluster: ClusterId;
  node: NodeId;
  action: ActionId;
  event: EventId;
  worker: WorkerId;
  host: HostId;
  ptype: ProfileTypeId;
  viewer: ViewerId;
}
export type IdPrefix = keyof IdByPrefix;

const prefixes = {
  project: true,
  token: true,
  profile: true,
  cluster: true,
  node: true,
  action: true,
  event: true,
  worker: true,
  host: true,
  ptype: true,
  viewer: true,
} as const satisfies Record<IdPrefix, true>;

/** Crockford's base 32 as TypeID uses it: lower case, no i, l, o, u. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for the canonical lower-case text of any UUID. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** `cluster` + UUID → `cluster_01j…` (26 characters of base 32 behind the prefix). */
export function encodeId<P extends IdPrefix>(prefix: P, id: IdByPrefix[P]): string {
  // By nibbles, not by one big number: pages hold thousands of ids. Two zero bits come first, as 26 × 5 is 130.
  let text = `${prefix}_`;
  let bits = 0;
  let held = 2;
  for (let i = 0; i < id.length; i++) {
    const code = id.charCodeAt(i);
    if (code === hyphen) continue;
    bits = (bits << 4) | (code <= digitNine ? code - digitZero : code - letterA + 10);
    held += 4;
    if (held < 5) continue;
    held -= 5;
    text += alphabet.charAt((bits >> held) & 31);
    bits &= (1 << held) - 1;
  }
  return text;
}

const hyphen = 0x2d;
const digitZero = 0x30;
const digitNine = 0x39;
const letterA = 0x61;

/** The id's prefix and UUID, or null for anything that is not a TypeID of ours. Never throws: ids come from outside. */
export function parseId(text: string): { prefix: IdPrefix; uuid: string } | null {
  const at = text.lastIndexOf("_");
  const prefix = text.slice(0, at);
  const body = text.slice(at + 1);
  if (at < 1 || body.length !== 26 || !Object.hasOwn(prefixes, prefix)) return null;
  let value = 0n;
  for (const character of body) {
    const digit = alphabet.indexOf(character);
    if (digit < 0) return null;
    value = (value << 5n) | BigInt(digit);
  }
  if (value >> 128n !== 0n) return null;
  return { prefix: prefix as IdPrefix, uuid: formatUuid(value) };
}

/** The UUID behind a TypeID of exactly this type, or null: an id of another type names nothing here. */
export function decodeId<P extends IdPrefix>(prefix: P, text: string): IdByPrefix[P] | null {
  const parsed = parseId(text);
  return parsed?.prefix === prefix ? (parsed.uuid as IdByPrefix[P]) : null;
}

/** 128 bits → canonical text. */
export function formatUuid(value: bigint): string {
  const hex = value.toString(16).padStart(32, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/**
 * A UUIDv7 (RFC 9562) from a time and 74 further bits.
 * @param atMs milliseconds since 1970, 48 bits of it are kept
 * @param bits 74 bits, random or meaningful
 */
export function uuidV7(atMs: number, bits: bigint): string {
  const high = (BigInt(Math.max(0, Math.floor(atMs))) & 0xffff_ffff_ffffn) << 80n;
  const a = ((bits >> 62n) & 0xfffn) << 64n;
  const b = bits & 0x3fff_ffff_ffff_ffffn;
  return formatUuid(high | (7n << 76n) | a | (2n << 62n) | b);
}

/**
 * The id of an event: its ledger batch (48 bits) and its ordinal in it (26 bits) in the place of a UUIDv7's randomness, so an
 * event needs no id column and is found by its primary key.
 */
export function eventId(occurredAtMs: number, batch: bigint, ordinal: number): EventId {
  return uuidV7(occurredAtMs, (batch << 26n) | BigInt(ordinal)) as EventId;
}

/** The reverse of `eventId`. */
export function eventKey(id: EventId): { batch: bigint; ordinal: number; occurredAtMs: number } {
  const value = BigInt(`0x${id.replaceAll("-", "")}`);
  const bits = (((value >> 64n) & 0xfffn) << 62n) | (value & 0x3fff_ffff_ffff_ffffn);
  return { batch: bits >> 26n, ordinal: Number(bits & 0x3ff_ffffn), occurredAtMs: Number(value >> 80n) };
}

/** Says of a UUID what it names. For rows that come from the database and ids that were just minted, nowhere else. */
export function brandId<P extends IdPrefix>(_prefix: P, uuid: string): IdByPrefix[P] {
  return uuid as IdByPrefix[P];
}
