import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Buckets } from "../../src/server/bucket.ts";

describe("buckets", () => {
  test("burst at once, then one for each share of a second, each key by itself", () => {
    let now = 0;
    const buckets = new Buckets({ monotonicMs: () => now }, 3, 2);
    expect([1, 2, 3, 4].map(() => buckets.take("a"))).toEqual([0, 0, 0, 500]);
    expect(buckets.peek("b")).toBe(0);
    now = 499;
    expect(buckets.take("a")).toBe(1);
    now = 500;
    expect(buckets.take("a")).toBe(0);
    now = 1_000_000;
    expect([1, 2, 3, 4].map(() => buckets.take("a"))).toEqual([0, 0, 0, 500]);
  });

  test("any sequence of takes → never more than burst + rate · time are given, and the wait that is told suffices", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 200 }), (steps) => {
        let now = 0;
        let given = 0;
        const buckets = new Buckets({ monotonicMs: () => now }, 5, 10);
        for (const step of steps) {
          now += step;
          const wait = buckets.take("a");
          if (wait === 0) given++;
          else {
            now += wait;
            expect(buckets.take("a")).toBe(0);
            given++;
          }
          expect(given).toBeLessThanOrEqual(5 + (now * 10) / 1_000 + 1e-6);
        }
      }),
    );
  });
});
