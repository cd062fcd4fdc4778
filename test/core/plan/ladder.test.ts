import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crashesInARow, ladderRules, nextRemedy, remedyDelayMs } from "../../../src/core/plan/ladder.ts";

describe("the ladder of remedies", () => {
  test("deaths in a row → counted; after ten quiet minutes → from the start", () => {
    expect(crashesInARow(null, 0)).toBe(1);
    expect(crashesInARow({ crashes: 4, lastAtMs: 0 }, ladderRules.forgivenAfterMs)).toBe(5);
    expect(crashesInARow({ crashes: 4, lastAtMs: 0 }, ladderRules.forgivenAfterMs + 1)).toBe(1);
  });

  test("the first death → no pause; a crash loop → pauses that grow to five minutes and no further", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (crashes, fraction) => {
        const pause = remedyDelayMs(crashes, fraction);
        if (crashes === 1) expect(pause).toBe(0);
        else expect(pause).toBeGreaterThanOrEqual(500);
        expect(pause).toBeLessThanOrEqual(ladderRules.backoff.capMs);
        expect(remedyDelayMs(crashes + 2, 0)).toBeGreaterThanOrEqual(remedyDelayMs(crashes, 0));
      }),
    );
  });

  test("three restarts → then replaced; not the protected, nor one that never ran", () => {
    const member = { everRan: true, protected: false };
    expect([0, 1, 2, 3, 4].map((rung) => nextRemedy({ ...member, rung }))).toEqual(["restart", "restart", "restart", "replace", "replace"]);
    expect(nextRemedy({ ...member, rung: 9, protected: true })).toBe("restart");
    expect(nextRemedy({ ...member, rung: 9, everRan: false })).toBe("restart");
  });
});
