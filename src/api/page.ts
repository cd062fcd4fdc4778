/**
 * From the arguments of a connection to a keyset page, and from a row back to its cursor. A cursor is bound to its list: the filter, the
 * order and the parent are in its fingerprint, so one that is used elsewhere is told, not misread. Junk never reaches PostgreSQL.
 */
import { createHash } from "node:crypto";
import { documentIssues } from "../core/document.ts";
import { isUuid } from "../core/ids.ts";
import { canonicalJson, type Json, type JsonObject } from "../core/json.ts";
import type { Keyset, PageRequest } from "../store/page.ts";
import { badInput, invalidCursor } from "./problem.ts";

export interface PageArgs {
  readonly first?: number | null | undefined;
  readonly last?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly before?: string | null | undefined;
}

/** Objects of a page when nothing is said. */
const defaultPageSize = 50;

/** How many, and from which end. Refuses what the contract does: both, negative, more than `most`. */
export function readSize(args: PageArgs, most: number): { readonly limit: number; readonly backward: boolean } {
  const { first, last } = args;
  if (typeof first === "number" && typeof last === "number") throw badInput("Give `first` or `last`, not both.");
  const [name, size] = typeof last === "number" ? ["last", last] : ["first", first ?? Math.min(defaultPageSize, most)];
  if (size < 0) throw badInput(`\`${name}\` must not be negative.`);
  if (size > most) throw badInput(`\`${name}\` must not be above ${most} here.`);
  return { limit: size, backward: name === "last" };
}

/** Two spellings of the same filter have one fingerprint. */
function fingerprint(bound: readonly unknown[]): string {
  const text = canonicalJson(bound.map(plain));
  return createHash("sha256").update(text, "utf8").digest("base64url").slice(0, 8);
}

/** Without nulls and empty objects, dates as text: absent and null mean the same in a filter. */
function plain(value: unknown): Json {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object") {
    const entries = Object.entries(value)
      .map(([key, item]): [string, Json] => [key, plain(item)])
      .filter(([, item]) => item !== null);
    return entries.length === 0 ? null : Object.fromEntries(entries);
  }
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** How the order's column is stored, where there is one beside the id: what a cursor may hold. */
export type KeyKind = "id" | "text" | "number" | "time";

/** A list as it was asked for: what its cursors are bound to, and which page of it. */
export interface PageList {
  readonly name: string;
  readonly page: PageRequest;
}

/**
 * @param most the largest page allowed here
 * @param bound what the list's cursors are bound to: its name, then filter, order, parent
 */
export function readPage(args: PageArgs, most: number, bound: readonly [string, ...unknown[]], kind: KeyKind = "id"): PageList {
  const size = readSize(args, most);
  const name = fingerprint(bound);
  const after = readCursor(args.after, "after", name, kind);
  return { name, page: { ...size, after, before: readCursor(args.before, "before", name, kind) } };
}

/** `version.fingerprint.key`: the key is the UUID's hex, and the order's value in base64url behind it. */
export function writeCursor(list: string, key: Keyset): string {
  const id = Buffer.from(key.id.replaceAll("-", ""), "hex").toString("base64url");
  const value = key.value === undefined ? "" : `.${Buffer.from(String(key.value), "utf8").toString("base64url")}`;
  return `1.${list}.${id}${value}`;
}

function readCursor(text: string | null | undefined, argument: string, list: string, kind: KeyKind): Keyset | null {
  if (text === null || text === undefined) return null;
  const key = text.length <= 1_000 ? decodeKey(text, list, kind) : null;
  if (key === null) throw invalidCursor(argument);
  return key;
}

const cursorPattern = /^1\.([\w-]{8})\.([\w-]{22})(?:\.([\w-]*))?$/;

function decodeKey(text: string, list: string, kind: KeyKind): Keyset | null {
  const match = cursorPattern.exec(text);
  if (match?.[1] !== list) return null;
  const hex = Buffer.from(match[2] ?? "", "base64url").toString("hex");
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  if (!isUuid(id) || (match[3] === undefined) !== (kind === "id")) return null;
  const value = decodeValue(match[3] ?? "", kind);
  if (value === null) return null;
  const key: Keyset = kind === "id" ? { id } : { id, value };
  // Base 64 has more than one spelling of the same bytes; only ours is a cursor of ours.
  return writeCursor(list, key) === text ? key : null;
}

function decodeValue(encoded: string, kind: KeyKind): string | number | null {
  const text = Buffer.from(encoded, "base64url").toString("utf8");
  if (kind === "number") return /^\d{1,9}$/.test(text) ? Number(text) : null;
  if (kind === "time") return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : null;
  return text.includes("\0") ? null : text;
}

/**
 * Everything about a filter that can be wrong by itself: empty lists, text that cannot be stored and so cannot be found, metadata that
 * nothing could have.
 */
export function checkFilter(filter: object | null | undefined, metadata: JsonObject | null | undefined = null): void {
  for (const [key, value] of Object.entries(filter ?? {})) if (key !== "metadata") checkValue(value, `filter.${key}`);
  const [issue] = metadata == null ? [] : documentIssues(metadata, ["filter", "metadata"], mostMetadataBytes);
  if (issue !== undefined) throw badInput(`\`${issue.path.join(".")}\` ${issue.message}.`);
}

/** Entries of a list in a filter: each may be a walk of its own. */
const mostEntries = 1_000;

/** More than anything's metadata may hold. */
const mostMetadataBytes = 65_536;

function checkValue(value: unknown, path: string): void {
  if (typeof value === "string" && value.includes("\0")) throw badInput(`\`${path}\` holds a NUL character.`);
  if (value === null || typeof value !== "object" || value instanceof Date) return;
  if (Array.isArray(value) && value.length > mostEntries)
    throw badInput(`\`${path}\` must not have more than ${mostEntries} entries; it has ${value.length}.`);
  if (Array.isArray(value) && value.length === 0) throw badInput(`\`${path}\` must not be an empty list: leave it out to mean any.`);
  for (const [key, item] of Object.entries(value)) checkValue(item, Array.isArray(value) ? path : `${path}.${key}`);
}
