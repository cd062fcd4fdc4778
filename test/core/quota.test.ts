import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultQuota, fitsQuota, fitsSideBySide, quotaIssues, quotaNames, quotaOf } from "../../src/core/quota.ts";

describe("quotas", () => {
  test("so much more: up to the limit → fits; one more → does not; giving back → always", () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(2_000), fc.nat(1_000), (limit, used, requested) => {
        expect(fitsQuota(limit, used, requested)).toBe(requested === 0 || used + requested <= limit);
        expect(fitsQuota(limit, used, -requested)).toBe(true);
        expect(fitsQuota(null, used, requested)).toBe(true);
      }),
    );
  });

  test("any 499 requests that may pass side by side → all of them together fit", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10_000_000 }),
        fc.integer({ min: 0, max: 10_000_000 }),
        fc.integer({ min: 1, max: 10_000 }),
        (limit, used, requested) => {
          fc.pre(fitsSideBySide(limit, used, requested));
          expect(used + 499 * requested).toBeLessThanOrEqual(limit);
        },
      ),
    );
  });

  test("what is stored → over the defaults; junk in it → the default", () => {
    expect(quotaOf({})).toEqual(defaultQuota);
    expect(quotaOf({ nodes: 5, clusters: null, profiles: "many", other: 1 })).toEqual({ ...defaultQuota, nodes: 5, clusters: null });
  });

  test("a change with several mistakes → all of them at once", () => {
    const issues = quotaIssues(
      [
        { quota: "nodes", limit: -1 },
        { quota: "nodes", limit: 1 },
        { quota: "constructor", limit: 1 },
      ],
      ["quota"],
    );
    expect(issues.map((issue) => issue.path.join("."))).toEqual(["quota.0.limit", "quota.1.quota", "quota.2.quota"]);
    expect(
      quotaIssues(
        quotaNames.map((quota) => ({ quota, limit: null })),
        [],
      ),
    ).toEqual([]);
  });
});
