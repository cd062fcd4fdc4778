import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type TaskKind, taskKinds } from "../../src/core/node.ts";
import { afterFailure, backoffMs, errorClasses, type RetryRule, retryRules } from "../../src/core/retry.ts";

const anyFraction = fc.double({ min: 0, max: 0.999_999, noNaN: true });

describe("retries", () => {
  test("any rule, any attempt → a pause between half and all of what has doubled, never above the cap", () => {
    fc.assert(
      fc.property(fc.constantFrom(...taskKinds), fc.integer({ min: 1, max: 1_000_000 }), anyFraction, (kind, attempt, fraction) => {
        const rule: RetryRule = retryRules[kind];
        const whole = Math.min(rule.capMs, rule.baseMs * 2 ** Math.min(attempt - 1, 40));
        const pause = backoffMs(rule, attempt, fraction);
        expect(Number.isSafeInteger(pause)).toBe(true);
        expect(pause).toBeGreaterThanOrEqual(Math.floor(whole / 2));
        expect(pause).toBeLessThanOrEqual(whole);
      }),
    );
  });

  test("any failure → retried, given up or looked at; what can end does end", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...taskKinds),
        fc.constantFrom(...errorClasses),
        fc.integer({ min: 1, max: 50 }),
        anyFraction,
        (kind, errorClass, attempt, fraction) => {
          const rule: RetryRule = retryRules[kind];
          const next = afterFailure(kind, errorClass, attempt, fraction).next;
          if (Number.isFinite(rule.attempts) && attempt >= rule.attempts) expect(next).not.toBe("retry");
          if (!Number.isFinite(rule.attempts)) expect(next).toBe("retry");
          if (errorClass === "permanent" && Number.isFinite(rule.attempts)) expect(next).toBe("giveUp");
        },
      ),
    );
  });

  test("nobody knows whether it took effect → looked at first, but for deletions, which may be said twice, and for looks", () => {
    const repeated: readonly TaskKind[] = ["DELETE", "INSPECT", "CHECK"];
    for (const kind of taskKinds) expect(afterFailure(kind, "unknown", 1, 0).next).toBe(repeated.includes(kind) ? "retry" : "inspect");
  });

  test("no room (quota) → waits longer than a passing fault", () => {
    const wait = (errorClass: "quota" | "transient"): number => {
      const next = afterFailure("CREATE", errorClass, 1, 0);
      return next.next === "retry" ? next.afterMs : 0;
    };
    expect(wait("quota")).toBeGreaterThan(wait("transient"));
  });
});
