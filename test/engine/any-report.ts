/** Nodes, tasks, reports and observations, any of them: what the tests of `report.ts` draw from. */
import fc from "fast-check";
import type { HealthSubject, Signals } from "../../src/core/health.ts";
import { brandId } from "../../src/core/ids.ts";
import { nodeStatuses, taskKinds } from "../../src/core/node.ts";
import { errorClasses } from "../../src/core/retry.ts";
import type { Made, Observation, ProbePlan } from "../../src/drivers/driver.ts";
import type { Ground, Memory } from "../../src/engine/decision.ts";
import type { TaskReport } from "../../src/engine/report.ts";
import type { NodeState } from "../../src/store/node-write.ts";

const uuid = (n: number): string => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
export const now = new Date("2026-01-01T00:00:00Z");

export const plainNode: NodeState = {
  id: brandId("node", uuid(1)),
  projectId: brandId("project", uuid(2)),
  clusterId: brandId("cluster", uuid(3)),
  clusterName: "web",
  profileId: brandId("profile", uuid(4)),
  lane: 7,
  hostId: null,
  index: 1,
  name: "web-1",
  status: "ACTIVE",
  statusReason: null,
  health: "HEALTHY",
  epoch: 4,
  physicalId: "there",
  addresses: null,
  placement: null,
  actionId: brandId("action", uuid(5)),
  startedAt: new Date("2025-12-31T00:00:00Z"),
  replacing: false,
  wantedProfileId: brandId("profile", uuid(4)),
};
export const blank: Memory = { signals: {}, crashes: null, certain: true };
export const plainGround: Ground = { now, fraction: 0.5, probe: null, keyed: true, settleMs: 0, fromHost: false };
export const made: Made = { physicalId: "new\0", addresses: [{ name: "http", host: "127.0.0.1", port: 80 }], placement: null, checkAfterMs: null };
export const failed = (errorClass: (typeof errorClasses)[number], more: object = {}): TaskReport => ({
  kind: "failed",
  error: { class: errorClass, code: "BAD", message: "no luck\0", ...more },
});

export const probe: ProbePlan = {
  check: { kind: "tcp", port: "http" },
  intervalMs: 1_000,
  timeoutMs: 1_000,
  failureThreshold: 3,
  successThreshold: 1,
  startPeriodMs: 10_000,
};

const anyMade = fc.record({
  physicalId: fc.string(),
  addresses: fc.constant([]),
  placement: fc.constant(null),
  checkAfterMs: fc.option(fc.nat(10_000)),
});
export const anyReport: fc.Arbitrary<TaskReport> = fc.oneof(
  anyMade.map((value): TaskReport => ({ kind: "made", made: value })),
  fc.constant<TaskReport>({ kind: "closed" }),
  fc.oneof(
    anyMade.map((value): TaskReport => ({ kind: "inspected", inspection: { presence: "running", made: value } })),
    fc.constant<TaskReport>({ kind: "inspected", inspection: { presence: "dead", reason: "EXITED", message: "exit code 1", physicalId: "there" } }),
    fc.constant<TaskReport>({ kind: "inspected", inspection: { presence: "absent" } }),
  ),
  fc.tuple(fc.constantFrom(...errorClasses), fc.boolean()).map(([errorClass, epochClosed]) => failed(errorClass, { epochClosed })),
);
const subjects: readonly HealthSubject[] = ["HOST", "AGENT", "WORKLOAD"];
const anySignals: fc.Arbitrary<Signals> = fc
  .dictionary(
    fc.constantFrom(...subjects),
    fc.record({
      status: fc.constantFrom("HEALTHY" as const, "UNHEALTHY" as const, "UNKNOWN" as const),
      reason: fc.constantFrom("EXITED", "PROBE_FAILED", "RUNNING", "GONE"),
      message: fc.option(fc.string()),
      observedAtMs: fc.constant(now.getTime()),
      sinceMs: fc.constant(now.getTime()),
    }),
  )
  .map((signals) => ({ ...signals }));
export const anyMemory: fc.Arbitrary<Memory> = fc.record({
  signals: anySignals,
  crashes: fc.option(fc.record({ crashes: fc.integer({ min: 1, max: 20 }), proven: fc.boolean(), lastAtMs: fc.constant(now.getTime() - 1_000) })),
  certain: fc.boolean(),
});
export const anyGround: fc.Arbitrary<Ground> = fc.record({
  now: fc.constant(now),
  fraction: fc.double({ min: 0, max: 0.999, noNaN: true }),
  probe: fc.constantFrom(null, probe),
  keyed: fc.boolean(),
  settleMs: fc.constantFrom(0, 5_000),
  fromHost: fc.boolean(),
});
export const anyNode: fc.Arbitrary<NodeState> = fc
  .record({
    status: fc.constantFrom(...nodeStatuses),
    ran: fc.boolean(),
    acting: fc.boolean(),
    justStarted: fc.boolean(),
    replacing: fc.boolean(),
    wanted: fc.constantFrom(null, 4, 9),
  })
  .map(({ status, ran, acting, justStarted, replacing, wanted }) => ({
    ...plainNode,
    status,
    replacing: replacing && status === "UPDATING",
    wantedProfileId: wanted === null ? null : brandId("profile", uuid(wanted)),
    // Who stands has run; who was never made has not.
    startedAt:
      (ran || ["ACTIVE", "UPDATING", "SUSPENDED", "WARNING"].includes(status)) && status !== "PLANNED"
        ? justStarted
          ? now
          : plainNode.startedAt
        : null,
    actionId: acting ? plainNode.actionId : null,
  }));
export const anyTask = fc.record({
  kind: fc.constantFrom(...taskKinds),
  attempt: fc.integer({ min: 1, max: 12 }),
  params: fc.constantFrom(null, { stage: "close" }, { stage: "make" }, { stage: "inPlace", change: 2 }, { stage: "inPlace", was: "UPDATE" }),
});
export const anyObservation: fc.Arbitrary<Observation> = fc.record({
  nodeId: fc.constant(plainNode.id),
  epoch: fc.constantFrom(3, 4, 5),
  subject: fc.constantFrom(...subjects),
  status: fc.constantFrom("HEALTHY" as const, "UNHEALTHY" as const, "UNKNOWN" as const),
  reason: fc.constantFrom("EXITED", "PROBE_FAILED", "PROBE_OK", "GONE"),
  message: fc.option(fc.string()),
  observedAtMs: fc.constant(now.getTime()),
});
