import fc from "fast-check";
import { GraphQLError } from "graphql";
import { describe, expect, test } from "vitest";
import { checkFilter, type KeyKind, readPage, writeCursor } from "../../src/api/page.ts";
import { formatUuid } from "../../src/core/ids.ts";
import type { Keyset } from "../../src/store/page.ts";

const most = 1_000;

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof GraphQLError) return String(error.extensions["code"]);
    throw error;
  }
  return "accepted";
}

const anId = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map(formatUuid);
const keys: Readonly<Record<KeyKind, fc.Arbitrary<Keyset>>> = {
  id: anId.map((id) => ({ id })),
  text: fc.record({ id: anId, value: fc.stringMatching(/^[A-Za-z0-9._-]{1,128}$/) }),
  number: fc.record({ id: anId, value: fc.integer({ min: 0, max: 32_767 }) }),
  time: fc.record({
    id: anId,
    value: fc.date({ noInvalidDate: true, min: new Date("2000-01-01"), max: new Date("2100-01-01") }).map((at) => at.toISOString()),
  }),
};

describe("page", () => {
  test("sizes: what is asked for within bounds, 50 when nothing is said", () => {
    expect(readPage({}, most, ["x"]).page).toEqual({ limit: 50, backward: false, after: null, before: null });
    expect(readPage({}, 20, ["x"]).page.limit).toBe(20);
    expect(readPage({ first: 0 }, most, ["x"]).page.limit).toBe(0);
    expect(readPage({ first: most }, most, ["x"]).page.limit).toBe(most);
    expect(readPage({ last: 3 }, most, ["x"]).page).toMatchObject({ limit: 3, backward: true });
    expect(readPage({ first: null, last: 3 }, most, ["x"]).page).toMatchObject({ limit: 3, backward: true });
  });

  test.each([{ first: -1 }, { last: -1 }, { first: most + 1 }, { last: 100_000 }, { first: 1, last: 1 }])("size %o → BAD_USER_INPUT", (args) => {
    expect(codeOf(() => readPage(args, most, ["x"]))).toBe("BAD_USER_INPUT");
  });

  test.each(["id", "text", "number", "time"] as const)("cursor of an order by %s: written and read → the same place", (kind) => {
    fc.assert(
      fc.property(keys[kind], (key) => {
        const { name } = readPage({}, most, ["list", "filter"], kind);
        const cursor = writeCursor(name, key);
        expect(readPage({ after: cursor }, most, ["list", "filter"], kind).page.after).toEqual(key);
        expect(readPage({ before: cursor }, most, ["list", "filter"], kind).page.before).toEqual(key);
      }),
    );
  });

  test("cursor of another list, filter, order or parent → INVALID_CURSOR", () => {
    const key = { id: formatUuid(1n) };
    const cursor = writeCursor(readPage({}, most, ["clusters", { nameContains: "a" }]).name, key);
    expect(codeOf(() => readPage({ after: cursor }, most, ["clusters", { nameContains: "a" }]))).toBe("accepted");
    for (const other of [["clusters"], ["clusters", { nameContains: "b" }], ["nodes", { nameContains: "a" }]] as const) {
      expect(codeOf(() => readPage({ after: cursor }, most, [...other]))).toBe("INVALID_CURSOR");
    }
    expect(codeOf(() => readPage({ after: cursor }, most, ["clusters", { nameContains: "a" }], "text"))).toBe("INVALID_CURSOR");
  });

  test("two spellings of one filter: one list", () => {
    const name = (filter: unknown): string => readPage({}, most, ["x", filter]).name;
    expect(name({ a: 1, b: "2" })).toBe(name({ b: "2", a: 1 }));
    expect(name({})).toBe(name(null));
    expect(name({ a: null })).toBe(name(undefined));
    expect(name({ since: new Date(0) })).toBe(name({ since: new Date(0) }));
    expect(name({ since: new Date(0) })).not.toBe(name({ since: new Date(1) }));
  });

  test("any text as a cursor: a place that was written, or INVALID_CURSOR", () => {
    const { name } = readPage({}, most, ["x"]);
    const valid = writeCursor(name, { id: formatUuid(77n) });
    const mangled = fc
      .tuple(fc.nat(valid.length), fc.string({ maxLength: 3 }))
      .map(([at, text]) => valid.slice(0, at) + text + valid.slice(at + text.length));
    fc.assert(
      fc.property(fc.oneof(fc.string(), mangled, fc.constant("")), (text) => {
        if (codeOf(() => readPage({ after: text }, most, ["x"])) === "INVALID_CURSOR") return;
        const { after } = readPage({ after: text }, most, ["x"]).page;
        expect(after === null ? "" : writeCursor(name, after)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test("filter: an empty list, one of more than a thousand or a NUL anywhere → BAD_USER_INPUT, anything else is accepted", () => {
    expect(codeOf(() => checkFilter({ ids: [] }))).toBe("BAD_USER_INPUT");
    expect(codeOf(() => checkFilter({ ids: Array.from({ length: 1_001 }, String) }))).toBe("BAD_USER_INPUT");
    expect(codeOf(() => checkFilter({ ids: Array.from({ length: 1_000 }, String) }))).toBe("accepted");
    expect(codeOf(() => checkFilter({ roles: ["a", "b\0"] }))).toBe("BAD_USER_INPUT");
    expect(codeOf(() => checkFilter({ nameContains: "\0" }))).toBe("BAD_USER_INPUT");
    for (const text of ["\0", "\ud800", "x".repeat(70_000)]) {
      expect(codeOf(() => checkFilter({}, { deep: [{ key: text }] }))).toBe("BAD_USER_INPUT");
    }
    expect(codeOf(() => checkFilter({ metadata: {}, profile: { name: "x" }, updatedSince: new Date(0) }, { tags: [] }))).toBe("accepted");
    expect(codeOf(() => checkFilter(null))).toBe("accepted");
  });
});
