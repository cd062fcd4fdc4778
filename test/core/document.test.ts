import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { documentDepth, documentIssues, textIssues } from "../../src/core/document.ts";
import { type Json, safeJson } from "../../src/core/json.ts";

const nested = (levels: number): Json => {
  let value: Json = "bottom";
  for (let i = 1; i < levels; i++) value = { deeper: value };
  return value;
};

describe("documents that users hand in", () => {
  test("whatever can be stored as it is → taken as it is; whatever cannot → refused, at a path that leads there", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "binary", maxDepth: 5 }), (value) => {
        const document = value as Json;
        const issues = documentIssues(document, ["spec"], 1_000_000);
        const storable = JSON.stringify(safeJson(document, { depth: 100, elements: 100_000, text: 100_000 })) === JSON.stringify(document);
        expect(issues.length === 0).toBe(storable);
        for (const issue of issues) expect(issue.path[0]).toBe("spec");
      }),
    );
  });

  test("nested as deep as allowed → good; one deeper → refused; a hundred thousand deep → refused, not thrown", () => {
    expect(documentIssues(nested(documentDepth), [], 100_000)).toEqual([]);
    expect(documentIssues(nested(documentDepth + 1), [], 100_000)).toHaveLength(1);
    expect(documentIssues(nested(100_000), [], 100_000)).toHaveLength(1);
  });

  test("as large as allowed → good; one byte more → refused, with both numbers; letters beyond ASCII count as bytes", () => {
    expect(documentIssues("x".repeat(98), [], 100)).toEqual([]);
    expect(documentIssues("x".repeat(99), ["metadata"], 100)).toEqual([{ path: ["metadata"], message: expect.stringMatching(/100.*101/) }]);
    expect(documentIssues("é".repeat(60), [], 100)).toHaveLength(1);
  });

  test("a thousand mistakes → an answer that does not grow with them", () => {
    expect(
      documentIssues(
        Array.from({ length: 1_000 }, () => "\0"),
        [],
        100_000,
      ).length,
    ).toBeLessThanOrEqual(50);
  });

  test("numbers that JSON cannot say → refused", () => {
    expect(documentIssues({ a: Number.NaN, b: [Number.POSITIVE_INFINITY] }, [], 1_000).map((issue) => issue.path.join("."))).toEqual(["a", "b.0"]);
  });

  test("a text: n letters good, n + 1 refused; NUL and lone surrogates refused", () => {
    expect(textIssues("x".repeat(10), [], 10)).toEqual([]);
    expect(textIssues("x".repeat(11), [], 10)).toHaveLength(1);
    expect(textIssues("a\0b", [], 10)).toHaveLength(1);
    expect(textIssues("a\uD83Db", [], 10)).toHaveLength(1);
    expect(textIssues("a😀b", [], 10)).toEqual([]);
  });
});
