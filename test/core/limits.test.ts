import { describe, expect, test } from "vitest";
import { defaultLimits, limitSettings, limitsWith } from "../../src/core/limits.ts";

describe("limits", () => {
  test("each limit: a setting of its own name, its default, and a lower bound that the default keeps", () => {
    expect(limitSettings.map(({ name }) => name).sort()).toEqual(Object.keys(defaultLimits).sort());
    for (const { name, variable, value, least } of limitSettings) {
      expect(variable).toMatch(/^MUSTER_LIMIT_[A-Z_]+$/);
      expect(defaultLimits[name]).toBe(value);
      expect(least).toBeLessThanOrEqual(value);
    }
    expect(new Set(limitSettings.map(({ variable }) => variable)).size).toBe(limitSettings.length);
  });

  test("the numbers of the design", () => {
    expect(defaultLimits).toMatchObject({
      bodyBytes: 1_048_576,
      documentTokens: 10_000,
      depth: 20,
      fieldAliases: 50,
      rootMutations: 20,
      cost: 20_000,
      pageSize: 1_000,
      livePageSize: 100,
      nodeIds: 1_000,
      specBytes: 65_536,
      metadataBytes: 16_384,
      executionMs: 10_000,
      socketSubscriptions: 100,
      tokenSockets: 1_000,
      streamEvents: 1_000,
      streamBytes: 1_048_576,
      tokenRequestsPerSecond: 200,
    });
  });

  test("an override → that one, the others stay", () => {
    expect(limitsWith({ depth: 7 })).toEqual({ ...defaultLimits, depth: 7 });
  });
});
