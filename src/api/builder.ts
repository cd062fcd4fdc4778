/** The schema's builder, its scalars, and the two types everything else stands on: `Node` and `PageInfo`. */
import SchemaBuilder from "@pothos/core";
import { GraphQLError, type ValueNode, valueFromASTUntyped } from "graphql";
import { GraphQLDateTime } from "graphql-scalars";
import type { Json, JsonObject } from "../core/json.ts";
import type { ApiContext } from "./context.ts";

export interface BuilderTypes {
  Context: ApiContext;
  DefaultFieldNullability: false;
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date };
    JSONObject: { Input: JsonObject; Output: JsonObject };
  };
}

export const builder = new SchemaBuilder<BuilderTypes>({ defaultFieldNullability: false });

builder.queryType({ description: "What there is. Everything is seen from the caller's project." });
builder.mutationType({
  description: "What is wanted. A mutation is accepted at once, in one transaction; `action` shows the work that follows.",
});
builder.subscriptionType({ description: "What happens, live, over WebSocket or SSE." });

builder.scalarType("DateTime", {
  description: "A moment, as RFC 3339 in UTC with milliseconds: `2026-11-21T09:30:00.000Z`.",
  specifiedByURL: "https://scalars.graphql.org/andimarek/date-time.html",
  serialize: (value) => value.toISOString(),
  parseValue: (value) => GraphQLDateTime.parseValue(value),
});

builder.scalarType("JSONObject", {
  description: "Any JSON object.",
  specifiedByURL: "https://ecma-international.org/publications-and-standards/standards/ecma-404/",
  serialize: (value) => value,
  parseValue: parseObject,
  parseLiteral: (node: ValueNode, variables) => parseObject(valueFromASTUntyped(node, variables)),
});

function parseObject(value: unknown): JsonObject {
  if (!isObject(value)) throw new GraphQLError("JSONObject takes a JSON object.");
  return value;
}

/** What a request's body or a literal gave is JSON already; only its outermost shape can be wrong. */
function isObject(value: unknown): value is Readonly<Record<string, Json>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
