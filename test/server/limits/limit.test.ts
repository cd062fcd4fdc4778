/** Each limit over HTTP, at n and at n + 1, and the bombs they are there for. */
import { getIntrospectionQuery } from "graphql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answer, startTestServer, type TestServer } from "../support.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ limits: { tokenRequestsPerSecond: 10_000 } });
});
afterAll(() => server.close());

async function codeOf(query: string, variables?: unknown): Promise<unknown> {
  const response = await server.ask(query, { variables });
  const { errors } = await answer(response);
  if (errors === undefined) {
    expect(response.status).toBe(200);
    return null;
  }
  expect(response.status).toBe(400);
  return errors[0]?.extensions["code"];
}

const nested = (depth: number): string => `{ ${"thing { ".repeat(1)}${"parent { ".repeat(depth - 2)}id${" }".repeat(depth - 1)} }`;
const aliases = (count: number): string => Array.from({ length: count }, (_, i) => `a${i}: hello`).join(" ");

describe("limits", () => {
  test("depth: n → answered, n + 1 → refused", async () => {
    expect(await codeOf(nested(20))).toBe(null);
    expect(await codeOf(nested(21))).toBe("BAD_USER_INPUT");
    expect(await codeOf(nested(200))).toBe("BAD_USER_INPUT");
  });

  test("depth through fragments → counted all the same; a cycle of fragments → refused", async () => {
    const chain = Array.from({ length: 20 }, (_, i) => `fragment F${i} on Thing { parent { ${i === 19 ? "id" : `...F${i + 1}`} } }`).join(" ");
    expect(await codeOf(`{ thing { ...F1 } } ${chain.replace(/fragment F0[^}]*} } /, "")}`)).toBe("BAD_USER_INPUT");
    expect(await codeOf("{ thing { ...F } } fragment F on Thing { parent { ...F } }")).toBe("BAD_USER_INPUT");
  });

  test("aliases of one field: n → answered, n + 1 → refused, in whatever fragment they hide", async () => {
    expect(await codeOf(`{ ${aliases(50)} }`)).toBe(null);
    expect(await codeOf(`{ ${aliases(51)} }`)).toBe("BAD_USER_INPUT");
    expect(await codeOf(`{ ${aliases(40)} ... on Query { b: hello ...F } } fragment F on Query { ${aliases(51)} }`)).toBe("BAD_USER_INPUT");
    expect(await codeOf(`{ ${aliases(3_000)} }`)).toBe("BAD_USER_INPUT");
  });

  test("root mutations: n → run, n + 1 → none runs", async () => {
    const bumps = (count: number): string => `mutation { ${Array.from({ length: count }, (_, i) => `b${i}: bump`).join(" ")} }`;
    const before = (await answer(await server.ask("mutation { bump }"))).data?.["bump"];
    expect(await codeOf(bumps(20))).toBe(null);
    expect(await codeOf(bumps(21))).toBe("BAD_USER_INPUT");
    expect((await answer(await server.ask("mutation { bump }"))).data?.["bump"]).toBe(Number(before) + 21);
  });

  test("tokens of a document: n → answered, n + 1 → refused", async () => {
    const document = (ids: number): string => `{ nodes(ids: [${'"a" '.repeat(ids)}]) { id } }`;
    expect(await codeOf(document(10_000 - 12))).toBe(null);
    expect(await codeOf(document(10_000 - 11))).toBe("BAD_USER_INPUT");
  });

  test("cost: n → answered with requested, actual and limit; n + 1 → COST_EXCEEDED with cost and limit, and nothing runs", async () => {
    const query =
      "query($a: Int, $b: Int) { x: things(first: $a) { nodes { things(first: $b) { nodes { id } } } } things(first: 1) { nodes { id } } }";
    // 100 · (1 + 198) + 99 … the last page closes the gap.
    const fits = await server.ask(
      "query($a: Int) { things(first: 199) { nodes { things(first: 99) { nodes { id } } } } x: things(first: $a) { nodes { id } } }",
      { variables: { a: 100 } },
    );
    expect((await answer(fits)).extensions).toEqual({ cost: { requested: 20_000, actual: 3 + 9 + 3, limit: 20_000 } });
    const refused = await server.ask(
      "query($a: Int) { things(first: 199) { nodes { things(first: 99) { nodes { id } } } } x: things(first: $a) { nodes { id } } }",
      { variables: { a: 101 } },
    );
    expect(refused.status).toBe(400);
    const { errors, data, extensions } = await answer(refused);
    expect(errors?.[0]?.extensions).toMatchObject({ code: "COST_EXCEEDED", cost: 20_001, limit: 20_000 });
    expect(extensions).toEqual({ cost: { requested: 20_001, actual: 0, limit: 20_000 } });
    expect(data).toBeUndefined();
    expect(await codeOf(query, { a: 1_000, b: 1_000 })).toBe("COST_EXCEEDED");
  });

  test("doubling fragments (2^20 selections) → refused at once", async () => {
    const fragments = Array.from({ length: 18 }, (_, i) => `fragment F${i} on Thing { a: parent { ...F${i + 1} } b: parent { ...F${i + 1} } }`).join(
      " ",
    );
    expect(await codeOf(`{ thing { ...F0 } } ${fragments} fragment F18 on Thing { id }`)).toBe("BAD_USER_INPUT");
  });

  test("introspection, as tools ask it → answered; introspection in introspection in introspection → refused", async () => {
    expect(
      await codeOf(
        getIntrospectionQuery({
          descriptions: true,
          specifiedByUrl: true,
          directiveIsRepeatable: true,
          schemaDescription: true,
          inputValueDeprecation: true,
          oneOf: true,
        }),
      ),
    ).toBe(null);
    expect(await codeOf("{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }")).toBe(
      "BAD_USER_INPUT",
    );
  });
});
