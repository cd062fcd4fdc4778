import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson, type Json, safeJson, safeText } from "../../src/core/json.ts";

/** What PostgreSQL refuses: NUL in text, a lone surrogate in JSON. */
const unstorable = /\0|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(fc.constantFrom("\0", "\uD83D", "\uDE00", "😀", "a"), { maxLength: 40 }).map((parts) => parts.join("")),
);
const anyJson = fc.jsonValue({ stringUnit: "binary", maxDepth: 4 }).map((value): Json => value as Json);

function shuffled(value: Json): Json {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(shuffled);
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, shuffled(item)]),
  );
}

describe("text from outside", () => {
  test("any text, any limit → storable and no longer than the limit", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 50 }), (text, limit) => {
        const safe = safeText(text, limit);
        expect(safe).not.toMatch(unstorable);
        expect(safe.length).toBeLessThanOrEqual(limit);
        if (text.length <= limit && !unstorable.test(text)) expect(safe).toBe(text);
        expect(safeText(safe, limit)).toBe(safe);
      }),
    );
  });

  test("cut through the middle of a pair of surrogates → no half is left", () => {
    expect(safeText("abc😀def", 5)).toBe("abc\uFFFD…");
  });
});

describe("JSON from outside", () => {
  test("anything at all → storable, bounded, and JSON", () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true, stringUnit: "binary" }),
        (value) => {
          const safe = safeJson(value, { depth: 4, elements: 50, text: 100 });
          const text = JSON.stringify(safe);
          expect(JSON.parse(text)).toEqual(safe);
          expect(text).not.toMatch(unstorable);
          // Written as an escape a lone surrogate would pass the pattern above, and still be refused.
          expect(text).not.toMatch(/\\u0000|\\ud[89a-f]/i);
        },
      ),
    );
  });

  test("deeper or longer than the limits → cut, not thrown", () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(JSON.stringify(safeJson(deep)).length).toBeLessThan(100);
    expect(safeJson(Array.from({ length: 5_000 }, () => 1))).toHaveLength(999);
  });

  test("a key named __proto__ → a key, nothing else", () => {
    const safe = safeJson(JSON.parse('{"__proto__": {"polluted": true}}'));
    expect(Object.keys(safe ?? {})).toEqual(["__proto__"]);
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

describe("canonical JSON", () => {
  test("equal values, whatever the order of their keys → one text, that says the same", () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test("different values → different texts", () => {
    fc.assert(
      fc.property(anyJson, anyJson, (a, b) => {
        const same = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
        expect(canonicalJson(a) === canonicalJson(b)).toBe(same);
      }),
    );
  });
});

function sorted(value: Json): Json {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return [...entries.map(([key, item]): Json => [key, sorted(item)]), { object: entries.length }];
}
