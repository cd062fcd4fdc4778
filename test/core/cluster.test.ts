import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  askedCapacity,
  type CapacityChange,
  capacityLimit,
  clamp,
  clusterStatus,
  decideResize,
  type Resize,
  tolerance,
} from "../../src/core/cluster.ts";

const size = fc.integer({ min: 0, max: 2_000 });
const anyCluster: fc.Arbitrary<Resize> = fc.tuple(size, size, fc.option(size)).map(([minSize, more, room]) => {
  const maxSize = room === null ? null : minSize + room;
  return { minSize, maxSize, desiredCapacity: Math.min(minSize + more, maxSize ?? Number.POSITIVE_INFINITY) };
});
const anyChange: fc.Arbitrary<CapacityChange> = fc.oneof(
  fc.integer({ min: -50, max: 5_000 }).map((exactly) => ({ exactly })),
  fc.integer({ min: -5_000, max: 5_000 }).map((by) => ({ by })),
  fc.double({ min: -500, max: 500, noNaN: true }).map((byPercent) => ({ byPercent })),
);
const anyAsk = fc.record({
  capacity: fc.option(anyChange),
  minStep: fc.option(fc.integer({ min: 0, max: 50 })),
  minSize: fc.option(fc.integer({ min: -5, max: 3_000 }), { nil: undefined }),
  maxSize: fc.oneof(fc.constant(undefined), fc.constant(null), fc.integer({ min: -5, max: 3_000 })),
  strict: fc.boolean(),
});

describe("capacity", () => {
  test.each([
    [{ byPercent: 30 }, 5, null, 7],
    [{ byPercent: -30 }, 5, null, 3],
    [{ byPercent: 10 }, 30, null, 33],
    [{ byPercent: 0.1 }, 1_000, null, 1_001],
    [{ byPercent: 1 }, 5, null, 6],
    [{ byPercent: 1 }, 5, 3, 8],
    [{ byPercent: -1 }, 5, 3, 2],
    [{ byPercent: 0 }, 5, 3, 5],
    [{ byPercent: 50 }, 0, 2, 2],
    [{ byPercent: 100 }, 5, null, 10],
    [{ byPercent: -100 }, 5, null, 0],
    [{ by: 5 }, 5, null, 10],
    [{ by: -2 }, 5, 4, 3],
    [{ exactly: 3 }, 50, 9, 3],
  ] as const)("%j of %i with minStep %j → %i", (change, from, minStep, to) => {
    expect(askedCapacity(change, from, minStep)).toBe(to);
  });

  test("a percentage → rounds away from zero, never the other way, never by a whole member too much", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), fc.integer({ min: -100, max: 500 }), (from, byPercent) => {
        const step = askedCapacity({ byPercent }, from, null) - from;
        const exact = (from * byPercent) / 100;
        expect(Math.abs(step)).toBeGreaterThanOrEqual(Math.abs(exact) - 1e-6);
        expect(Math.abs(step)).toBeLessThan(Math.abs(exact) + 1);
        expect(step === 0 || Math.sign(step) === Math.sign(byPercent)).toBe(true);
      }),
    );
  });

  test("+5 twice → +10", () => {
    expect(askedCapacity({ by: 5 }, askedCapacity({ by: 5 }, 7, null), null)).toBe(17);
  });
});

describe("resizing", () => {
  test("any cluster, anything asked → within bounds, or refused with a reason at a path of the input", () => {
    fc.assert(
      fc.property(anyCluster, anyAsk, (cluster, asked) => {
        const decided = decideResize(cluster, asked);
        if (decided.ok) {
          const { desiredCapacity, minSize, maxSize } = decided.value;
          expect(Number.isInteger(desiredCapacity)).toBe(true);
          expect(desiredCapacity).toBeGreaterThanOrEqual(minSize);
          expect(desiredCapacity).toBeLessThanOrEqual(maxSize ?? capacityLimit);
          expect(minSize).toBeGreaterThanOrEqual(0);
        } else {
          expect(decided.issues.length).toBeGreaterThan(0);
          for (const issue of decided.issues) expect(["capacity", "minSize", "maxSize", "minStep"]).toContain(issue.path[0]);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test("not strict, good bounds → never refused: as far as the bounds allow", () => {
    fc.assert(
      fc.property(anyCluster, anyChange, (cluster, capacity) => {
        fc.pre(!("exactly" in capacity && capacity.exactly < 0));
        const decided = decideResize(cluster, { capacity, minStep: null, minSize: undefined, maxSize: undefined, strict: false });
        expect(decided).toMatchObject({
          ok: true,
          value: { desiredCapacity: clamp(askedCapacity(capacity, cluster.desiredCapacity, null), cluster.minSize, cluster.maxSize) },
        });
      }),
    );
  });

  test("several mistakes → all of them at once", () => {
    const decided = decideResize(
      { desiredCapacity: 5, minSize: 0, maxSize: 10 },
      { capacity: { exactly: -1 }, minStep: -1, minSize: -2, maxSize: -3, strict: true },
    );
    expect(decided.ok ? [] : decided.issues.map((issue) => issue.path.join("."))).toEqual(["minSize", "maxSize", "minStep", "capacity.exactly"]);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("by %d percent → refused", (byPercent) => {
    for (const strict of [true, false]) {
      expect(
        decideResize(
          { desiredCapacity: 5, minSize: 0, maxSize: null },
          { capacity: { byPercent }, minStep: null, minSize: undefined, maxSize: undefined, strict },
        ),
      ).toMatchObject({
        ok: false,
        issues: [{ path: ["capacity", "byPercent"] }],
      });
    }
  });

  test("new bounds beside what is wanted: strict → refused; else what is wanted follows", () => {
    const asked = { capacity: null, minStep: null, minSize: 7, maxSize: undefined };
    expect(decideResize({ desiredCapacity: 5, minSize: 0, maxSize: 10 }, { ...asked, strict: true })).toMatchObject({
      ok: false,
      issues: [{ path: ["minSize"] }],
    });
    expect(decideResize({ desiredCapacity: 5, minSize: 0, maxSize: 10 }, { ...asked, strict: false })).toMatchObject({
      ok: true,
      value: { desiredCapacity: 7 },
    });
  });

  test("maxSize null → the limit is taken away", () => {
    const decided = decideResize(
      { desiredCapacity: 5, minSize: 0, maxSize: 5 },
      { capacity: { by: 1 }, minStep: null, minSize: undefined, maxSize: null, strict: true },
    );
    expect(decided).toEqual({ ok: true, value: { desiredCapacity: 6, minSize: 0, maxSize: null } });
  });
});

describe("a cluster's status", () => {
  const wanted = { desiredCapacity: 5, minSize: 3, maxSize: 8, deleting: false };
  test.each([
    [{ ...wanted, deleting: true }, 5, true, "DELETING"],
    [wanted, 0, false, "INIT"],
    [wanted, 4, false, "INIT"],
    [wanted, 5, false, "ACTIVE"],
    [wanted, 2, true, "CRITICAL"],
    [wanted, 3, true, "WARNING"],
    [wanted, 4, true, "WARNING"],
    [wanted, 5, true, "ACTIVE"],
    [wanted, 8, true, "ACTIVE"],
    [wanted, 9, true, "WARNING"],
    [{ ...wanted, desiredCapacity: 2_000, minSize: 0, maxSize: null }, 1_998, true, "ACTIVE"],
    [{ ...wanted, desiredCapacity: 2_000, minSize: 0, maxSize: null }, 1_997, true, "WARNING"],
  ] as const)("%j with %i active, settled before: %j → %s", (cluster, active, everSettled, status) => {
    expect(clusterStatus(cluster, active, everSettled).status).toBe(status);
  });

  test("tolerance: none up to 1,000 members → then one in a thousand", () => {
    expect([0, 1, 1_000, 1_001, 1_999, 2_000, 1_000_000].map(tolerance)).toEqual([0, 0, 0, 1, 1, 2, 1_000]);
  });
});
