import fc from "fast-check";
import { expect, test } from "vitest";
import { CallRate } from "../../src/engine/call-rate.ts";

test("however it is asked → never more calls in a time than burst and rate allow; whoever waits as long as told gets one", () => {
  const steps = fc.array(fc.record({ afterMs: fc.nat(300), wants: fc.nat(20) }), { maxLength: 60 });
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 50 }),
      fc.constantFrom(1, 0.5, 0.25),
      (asked, perSecond, burst, share) => {
        const rate = new CallRate(perSecond, burst, 0);
        let now = 0;
        let taken = 0;
        for (const { afterMs, wants } of asked) {
          now += afterMs;
          const calls = Math.min(wants, rate.allowed(now, share));
          rate.take(calls);
          taken += calls;
          expect(taken).toBeLessThanOrEqual(Math.max(1, burst * share) + (now / 1_000) * perSecond * share + 1e-6);
        }
        now += rate.waitMs(share) ?? 0;
        expect(rate.allowed(now, share)).toBeGreaterThanOrEqual(1);
      },
    ),
  );
});

test("a worker without lanes of the driver's → no call, and nobody waits for one", () => {
  const rate = new CallRate(10, 10, 0);
  rate.take(rate.allowed(1_000, 0));
  expect(rate.allowed(60_000, 0)).toBe(0);
  expect(rate.waitMs(0)).toBe(Number.POSITIVE_INFINITY);
});
