/**
 * Junk in everything: for every root field of the schema, arguments that are well-formed and make no sense. Whatever comes, the answer
 * is typed, nothing is called a bug of ours, nothing is logged as one, and the server lives.
 */
import fc from "fast-check";
import {
  type GraphQLField,
  type GraphQLInputType,
  getNamedType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isScalarType,
  isUnionType,
} from "graphql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildSchema } from "../../src/api/schema.ts";
import { encodeId } from "../../src/core/ids.ts";
import { simCluster } from "../support/cluster.ts";
import { type LiveApi, startLiveApi } from "./live-api.ts";

const schema = buildSchema();

/** Ids and names of things that are there, so that some junk gets past the first look. */
const known: string[] = [];

const texts = [
  "",
  " ",
  "junk",
  "\u0000",
  "\ud800",
  "a\u0007b",
  "x".repeat(300),
  "x".repeat(20_000),
  "../../etc/passwd",
  "%",
  "_",
  "'; drop table muster.node; --",
  "{cluster}",
  '{"$secret":"x"}',
  "cluster_",
  "node_7zzzzzzzzzzzzzzzzzzzzzzzzz",
  "1.1.1.1",
  "RESTART",
];
const integers = [0, 1, -1, 2, 1_000, 1_001, 100_000, 2 ** 31 - 1, -(2 ** 31)];
const objects: object[] = [
  {},
  { "": null },
  { "\u0000": "\ud800" },
  { command: ["true"] },
  { command: [], ports: ["a", "a"], health: { http: { port: "nope" } } },
  { createMs: { min: 5, max: 1 }, failureRate: 7, batchSize: -1 },
  { $secret: "hmac:x" },
  JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {}}}'),
  { deep: Array.from({ length: 200 }).reduce((inner: object) => ({ inner }), {}) },
  { big: "x".repeat(70_000) },
];

function junk(type: GraphQLInputType): fc.Arbitrary<unknown> {
  if (isNonNullType(type)) return junk(type.ofType);
  if (isListType(type)) return fc.array(junk(type.ofType), { maxLength: 3 });
  if (isEnumType(type)) return fc.constantFrom(...type.getValues().map(({ name }) => name));
  if (isScalarType(type)) {
    switch (type.name) {
      case "Int":
        return fc.constantFrom(...integers);
      case "Float":
        return fc.constantFrom(0, -1, 0.1, 1e308, -1e308, 5e-324);
      case "Boolean":
        return fc.boolean();
      case "DateTime":
        return fc.constantFrom("2026-11-21T00:00:00.000Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z");
      case "JSONObject":
        return fc.constantFrom(...objects);
      default:
        return fc.oneof(
          fc.constantFrom(...texts),
          fc.nat().map((n) => known[n % Math.max(1, known.length)] ?? "none"),
        );
    }
  }
  if (!isInputObjectType(type)) throw new Error(`no junk for ${String(type)}`);
  const fields = Object.values(type.getFields());
  if (type.isOneOf) return fc.oneof(...fields.map((field) => junk(field.type).map((value) => ({ [field.name]: value }))));
  const arbitraries = fields.map((field) =>
    (isNonNullType(field.type) ? junk(field.type) : fc.option(junk(field.type), { nil: null })).map((value) => [field.name, value] as const),
  );
  const optional = fields.map((field) => isNonNullType(field.type) && field.defaultValue === undefined);
  return fc
    .tuple(fc.tuple(...arbitraries), fc.array(fc.boolean(), { minLength: fields.length, maxLength: fields.length }))
    .map(([entries, kept]) => Object.fromEntries(entries.filter((_, i) => optional[i] === true || kept[i] === true)));
}

/** The first level of a type: every leaf, and the kind of what is no leaf. */
function selection(field: GraphQLField<unknown, unknown>): string {
  const type = getNamedType(field.type);
  if (!isCompositeType(type)) return "";
  if (isUnionType(type)) return "{ __typename ... on Error { code message path } }";
  if (!isObjectType(type)) return "{ __typename id }";
  const leaves = Object.values(type.getFields()).filter((inner) => isLeafType(getNamedType(inner.type)) && inner.args.length === 0);
  const nodes = type.name.endsWith("Connection") ? "nodes { __typename id }" : "";
  return `{ __typename ${leaves.map(({ name }) => name).join(" ")} ${nodes} }`;
}

const doors = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type, i) =>
  Object.values(type?.getFields() ?? {})
    .filter(({ args }) => args.length > 0)
    .map((field) => ({ name: `${type?.name}.${field.name}`, operation: ["query", "mutation", "subscription"][i] ?? "", field })),
);

describe("junk", () => {
  let api: LiveApi;
  let token: string;
  beforeAll(async () => {
    api = await startLiveApi({ limits: { tokenRequestsPerSecond: 1_000_000 } });
    const minted = await api.mint("OPERATOR");
    token = minted.secret;
    const made = await simCluster(api.world, { name: "there", desiredCapacity: 2 });
    // The token that asks is not among them: junk would revoke it.
    known.push("there", "there-profile", made.id, encodeId("action", made.actionId));
  });
  afterAll(() => api.stop());

  test.each(doors)("$name: anything → a typed answer, no bug", async ({ operation, field }) => {
    const head = field.args.map((argument) => `$${argument.name}: ${String(argument.type)}`).join(" ");
    const body = field.args.map(({ name }) => `${name}: $${name}`).join(" ");
    const query = `${operation}(${head}) { ${field.name}(${body}) ${selection(field)} }`;
    const variables = fc.record(
      Object.fromEntries(
        field.args.map((argument) => [
          argument.name,
          isNonNullType(argument.type) ? junk(argument.type) : fc.option(junk(argument.type), { nil: null }),
        ]),
      ),
    );
    await fc.assert(
      fc.asyncProperty(variables, async (values) => {
        const errorsBefore = api.world.log.errors().length;
        const answer = operation === "subscription" ? await subscribed(query, values) : await (await api.ask(token, query, values)).text();
        expect(answer).not.toContain("INTERNAL_SERVER_ERROR");
        expect(answer).toMatch(/"data"|"errors"|^open$/);
        expect(api.world.log.errors().slice(errorsBefore)).toEqual([]);
      }),
      { numRuns: 40, endOnFailure: false },
    );
  });

  /** A stream answers with a frame, or stays open and silent, which its first comment shows. */
  async function subscribed(query: string, variables: unknown): Promise<string> {
    const leaving = new AbortController();
    const response = await api.stream(token, query, { variables, signal: leaving.signal });
    if (response.body === null) throw new Error("no body");
    const reader = response.body.getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    leaving.abort();
    return first.startsWith(":") ? "open" : first;
  }
});
