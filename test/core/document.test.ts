import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { documentDepth, documentIssues, textIssues } from "../../src/core/document.ts";
import type { Json } from "../../src/core/json.ts";

/** As it would come out of a request's body. */
const parsed = (text: string): Json => JSON.parse(text);

describe("documents of users", () => {
  test("any JSON that is small, shallow and storable → nothing wrong with it", () => {
    fc.assert(fc.property(fc.json({ maxDepth: 5, noUnicodeString: true }), (text) => documentIssues(parsed(text), ["spec"], 1_000_000).length === 0));
  });

  test("one bad text anywhere → one issue, whose path leads to it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{1,5}$/), { minLength: 1, maxLength: 6 }),
        fc.constantFrom("\0", "\ud800", "a\udc00b"),
        (path, bad) => {
          const document = path.reduceRight<Json>((inner, key) => ({ [key]: inner, other: [1, "fine", null] }), bad);
          expect(documentIssues(document, ["metadata"], 10_000)).toEqual([
            { path: ["metadata", ...path], message: "must not hold NUL or a lone surrogate" },
          ]);
        },
      ),
    );
  });

  test("a bad name of a property → told at its holder, the name itself is not repeated", () => {
    const issues = documentIssues({ outer: { "a\0b": 1 } }, ["spec"], 1_000);
    expect(issues).toEqual([{ path: ["spec", "outer"], message: "must not have a property whose name holds NUL or a lone surrogate" }]);
  });

  test("exactly as deep as allowed → fine; one deeper → told; endlessly deep → told, and no stack overflows", () => {
    const nested = (levels: number): Json => parsed(`${'{"d":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}`);
    expect(documentIssues(nested(documentDepth), ["spec"], 100_000)).toEqual([]);
    expect(documentIssues(nested(documentDepth + 1), ["spec"], 100_000)).toHaveLength(1);
    expect(documentIssues(parsed(`{"a":${"[".repeat(5_000)}${"]".repeat(5_000)}}`), ["spec"], 100_000)).toHaveLength(1);
  });

  test("bytes are counted as UTF-8, at n and at n + 1", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 50 }), (text) => {
        const document = { text };
        const bytes = new TextEncoder().encode(JSON.stringify(document)).length;
        if (textIssues(text, [], 1_000).length > 0) return;
        expect(documentIssues(document, ["metadata"], bytes)).toEqual([]);
        expect(documentIssues(document, ["metadata"], bytes - 1)).toHaveLength(1);
      }),
    );
  });

  test("a thousand mistakes → no more than fifty are told", () => {
    expect(
      documentIssues(
        Array.from({ length: 1_000 }, () => "\0"),
        ["spec"],
        100_000,
      ),
    ).toHaveLength(50);
  });
});
