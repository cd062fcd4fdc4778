import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ladderRules, nextRemedy, oneMoreDeath, remedyDelayMs, rungOf } from "../../../src/core/plan/ladder.ts";

describe("the ladder of remedies", () => {
  test("deaths in a row → counted; after ten quiet minutes → from the start", () => {
    const former = { crashes: 4, proven: false, lastAtMs: 0 };
    expect(oneMoreDeath(null, null, 0).crashes).toBe(1);
    expect(oneMoreDeath(former, null, ladderRules.forgivenAfterMs).crashes).toBe(5);
    expect(oneMoreDeath(former, null, ladderRules.forgivenAfterMs + 1).crashes).toBe(1);
  });

  test("who was never healthy for a minute → restarted for ever; who was → climbs, also when it dies young from then on", () => {
    const long = ladderRules.provenAfterMs;
    const healthy = { healthy: true, beganAtMs: 0 };
    expect(oneMoreDeath(null, healthy, long - 1)).toEqual({ crashes: 1, proven: false });
    expect(oneMoreDeath(null, { ...healthy, healthy: false }, long)).toEqual({ crashes: 1, proven: false });
    const first = oneMoreDeath(null, healthy, long);
    expect(first).toEqual({ crashes: 1, proven: true });
    const second = oneMoreDeath({ ...first, lastAtMs: long }, { healthy: false, beganAtMs: long }, long + 1);
    expect(second).toEqual({ crashes: 2, proven: true });
    expect([first, second].map(rungOf)).toEqual([0, 1]);
    expect(rungOf({ crashes: 9, proven: false })).toBe(0);
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

  test("three restarts → then replaced; not the protected", () => {
    expect([0, 1, 2, 3, 4].map((rung) => nextRemedy({ protected: false, rung }))).toEqual(["restart", "restart", "restart", "replace", "replace"]);
    expect(nextRemedy({ rung: 9, protected: true })).toBe("restart");
  });
});
