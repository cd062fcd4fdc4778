import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../../src/core/json.ts";
import { maskIn, maskKey, secretPaths } from "../../src/core/secret.ts";

const secret: JsonObject = { type: "string", writeOnly: true };
// As text: a property of that name would make a promise of any other object.
const branching: JsonObject = JSON.parse(
  '{"if": {"properties": {"kind": {"const": "x"}}}, "then": {"properties": {"a": {"type": "string", "writeOnly": true}}}, "else": {}}',
);
const paths = (schema: JsonObject, value: Json): string[] => secretPaths(schema, value).map((path) => path.join("."));

describe("secret values of a spec", () => {
  test.each<[string, JsonObject, Json, string[]]>([
    ["a property", { properties: { password: secret, name: { type: "string" } } }, { password: "x", name: "y" }, ["password"]],
    ["absent", { properties: { password: secret } }, { name: "y" }, []],
    ["any property", { additionalProperties: secret }, { a: "x", b: "y" }, ["a", "b"]],
    ["a pattern", { patternProperties: { "^KEY_": secret }, additionalProperties: { type: "string" } }, { KEY_A: "x", other: "y" }, ["KEY_A"]],
    ["items", { properties: { keys: { items: secret } } }, { keys: ["x", "y"] }, ["keys.0", "keys.1"]],
    ["the first item only", { properties: { pair: { prefixItems: [secret], items: { type: "string" } } } }, { pair: ["x", "y"] }, ["pair.0"]],
    [
      "by reference",
      { properties: { user: { $ref: "#/$defs/user" } }, $defs: { user: { properties: { key: secret } } } },
      { user: { key: "x" } },
      ["user.key"],
    ],
    ["one alternative of two", { anyOf: [{ properties: { a: secret } }, { properties: { a: { type: "string" } } }] }, { a: "x" }, ["a"]],
    ["a branch", branching, { kind: "y", a: "x" }, ["a"]],
    ["a secret in a secret", { properties: { env: { writeOnly: true, additionalProperties: secret } } }, { env: { A: "x" } }, ["env"]],
    ["a name of the prototype's", { properties: { password: secret } }, { constructor: "x" }, []],
  ])("%s → found where it is", (_name, schema, value, expected) => {
    expect(paths(schema, value)).toEqual(expected);
  });

  test("a schema that refers to itself → ends", () => {
    const schema: JsonObject = {
      $ref: "#/$defs/tree",
      $defs: { tree: { allOf: [{ $ref: "#/$defs/tree" }], properties: { key: secret, child: { $ref: "#/$defs/tree" } } } },
    };
    expect(paths(schema, { key: "x", child: { key: "y", child: {} } })).toEqual(["key", "child.key"]);
  });

  test("any value under a schema without secrets → none", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(secretPaths({ type: "object", additionalProperties: {} }, value as Json)).toEqual([]);
      }),
    );
  });

  test("a mask → recognised by being nothing else", () => {
    expect(maskIn({ [maskKey]: "hmac:1" })).toBe("hmac:1");
    for (const value of [null, "x", 1, [], {}, { [maskKey]: 1 }, { [maskKey]: "hmac:1", more: 1 }]) expect(maskIn(value)).toBeNull();
  });
});
