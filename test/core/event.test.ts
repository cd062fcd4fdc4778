import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  describeEvent,
  eventDataSchema,
  eventLevelCodes,
  eventLevelName,
  eventLevels,
  eventTypeCodes,
  eventTypeName,
  eventTypeNames,
  eventTypes,
} from "../../src/core/event.ts";
import type { Json, JsonObject } from "../../src/core/json.ts";

const anyType = fc.constantFrom(...eventTypeNames);
const anyData = fc.dictionary(fc.string(), fc.jsonValue()).map((data): JsonObject => data as JsonObject);

/** What a property of this kind may hold. */
function valueOf(kind: string): fc.Arbitrary<Json> {
  const base: fc.Arbitrary<Json> = kind.startsWith("string")
    ? fc.string()
    : kind.startsWith("integer")
      ? fc.integer()
      : kind.startsWith("boolean")
        ? fc.boolean()
        : fc.constant<Json>({ some: "thing" });
  return kind.endsWith("?") ? fc.option(base) : base;
}

describe("the ledger's vocabulary", () => {
  test("any type, any data at all → a sentence, never thrown", () => {
    fc.assert(
      fc.property(anyType, anyData, fc.string(), (type, data, who) => {
        expect(describeEvent(type, data, who).length).toBeGreaterThan(0);
      }),
    );
  });

  test("data as a type says it is → matches the type's schema, and its sentence has no hole", () => {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
    for (const type of eventTypeNames) {
      const validate = ajv.compile(eventDataSchema(type));
      const fields: readonly (readonly [string, string])[] = Object.entries(eventTypes[type].data);
      fc.assert(
        fc.property(fc.tuple(...fields.map(([, kind]) => valueOf(kind))), (values) => {
          const data: JsonObject = Object.fromEntries(fields.map(([name], i) => [name, values[i] ?? null]));
          expect(validate(data), `${type} ${JSON.stringify(data)}`).toBe(true);
          expect(describeEvent(type, data, "web-1")).not.toMatch(/undefined|\[object/);
        }),
        { numRuns: 20 },
      );
      for (const [name, kind] of fields)
        if (!kind.endsWith("?"))
          expect(validate(Object.fromEntries(fields.filter(([other]) => other !== name).map(([other]) => [other, null])))).toBe(false);
    }
  });

  test("codes → unique, frozen, read back", () => {
    for (const type of eventTypeNames) expect(eventTypeName(eventTypes[type].code)).toBe(type);
    expect(new Set(eventTypeNames.map((type) => eventTypes[type].code)).size).toBe(eventTypeNames.length);
    // Stored in every ledger there is: one may be added behind these, none changed.
    expect(Object.fromEntries(eventTypeNames.map((type) => [type, eventTypes[type].code]))).toMatchObject({
      "project.created": 1,
      "project.updated": 2,
      "project.deleted": 3,
      "token.created": 4,
      "token.revoked": 5,
      "profile.created": 6,
      "profile.revised": 7,
      "profile.updated": 8,
      "profile.deleted": 9,
      "cluster.created": 10,
      "cluster.updated": 11,
      "cluster.resized": 12,
      "cluster.deletion.wanted": 13,
      "cluster.status.changed": 14,
      "cluster.condition.changed": 15,
      "cluster.settled": 16,
      "cluster.deleted": 17,
      "node.created": 18,
      "node.updated": 19,
      "node.status.changed": 20,
      "node.health.changed": 21,
      "node.signal.changed": 22,
      "node.deleted": 23,
      "action.created": 24,
      "action.started": 25,
      "action.finished": 26,
      "cluster.deletion.cancelled": 27,
    });
    expect(() => eventTypeName(9_999)).toThrow("unknown code 9999");
  });

  test("levels → grow with their gravity, read back", () => {
    const codes = eventLevels.map((level) => eventLevelCodes[level]);
    expect(codes).toEqual([10, 20, 30, 40, 50]);
    for (const level of eventLevels) expect(eventLevelName(eventLevelCodes[level])).toBe(level);
    expect(() => eventLevelName(15)).toThrow("unknown code 15");
  });

  test("a filter of types: exact names, prefixes that end in a dot, junk → what they mean and nothing else", () => {
    expect(eventTypeCodes(["node.status.changed"])).toEqual([20]);
    expect(eventTypeCodes(["node."])).toEqual([18, 19, 29, 20, 21, 22, 23]);
    expect(eventTypeCodes(["node"])).toEqual([]);
    expect(eventTypeCodes(["cluster.deleted", "action."])).toEqual([17, 24, 25, 26]);
    expect(eventTypeCodes(["", ".", "constructor", "node.*"])).toEqual([]);
  });

  test("names → lower-case words with dots, each with a description that is a sentence", () => {
    for (const type of eventTypeNames) {
      expect(type).toMatch(/^[a-z]+(\.[a-z]+)+$/);
      expect(eventTypes[type].description).toMatch(/^[A-Z].*\.$/);
    }
  });
});
