import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { climb, swing } from "../../bench/wish.ts";

const storms = [climb, swing];
const anyStorm = fc.record({ members: fc.integer({ min: 10, max: 20_000 }), count: fc.integer({ min: 2, max: 500 }), seed: fc.integer() });

describe("sizes that people change their mind about", () => {
  test.each(storms)("%o: as many as asked for, none below zero, and the last one is what is wanted", (storm) => {
    fc.assert(
      fc.property(anyStorm, ({ members, count, seed }) => {
        const { sizes, least } = storm(members, count, seed);
        expect(sizes).toHaveLength(count);
        expect(sizes.every((size) => Number.isInteger(size) && size >= 0)).toBe(true);
        expect(sizes.at(-1)).toBe(members + least);
      }),
    );
  });

  test.each(storms)("%o: up as well as down, and the same for the same seed", (storm) => {
    const { sizes } = storm(10_000, 500, 7);
    const steps = sizes.slice(1).map((size, n) => size - (sizes[n] ?? 0));
    expect(steps.some((step) => step > 0)).toBe(true);
    expect(steps.some((step) => step < 0)).toBe(true);
    expect(storm(10_000, 500, 7)).toEqual(storm(10_000, 500, 7));
  });

  test("swing: none before the last is the last one's size, so that the last always changes something", () => {
    fc.assert(
      fc.property(anyStorm, ({ members, count, seed }) => {
        const { sizes } = swing(members, count, seed);
        expect(sizes.slice(0, -1)).not.toContain(sizes.at(-1));
      }),
    );
  });
});
