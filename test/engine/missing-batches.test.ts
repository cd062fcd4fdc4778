import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createMissingBatches } from "../../src/engine/missing-batches.ts";

describe("missing batches", () => {
  test("numbers that were passed over: listed until they come or half a minute is over", () => {
    const missing = createMissingBatches(10n);
    missing.note([11n, 14n], 1_000);
    expect(missing.list(1_000)).toEqual([12n, 13n]);
    missing.note([13n], 2_000);
    missing.note([17n], 3_000);
    expect(missing.list(3_000)).toEqual([12n, 15n, 16n]);
    expect(missing.list(31_000)).toEqual([15n, 16n]);
    expect(missing.list(33_000)).toEqual([]);
  });

  test("a new sequencer is told what its forerunner had passed over → looks for it by name from the first tick", () => {
    const missing = createMissingBatches(10n, [7n, 9n], 1_000);
    expect(missing.list(1_000)).toEqual([7n, 9n]);
    missing.note([9n, 12n], 2_000);
    expect(missing.list(2_000)).toEqual([7n, 11n]);
    expect(missing.list(31_000)).toEqual([11n]);
  });

  test("the numbers jump → left to the sweep, and the memory stays small", () => {
    const missing = createMissingBatches(0n);
    missing.note([1_000_000n], 0);
    expect(missing.list(0)).toEqual([]);
    missing.note([1_000_002n], 0);
    expect(missing.list(0)).toEqual([1_000_001n]);
  });

  test("any order of arrival → exactly those below the highest that have not come", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), fc.integer({ min: 1, max: 9 }), (numbers, size) => {
        const missing = createMissingBatches(0n);
        for (let i = 0; i < numbers.length; i += size)
          missing.note(
            numbers
              .slice(i, i + size)
              .sort((a, b) => a - b)
              .map(BigInt),
            0,
          );
        const highest = Math.max(...numbers);
        const expected = Array.from({ length: highest }, (_, i) => i + 1).filter((n) => !numbers.includes(n));
        expect([...missing.list(0)].sort((a, b) => Number(a - b))).toEqual(expected.map(BigInt));
      }),
    );
  });
});
