import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Evidence, healthRules, healthStatuses, judgeHealth, type Signal, type Signals } from "../../src/core/health.ts";
import { nodeStatuses } from "../../src/core/node.ts";

const signal = (status: Signal["status"], reason = "PROBE_FAILED"): Signal => ({
  status,
  reason,
  message: `because ${reason}`,
  observedAtMs: 1,
  sinceMs: 1,
});
const anySignal = fc
  .tuple(fc.constantFrom(...healthStatuses), fc.constantFrom("EXITED", "GONE", "PROBE_FAILED", "PROBE_OK"))
  .map(([status, reason]) => signal(status, reason));
const anySignals: fc.Arbitrary<Signals> = fc.record({ HOST: anySignal, AGENT: anySignal, WORKLOAD: anySignal }, { requiredKeys: [] });
const anyEvidence: fc.Arbitrary<Evidence> = fc.record({ nodeStatus: fc.constantFrom(...nodeStatuses), signals: anySignals, starting: fc.boolean() });
const judged = (signals: Signals, more: Partial<Evidence> = {}): string => {
  const verdict = judgeHealth({ nodeStatus: "ACTIVE", signals, starting: false, ...more });
  return `${verdict.status} ${verdict.reason}`;
};

describe("the verdict on a member", () => {
  test("any evidence → the first rule that matches, and its word", () => {
    fc.assert(
      fc.property(anyEvidence, (evidence) => {
        const verdict = judgeHealth(evidence);
        const first = healthRules.find((rule) => rule.when(evidence));
        expect(verdict).toMatchObject({ status: first?.verdict, reason: first?.reason });
      }),
    );
  });

  test("every rule → decides something, has a reason of its own, and says why", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(anyEvidence, (evidence) => {
        seen.add(judgeHealth(evidence).reason);
      }),
      { numRuns: 3_000 },
    );
    expect([...seen].sort()).toEqual(healthRules.map((rule) => rule.reason).sort());
    for (const rule of healthRules) expect(rule.why).toMatch(/^[A-Z].*\.$/);
  });

  test("UNHEALTHY → only on a fact, a host that is down, or probes that failed after the grace", () => {
    fc.assert(
      fc.property(anyEvidence, (evidence) => {
        if (judgeHealth(evidence).status !== "UNHEALTHY") return;
        const { WORKLOAD, HOST } = evidence.signals;
        const fact = WORKLOAD?.status === "UNHEALTHY" && (WORKLOAD.reason === "EXITED" || WORKLOAD.reason === "GONE");
        expect(fact || HOST?.status === "UNHEALTHY" || (WORKLOAD?.status === "UNHEALTHY" && !evidence.starting)).toBe(true);
      }),
    );
  });

  test.each(["PLANNED", "CREATING", "DELETING", "SUSPENDED"] as const)("%s → not expected to work, whatever is seen", (nodeStatus) => {
    fc.assert(
      fc.property(anySignals, fc.boolean(), (signals, starting) => {
        expect(judgeHealth({ nodeStatus, signals, starting })).toMatchObject({ status: "UNKNOWN", reason: "NOT_RUNNING" });
      }),
    );
  });

  test("workload good, agent silent → not a death", () => {
    expect(judged({ WORKLOAD: signal("HEALTHY"), AGENT: signal("UNKNOWN") })).toBe("HEALTHY WORKING");
    expect(judged({ WORKLOAD: signal("HEALTHY"), AGENT: signal("UNHEALTHY") })).toBe("HEALTHY WORKING");
  });

  test("an exit that was seen → dead, grace or no grace", () => {
    expect(judged({ WORKLOAD: signal("UNHEALTHY", "EXITED") }, { starting: true })).toBe("UNHEALTHY DEAD");
  });

  test("a probe that fails: while starting → nothing is decided; later → UNHEALTHY", () => {
    expect(judged({ WORKLOAD: signal("UNHEALTHY") }, { starting: true })).toBe("UNKNOWN STARTING");
    expect(judged({ WORKLOAD: signal("UNHEALTHY") })).toBe("UNHEALTHY PROBE_FAILED");
  });

  test("the host is down → its members with it; silent → nothing is decided", () => {
    expect(judged({ WORKLOAD: signal("HEALTHY"), HOST: signal("UNHEALTHY") })).toBe("UNHEALTHY HOST_DOWN");
    expect(judged({ HOST: signal("UNKNOWN"), WORKLOAD: signal("UNKNOWN") })).toBe("UNKNOWN HOST_SILENT");
  });

  test("nothing heard → UNKNOWN", () => {
    expect(judged({})).toBe("UNKNOWN NO_EVIDENCE");
  });

  test("the message → the deciding signal's", () => {
    expect(
      judgeHealth({ nodeStatus: "ACTIVE", signals: { HOST: signal("UNHEALTHY", "DOWN"), WORKLOAD: signal("HEALTHY", "FINE") }, starting: false })
        .message,
    ).toBe("because DOWN");
  });
});
