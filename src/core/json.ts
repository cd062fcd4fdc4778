/**
 * Values that came from outside (drivers, probes, users) made safe to store: PostgreSQL refuses NUL in text and lone surrogates
 * in JSON, and a reply may be endless. Every text and JSON from outside passes through here once.
 */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

const replacement = "\uFFFD";
const unstorable = /\0|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

/** Whether PostgreSQL refuses the text. */
export function isUnstorable(text: string): boolean {
  return text.search(unstorable) >= 0;
}

/** Text that PostgreSQL can store: no NUL, no lone surrogate, at most `maxLength` UTF-16 units (the cut is marked with `…`). */
export function safeText(text: string, maxLength = 2_000): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text;
  return cut.replace(unstorable, replacement);
}

/** Any value as storable JSON: texts made safe, depth and element count cut, what JSON cannot say left out. */
export function safeJson(value: unknown, limits = { depth: 16, elements: 1_000, text: 4_000 }): Json {
  let left = limits.elements;
  const walk = (item: unknown, depth: number): Json => {
    left--;
    if (item === null || typeof item === "boolean") return item;
    if (typeof item === "number") return Number.isFinite(item) ? item : null;
    if (typeof item === "string") return safeText(item, limits.text);
    if (typeof item !== "object" || depth >= limits.depth) return null;
    if (Array.isArray(item)) {
      const list: Json[] = [];
      for (const element of item) {
        if (left <= 0) break;
        list.push(walk(element, depth + 1));
      }
      return list;
    }
    const object: Record<string, Json> = {};
    for (const [key, element] of Object.entries(item)) {
      if (left <= 0) break;
      Object.defineProperty(object, safeText(key, 200), { value: walk(element, depth + 1), enumerable: true, configurable: true, writable: true });
    }
    return object;
  };
  return walk(value, 0);
}

/** Canonical text of a JSON value: keys sorted, no white space. Two equal values have one text (for HMACs of inputs). */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`).join(",")}}`;
}

function isList(value: readonly Json[] | JsonObject): value is readonly Json[] {
  return Array.isArray(value);
}
