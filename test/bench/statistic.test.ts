import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { latencyOf, percentile, spreadOf } from "../../bench/statistic.ts";

const numbers = fc.array(fc.integer({ min: -1_000, max: 1_000 }), { minLength: 1, maxLength: 200 });

describe("statistics of the benches", () => {
  test("a hundred values: p50 is the fiftieth, p99 the ninety-ninth, in whatever order they came", () => {
    const values = Array.from({ length: 100 }, (_, n) => ((n * 37) % 100) + 1);
    expect(latencyOf(values)).toEqual({ p50: 50, p99: 99, count: 100 });
  });

  test("an odd number of rounds: the middle one is the median, beside the least and the most", () => {
    expect(spreadOf([30, 10, 20])).toEqual({ median: 20, least: 10, most: 30 });
  });

  test("any values, any share → one of them, with at least that share at or below it", () => {
    fc.assert(
      fc.property(numbers, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const found = percentile(values, share);
        expect(values).toContain(found);
        expect(values.filter((value) => value <= found).length).toBeGreaterThanOrEqual(share * values.length);
      }),
    );
  });
});
