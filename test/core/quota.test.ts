import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultQuota, fitsQuota, fitsSideBySide, quotaIssues, quotaNames, quotaOf } from "../../src/core/quota.ts";

const limit = fc.option(fc.nat(5_000_000));

describe("quotas", () => {
  test("what is stored wins, null as well; the rest are defaults; rubbish is ignored", () => {
    expect(quotaOf({})).toEqual(defaultQuota);
    expect(quotaOf({ nodes: null, tokens: 0, profiles: "many", other: 1 })).toEqual({ ...defaultQuota, nodes: null, tokens: 0 });
  });

  test("exactly the limit fits, one more does not; giving back always fits; no limit lets everything pass", () => {
    fc.assert(
      fc.property(limit, fc.nat(6_000_000), fc.integer({ min: -1_000, max: 6_000_000 }), (allowed, used, requested) => {
        expect(fitsQuota(allowed, used, requested)).toBe(allowed === null || requested <= 0 || used + requested <= allowed);
      }),
    );
  });

  test("whatever may pass side by side: 500 of them together still fit", () => {
    fc.assert(
      fc.property(fc.nat(5_000_000), fc.nat(6_000_000), fc.nat(6_000_000), (allowed, used, requested) => {
        if (fitsSideBySide(allowed, used, requested) && requested > 0) expect(used + 500 * requested).toBeLessThanOrEqual(allowed);
      }),
    );
  });

  test("unknown, repeated, negative → each told at its place", () => {
    const changes = [{ quota: "nodes", limit: 5 }, { quota: "nodes", limit: null }, { quota: "cpus" }, { quota: "tokens", limit: -1 }];
    expect(quotaIssues(changes, ["quota"])).toEqual([
      { path: ["quota", "1", "quota"], message: "is given twice" },
      { path: ["quota", "2", "quota"], message: `must be one of ${quotaNames.join(", ")}` },
      { path: ["quota", "3", "limit"], message: "must not be negative" },
    ]);
  });
});
