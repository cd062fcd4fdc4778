import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { judgeRules, nextVerdictMs, verdictOn } from "../../src/engine/maintenance/peer-judge.ts";

describe("verdict on a silent worker", () => {
  const { deadAfterMs, frozenAfterMs } = judgeRules;

  test("its session lock is free → dead once it has been silent for longer than a second, not before", () => {
    expect(verdictOn(deadAfterMs, false)).toBeNull();
    expect(verdictOn(deadAfterMs + 1, false)).toBe("dead");
  });

  test("its session lock is held → frozen once it has been silent for longer than 4.5 s, not before", () => {
    expect(verdictOn(deadAfterMs + 1, true)).toBeNull();
    expect(verdictOn(frozenAfterMs, true)).toBeNull();
    expect(verdictOn(frozenAfterMs + 1, true)).toBe("frozen");
  });

  test("after the time until the next verdict → out, if the silence goes on; just before → not yet", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: frozenAfterMs, noNaN: true }), (silentMs) => {
        const ms = nextVerdictMs(silentMs);
        const lockHeld = silentMs > deadAfterMs;
        expect(verdictOn(silentMs + ms, lockHeld)).not.toBeNull();
        expect(verdictOn(silentMs + ms - 1, lockHeld)).toBeNull();
      }),
    );
    expect(nextVerdictMs(frozenAfterMs + 1)).toBe(Number.POSITIVE_INFINITY);
  });

  test("longer silence → never a milder verdict", () => {
    const gravity = { none: 0, dead: 1, frozen: 1 } as const;
    fc.assert(
      fc.property(fc.nat(20_000), fc.nat(20_000), fc.boolean(), (silentMs, moreMs, lockHeld) => {
        const before = gravity[verdictOn(silentMs, lockHeld) ?? "none"];
        expect(gravity[verdictOn(silentMs + moreMs, lockHeld) ?? "none"]).toBeGreaterThanOrEqual(before);
      }),
    );
  });
});
