/** What is kept of documents: those that come twice, as far as they are not too long. */
import { expect, test } from "vitest";
import { DocumentCache } from "../../src/server/document-cache.ts";

const come = (cache: DocumentCache<string>, text: string): boolean => {
  const found = cache.get(text) !== undefined;
  if (!found) cache.set(text, "parsed");
  return found;
};

test("a document that comes once → not kept; twice → kept from then on", () => {
  const cache = new DocumentCache<string>();
  expect([1, 2, 3, 4].map(() => come(cache, "{ a }"))).toEqual([false, false, true, true]);
});

test("very many that come once → one that comes again and again stays", () => {
  const cache = new DocumentCache<string>();
  come(cache, "{ often }");
  come(cache, "{ often }");
  for (let n = 0; n < 5_000; n++) {
    expect(come(cache, `{ once${n} ${"x".repeat(1_000)} }`)).toBe(false);
    expect(come(cache, "{ often }")).toBe(true);
  }
  expect(come(cache, `{ once0 ${"x".repeat(1_000)} }`)).toBe(false);
});

test("more that come twice than there is room for → the one that was not used for longest goes", () => {
  const cache = new DocumentCache<string>();
  const texts = Array.from({ length: 150 }, (_, n) => `{ ${n} ${"x".repeat(9_990)} }`);
  for (const text of texts) {
    come(cache, text);
    come(cache, text);
  }
  const kept = texts.filter((text) => cache.get(text) !== undefined);
  expect(kept).toEqual(texts.slice(-kept.length));
  expect(kept.join("").length).toBeLessThanOrEqual(1_000_000);
  expect(kept.join("").length).toBeGreaterThan(980_000);
});

test("a very long one → never kept", () => {
  const cache = new DocumentCache<string>();
  const text = `{ ${"x".repeat(60_000)} }`;
  expect([1, 2, 3].map(() => come(cache, text))).toEqual([false, false, false]);
});
