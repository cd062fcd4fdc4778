/**
 * Health: evidence about three subjects → one verdict, by first-match rules, one sentence of why each. The shape is nomad's
 * `scheduler/reconciler/filters.go`; the three subjects are OPNFV's (host, agent, workload).
 */
import { codec } from "./code.ts";
import type { NodeStatus } from "./node.ts";

export const healthStatuses = ["HEALTHY", "UNHEALTHY", "UNKNOWN"] as const;
export type HealthStatus = (typeof healthStatuses)[number];
/** Stored: frozen. */
export const healthStatusCodes = { HEALTHY: 1, UNHEALTHY: 2, UNKNOWN: 3 } as const satisfies Record<HealthStatus, number>;
export const healthStatusCodec = codec("health status", healthStatusCodes);

export const healthSubjects = ["HOST", "AGENT", "WORKLOAD"] as const;
export type HealthSubject = (typeof healthSubjects)[number];

/** What is known of one subject. Times in milliseconds since 1970. */
export interface Signal {
  readonly status: HealthStatus;
  /** UPPER_SNAKE, for programs. */
  readonly reason: string;
  /** For people; may be null. */
  readonly message: string | null;
  readonly observedAtMs: number;
  /** When `status` last changed. */
  readonly sinceMs: number;
}

export type Signals = Readonly<Partial<Record<HealthSubject, Signal>>>;

export interface Evidence {
  readonly nodeStatus: NodeStatus;
  readonly signals: Signals;
  /** True until the start-up grace is over: a probe that fails proves nothing yet. */
  readonly starting: boolean;
}

export interface Verdict {
  readonly status: HealthStatus;
  readonly reason: string;
  readonly message: string | null;
}

/** Reasons of a workload signal that prove death, grace or no grace. */
const deadForCertain: ReadonlySet<string> = new Set(["EXITED", "GONE"]);

interface Rule {
  readonly reason: string;
  readonly why: string;
  readonly when: (evidence: Evidence) => boolean;
  readonly verdict: HealthStatus;
}

/** Asked from the top; the first that matches decides. */
export const healthRules: readonly Rule[] = [
  {
    reason: "NOT_RUNNING",
    why: "Before it is made, while it is taken away and while it sleeps, a member is not expected to work.",
    when: ({ nodeStatus }) => nodeStatus === "PLANNED" || nodeStatus === "CREATING" || nodeStatus === "DELETING" || nodeStatus === "SUSPENDED",
    verdict: "UNKNOWN",
  },
  {
    reason: "DEAD",
    why: "An exit that was seen is a fact, not an opinion of a probe.",
    when: ({ signals }) => signals.WORKLOAD?.status === "UNHEALTHY" && deadForCertain.has(signals.WORKLOAD.reason),
    verdict: "UNHEALTHY",
  },
  {
    reason: "HOST_DOWN",
    why: "A host that is down for certain takes its members with it, whatever they said last.",
    when: ({ signals }) => signals.HOST?.status === "UNHEALTHY",
    verdict: "UNHEALTHY",
  },
  {
    reason: "WORKING",
    why: "A workload that does its job is well, even when the agent beside it is silent.",
    when: ({ signals }) => signals.WORKLOAD?.status === "HEALTHY",
    verdict: "HEALTHY",
  },
  {
    reason: "STARTING",
    why: "During the start-up grace a failing probe proves nothing.",
    when: ({ signals, starting }) => starting && signals.WORKLOAD?.status !== "HEALTHY",
    verdict: "UNKNOWN",
  },
  {
    reason: "PROBE_FAILED",
    why: "The workload failed as many probes in a row as its profile allows.",
    when: ({ signals }) => signals.WORKLOAD?.status === "UNHEALTHY",
    verdict: "UNHEALTHY",
  },
  {
    reason: "HOST_SILENT",
    why: "Nobody hears the host: its members may be well, so nothing is decided.",
    when: ({ signals }) => signals.HOST?.status === "UNKNOWN",
    verdict: "UNKNOWN",
  },
  {
    reason: "AGENT_SILENT",
    why: "Without its agent nothing is known of the workload.",
    when: ({ signals }) => signals.AGENT !== undefined && signals.AGENT.status !== "HEALTHY",
    verdict: "UNKNOWN",
  },
  { reason: "NO_EVIDENCE", why: "Nothing has been heard yet.", when: () => true, verdict: "UNKNOWN" },
];

/** The verdict on a member. The message is the deciding signal's, where there is one. */
export function judgeHealth(evidence: Evidence): Verdict {
  for (const rule of healthRules) {
    if (!rule.when(evidence)) continue;
    const subject = rule.reason.startsWith("HOST") ? "HOST" : rule.reason.startsWith("AGENT") ? "AGENT" : "WORKLOAD";
    return { status: rule.verdict, reason: rule.reason, message: evidence.signals[subject]?.message ?? null };
  }
  throw new Error("the last rule matches everything");
}
