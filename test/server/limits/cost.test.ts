import fc from "fast-check";
import { getOperationAST, parse } from "graphql";
import { describe, expect, test } from "vitest";
import { actualCost, compileCost, requestedCost } from "../../../src/server/limits/cost.ts";
import { testSchema } from "../support.ts";

const schema = testSchema();

function cost(query: string, variables: Readonly<Record<string, unknown>> = {}): number {
  const document = parse(query);
  const operation = getOperationAST(document);
  if (operation === null || operation === undefined) throw new Error("no operation");
  return requestedCost(compileCost(schema, document, operation), variables, 1_000);
}

describe("requested cost", () => {
  test.each([
    ["leaves only", "{ hello role }", 0],
    ["one object", "{ thing { id } }", 1],
    ["an object in an object", "{ thing { parent { id } note { text } } }", 3],
    ["a page without a size", "{ things { nodes { id } } }", 50],
    ["a page by edges", "{ things(first: 10) { edges { cursor node { id } } } }", 10],
    ["edges without their nodes: the rows are read all the same", "{ things(first: 10) { edges { cursor } } }", 10],
    ["only the page's info", "{ things(first: 10) { pageInfo { hasNextPage } totalCount } }", 10],
    ["pages in pages", "{ things(first: 100) { nodes { things(first: 10) { nodes { id } } } } }", 1_100],
    ["an only-info page in a page", "{ things(first: 100) { nodes { things(first: 10) { totalCount } } } }", 1_100],
    ["nodes and edges", "{ things(first: 10) { nodes { id } edges { node { id } } } }", 20],
    ["last instead of first", "{ things(last: 7) { nodes { id } } }", 7],
    ["more than a page can hold: its resolver will refuse it", "{ things(first: 100000) { nodes { id } } }", 1_000],
    ["a negative page", "{ things(first: -5) { nodes { id } } }", 0],
    ["ids in a list", '{ nodes(ids: ["a", "b", "c"]) { id } }', 3],
    ["two aliases", "{ a: thing { id } b: thing { id } }", 2],
    ["the same field twice: one", "{ thing { id } thing { note { text } } }", 2],
    ["a fragment twice: once", "{ thing { ...F ...F } } fragment F on Thing { note { text } }", 2],
    ["alternatives: all of them", "{ find { ... on Thing { note { text } } ... on Note { text } } }", 2],
    ["introspection", "{ __schema { types { name fields { name } } } }", 0],
    ["what is skipped", "{ things @skip(if: true) { nodes { id } } thing @include(if: false) { id } }", 0],
    ["a batch of a stream", "subscription { batches { ticks { number } } }", 500],
    ["a small batch of a stream", "subscription { batches(maxSize: 5) { ticks { number } } }", 5],
  ])("%s", (_case, query, expected) => {
    expect(cost(query)).toBe(expected);
  });

  test("variables: given, defaulted, absent, of another type", () => {
    const query = "query($n: Int = 7) { things(first: $n) { nodes { id } } }";
    expect(cost(query, { n: 3 })).toBe(3);
    expect(cost(query)).toBe(7);
    expect(cost(query, { n: null })).toBe(50);
    expect(cost(query, { n: "junk" })).toBe(50);
    expect(cost("query($n: Int) { things(first: $n) { nodes { id } } }")).toBe(50);
    expect(cost("query($i: [ID!]!) { nodes(ids: $i) { id } }", { i: ["a", "b"] })).toBe(2);
    expect(cost("query($s: Boolean!) { thing @include(if: $s) { id } }", { s: true })).toBe(1);
  });

  test("an object with many leaves → counts as several", () => {
    const leaves = (count: number): string => Array.from({ length: count }, (_, i) => `x${i}: id`).join(" ");
    expect(cost(`{ thing { ${leaves(49)} } }`)).toBe(1);
    expect(cost(`{ thing { ${leaves(50)} } }`)).toBe(2);
  });

  test("any nesting of pages → the product of sizes, summed", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 5 }), (sizes) => {
        const query = sizes.reduceRight((inner, size) => `things(first: ${size}) { nodes { id ${inner} } }`, "");
        let product = 1;
        let sum = 0;
        for (const size of sizes) {
          product *= size;
          sum += product;
        }
        expect(cost(`{ ${query} }`)).toBe(sum);
      }),
    );
  });
});

describe("actual cost", () => {
  test("counts the objects of the answer, by the same rules", () => {
    const document = parse("{ a: thing { id } things(first: 2) { edges { node { note { text } } } nodes { id } pageInfo { hasNextPage } } }");
    const operation = getOperationAST(document);
    if (operation === null || operation === undefined) throw new Error("no operation");
    const plan = compileCost(schema, document, operation);
    const data = {
      a: null,
      things: {
        edges: [{ node: { note: null } }, { node: { note: { text: "x" } } }],
        nodes: [{ id: "1" }, { id: "2" }],
        pageInfo: { hasNextPage: false },
      },
    };
    expect(actualCost(plan, data)).toBe(5);
    expect(actualCost(plan, null)).toBe(0);
  });
});
