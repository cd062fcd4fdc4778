import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { judgeRules, verdictOn } from "../../../src/engine/maintenance/judge.ts";

describe("the verdict on a silent worker", () => {
  test.each([
    [1_500, false, null],
    [1_501, false, "dead"],
    [5_000, true, null],
    [5_001, true, "frozen"],
    [1_501, true, null],
    [60_000, false, "dead"],
  ] as const)("silent for %i ms, its lock held: %j → %j", (silentMs, lockHeld, verdict) => {
    expect(verdictOn(silentMs, lockHeld)).toBe(verdict);
  });

  test("the longer silent → never the less out; who is heard is never out", () => {
    fc.assert(
      fc.property(fc.nat(20_000), fc.nat(20_000), fc.boolean(), (silentMs, longer, lockHeld) => {
        if (verdictOn(silentMs, lockHeld) !== null) expect(verdictOn(silentMs + longer, lockHeld)).not.toBeNull();
        if (silentMs <= judgeRules.deadAfterMs) expect(verdictOn(silentMs, lockHeld)).toBeNull();
      }),
    );
  });
});
