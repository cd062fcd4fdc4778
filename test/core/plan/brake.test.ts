import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyBrake, type Brake, brakeRules, type Casualties, restedBrake } from "../../../src/core/plan/brake.ts";

const anyCasualties: fc.Arbitrary<Casualties> = fc
  .tuple(fc.nat(200), fc.nat(200), fc.nat(200), fc.nat(200))
  .map(([certain, doubtfulDue, doubtfulLater, recovering]) => ({
    waiting: certain + doubtfulDue,
    certain,
    doubtful: doubtfulDue + doubtfulLater,
    recovering,
  }));

describe("the brake on healing", () => {
  test("any casualties, any past → never more at once than allowed, never more than wait", () => {
    fc.assert(
      fc.property(
        fc.nat(1_000),
        anyCasualties,
        fc.nat(10_000_000),
        fc.nat(10_000_000),
        fc.nat(2_000),
        (desired, casualties, windowStartMs, nowMs, used) => {
          const decision = applyBrake(desired, casualties, { ...restedBrake, windowStartMs, used }, nowMs);
          expect(decision.treat).toBeGreaterThanOrEqual(0);
          expect(decision.treat).toBeLessThanOrEqual(casualties.waiting);
          if (decision.treat > 0) expect(decision.treat + casualties.recovering).toBeLessThanOrEqual(brakeRules.atOnce(desired));
          if (decision.certainOnly) expect(decision.treat).toBeLessThanOrEqual(casualties.certain);
          if (decision.retryAtMs !== null) expect(decision.retryAtMs).toBeGreaterThan(nowMs);
          expect(decision.brake.used).toBeLessThanOrEqual(Math.max(used, brakeRules.perWindow(desired)));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("any number of passes within a minute → never more remedies than a window allows", () => {
    fc.assert(
      fc.property(fc.nat(50), fc.array(fc.tuple(fc.nat(60), fc.nat(3_000)), { maxLength: 200 }), (desired, passes) => {
        let brake: Brake = restedBrake;
        let nowMs = 1_000_000;
        const begun: { atMs: number; windowStartMs: number; count: number }[] = [];
        for (const [waiting, laterMs] of passes) {
          nowMs += laterMs;
          const decision = applyBrake(desired, { waiting, certain: waiting, doubtful: 0, recovering: 0 }, brake, nowMs);
          brake = decision.brake;
          begun.push({ atMs: nowMs, windowStartMs: brake.windowStartMs, count: decision.treat });
        }
        const perWindow = new Map<number, number>();
        for (const { windowStartMs, count } of begun) if (count > 0) perWindow.set(windowStartMs, (perWindow.get(windowStartMs) ?? 0) + count);
        for (const count of perWindow.values()) expect(count).toBeLessThanOrEqual(brakeRules.perWindow(desired));
        for (const { atMs, windowStartMs, count } of begun) if (count > 0) expect(atMs - windowStartMs).toBeLessThan(brakeRules.windowMs);
      }),
    );
  });

  test("one of five dies → treated at once", () => {
    expect(applyBrake(5, { waiting: 1, certain: 1, doubtful: 0, recovering: 0 }, restedBrake, 1_000_000)).toMatchObject({
      treat: 1,
      certainOnly: false,
      paused: null,
    });
  });

  test("all of five die for certain → three at once, the others after them, nothing paused", () => {
    const first = applyBrake(5, { waiting: 5, certain: 5, doubtful: 0, recovering: 0 }, restedBrake, 1_000_000);
    expect(first).toMatchObject({ treat: 3, paused: null });
    expect(applyBrake(5, { waiting: 2, certain: 2, doubtful: 0, recovering: 3 }, first.brake, 1_000_100)).toMatchObject({ treat: 0 });
    expect(applyBrake(5, { waiting: 2, certain: 2, doubtful: 0, recovering: 0 }, first.brake, 1_000_200)).toMatchObject({ treat: 2 });
  });

  test("half of them fail their probes together → the probe is suspected: only the dead for certain are treated, and it says so", () => {
    const decision = applyBrake(100, { waiting: 60, certain: 4, doubtful: 56, recovering: 0 }, restedBrake, 1_000_000);
    expect(decision).toMatchObject({ treat: 4, certainOnly: true, paused: { reason: "TOO_MANY_FAILED" } });
  });

  test("doubtful ones whose remedy is not due yet → do not keep the certain ones waiting", () => {
    expect(applyBrake(5, { waiting: 1, certain: 1, doubtful: 3, recovering: 0 }, restedBrake, 1_000_000)).toMatchObject({
      treat: 1,
      certainOnly: true,
    });
  });

  test("a suspected probe speaks well of most again → those it has not got round to are left in peace for a while, then treated", () => {
    const suspected = applyBrake(5, { waiting: 5, certain: 0, doubtful: 5, recovering: 0 }, restedBrake, 1_000_000);
    const calming = applyBrake(5, { waiting: 2, certain: 0, doubtful: 2, recovering: 0 }, suspected.brake, 2_000_000);
    expect(calming).toMatchObject({ treat: 0, certainOnly: true, paused: { reason: "TOO_MANY_FAILED" }, retryAtMs: 2_000_000 + brakeRules.calmMs });
    const relapse = applyBrake(5, { waiting: 3, certain: 0, doubtful: 3, recovering: 0 }, calming.brake, 2_005_000);
    expect(relapse).toMatchObject({ treat: 0, retryAtMs: null });
    const calm = applyBrake(5, { waiting: 2, certain: 0, doubtful: 2, recovering: 0 }, calming.brake, 2_000_000 + brakeRules.calmMs);
    expect(calm).toMatchObject({ treat: 2, certainOnly: false, paused: null });
  });

  test("the window is spent → paused until it is over, and then on", () => {
    const spent: Brake = { ...restedBrake, windowStartMs: 1_000_000, used: 10 };
    const held = applyBrake(5, { waiting: 2, certain: 2, doubtful: 0, recovering: 0 }, spent, 1_030_000);
    expect(held).toMatchObject({ treat: 0, paused: { reason: "BRAKE" }, retryAtMs: 1_060_000 });
    expect(applyBrake(5, { waiting: 2, certain: 2, doubtful: 0, recovering: 0 }, held.brake, 1_060_000)).toMatchObject({ treat: 2, paused: null });
  });

  test("the clock stepped back → a new window, not a brake for ever", () => {
    expect(
      applyBrake(5, { waiting: 1, certain: 1, doubtful: 0, recovering: 0 }, { ...restedBrake, windowStartMs: 9_000_000, used: 10 }, 1_000_000),
    ).toMatchObject({
      treat: 1,
    });
  });

  test("the probe was suspected and speaks well again → believed only after a while, and then it says so", () => {
    const suspected = applyBrake(5, { waiting: 3, certain: 0, doubtful: 3, recovering: 0 }, restedBrake, 1_000_000);
    expect(suspected).toMatchObject({ treat: 0, certainOnly: true, paused: { reason: "TOO_MANY_FAILED" } });
    const one = { waiting: 1, certain: 0, doubtful: 1, recovering: 0 };
    const soon = applyBrake(5, one, suspected.brake, 1_000_100);
    expect(soon).toMatchObject({ treat: 0, certainOnly: true, retryAtMs: 1_000_100 + brakeRules.calmMs });
    expect(applyBrake(5, one, soon.brake, 1_000_100 + brakeRules.calmMs)).toMatchObject({ treat: 1, certainOnly: false, paused: null });
    // A clock that stepped back does not prolong it.
    expect(applyBrake(5, one, soon.brake, 500_000).retryAtMs).toBe(500_000 + brakeRules.calmMs);
  });
});
