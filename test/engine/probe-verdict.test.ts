import { describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import { createProbeVerdicts } from "../../src/engine/maintenance/probe-verdict.ts";
import type { Report } from "../../src/engine/outbox.ts";

const plan = {
  check: { kind: "tcp", port: "http" },
  intervalMs: 1_000,
  timeoutMs: 1_000,
  failureThreshold: 3,
  successThreshold: 1,
  startPeriodMs: 0,
} as const;
const silence = { ok: false, message: "ECONNREFUSED" } as const;

function verdicts(): {
  readonly tell: (id: number, ok?: boolean) => void;
  readonly kept: () => number;
  readonly reports: Report[];
  /** Whether the outbox is full. */
  crowd(full: boolean): void;
  pass(ms: number): void;
} {
  const reports: Report[] = [];
  let full = false;
  let atMs = 1_000_000;
  const created = createProbeVerdicts({
    store: { runtime: { clock: { monotonicMs: () => atMs, wallMs: () => atMs } } },
    outbox: {
      push: (report) => void reports.push(report),
      get full() {
        return full;
      },
    },
  });
  return {
    tell: (id, ok = false) =>
      created.tell(
        {
          id: brandId("node", `00000000-0000-0000-0000-${String(id).padStart(12, "0")}`),
          lane: 1,
          epoch: 1,
          health: "HEALTHY",
          startedAt: new Date(0),
        },
        plan,
        1n,
        ok ? { ok, message: "connected" } : silence,
      ),
    kept: () => created.kept,
    reports,
    crowd: (now) => {
      full = now;
    },
    pass: (ms) => {
      atMs += ms;
    },
  };
}

describe("probe verdicts", () => {
  test("three failures in a row → reported once, and nothing is kept", () => {
    const { tell, kept, reports } = verdicts();
    for (let i = 0; i < 3; i++) tell(1);
    expect(reports).toMatchObject([{ observation: { status: "UNHEALTHY", reason: "PROBE_FAILED" } }]);
    expect(kept()).toBe(0);
  });

  test("two failures, then a good answer → nothing is reported, nothing is kept", () => {
    const { tell, kept, reports } = verdicts();
    for (const ok of [false, false, true]) tell(1, ok);
    expect(reports).toEqual([]);
    expect(kept()).toBe(0);
  });

  test("members that failed and are probed no more → forgotten", () => {
    const { tell, kept, pass } = verdicts();
    for (let id = 0; id < 1_000; id++) tell(id);
    expect(kept()).toBe(1_000);
    pass(120_000);
    tell(1_000);
    expect(kept()).toBe(1);
  });

  test("a member whose probes are late → its streak goes on", () => {
    const { tell, reports, pass } = verdicts();
    for (let i = 0; i < 3; i++) {
      tell(1);
      pass(30_000);
    }
    expect(reports).toHaveLength(1);
  });

  test("the outbox is full → nothing is told; it has room again → told with the next answer", () => {
    const { tell, reports, crowd } = verdicts();
    crowd(true);
    for (let i = 0; i < 5; i++) tell(1);
    expect(reports).toEqual([]);
    crowd(false);
    tell(1);
    expect(reports).toHaveLength(1);
  });
});
