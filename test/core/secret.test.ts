import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/core/json.ts";
import { maskIn, secretPaths } from "../../src/core/secret.ts";

const secret: JsonObject = { type: "string", writeOnly: true };

describe("secretPaths", () => {
  test.each<[string, JsonObject, JsonObject, string[][]]>([
    ["a property", { properties: { a: secret, b: {} } }, { a: "x", b: "y" }, [["a"]]],
    ["one that is absent", { properties: { a: secret } }, { b: 1 }, []],
    ["a whole object", { properties: { env: { writeOnly: true, additionalProperties: secret } } }, { env: { A: "x" } }, [["env"]]],
    [
      "members of a map",
      { properties: { env: { additionalProperties: secret } } },
      { env: { A: "x", B: "y" } },
      [
        ["env", "A"],
        ["env", "B"],
      ],
    ],
    ["names by pattern", { patternProperties: { "^secret": secret } }, { secretA: "x", other: "y" }, [["secretA"]]],
    [
      "items",
      { properties: { list: { items: { properties: { key: secret } } } } },
      { list: [{ key: 1 }, {}, { key: 2 }] },
      [
        ["list", "0", "key"],
        ["list", "2", "key"],
      ],
    ],
    ["first items", { properties: { pair: { prefixItems: [{}, secret] } } }, { pair: ["a", "b"] }, [["pair", "1"]]],
    ["one of several", { oneOf: [{ properties: { a: secret } }, { properties: { b: {} } }] }, { a: 1, b: 2 }, [["a"]]],
    [
      "all of, then, else",
      JSON.parse('{"allOf":[{"then":{"properties":{"a":{"writeOnly":true}}}},{"else":{"properties":{"b":{"writeOnly":true}}}}]}'),
      { a: 1, b: 2 },
      [["a"], ["b"]],
    ],
    ["a reference", { $defs: { s: secret }, properties: { a: { $ref: "#/$defs/s" } } }, { a: "x" }, [["a"]]],
    ["at two depths", { anyOf: [{ properties: { a: secret } }, { properties: { a: { properties: { b: secret } } } }] }, { a: { b: 1 } }, [["a"]]],
  ])("%s → found", (_what, schema, value, paths) => {
    expect(secretPaths(schema, value).sort()).toEqual(paths);
  });

  test("a schema that refers to itself → ends", () => {
    const schema = {
      $defs: { tree: { properties: { key: secret, kids: { items: { $ref: "#/$defs/tree" } } } }, loop: { $ref: "#/$defs/loop" } },
      $ref: "#/$defs/tree",
      anyOf: [{ $ref: "#/$defs/loop" }],
    };
    expect(secretPaths(schema, { key: 1, kids: [{ kids: [{ key: 2 }] }] })).toEqual([["key"], ["kids", "0", "kids", "0", "key"]]);
  });

  test("only what is exactly a mask is one", () => {
    expect(maskIn({ $secret: "hmac:1" })).toBe("hmac:1");
    fc.assert(fc.property(fc.jsonValue(), (value) => maskIn(JSON.parse(JSON.stringify(value))) === null));
    expect(maskIn({ $secret: "hmac:1", more: 1 })).toBeNull();
    expect(maskIn({ $secret: 5 })).toBeNull();
  });
});
