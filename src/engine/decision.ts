/** What may follow from a report, and what it is decided from: the words that `report.ts` and `observation.ts` share. */
import type { HealthStatus, HealthSubject, Signal, Signals } from "../core/health.ts";
import type { JsonObject } from "../core/json.ts";
import type { TaskKind } from "../core/node.ts";
import type { Deaths } from "../core/plan/ladder.ts";
import type { ProbePlan } from "../drivers/driver.ts";
import type { CountField } from "../store/count.ts";
import type { NodePatch } from "../store/node-write.ts";

/** What the outbox knows of a node besides its row. */
export interface Memory {
  readonly signals: Signals;
  readonly crashes: (Deaths & { readonly lastAtMs: number }) | null;
  /** Whether its death, if it is in ERROR, is a fact or a probe's word. */
  readonly certain: boolean;
}

export interface Ground {
  readonly now: Date;
  /** Uniform in [0, 1), for jitter. */
  readonly fraction: number;
  /** How the node is probed, if it is. */
  readonly probe: ProbePlan | null;
  readonly keyed: boolean;
  /** How long from now a call whose outcome is unknown may still take effect, or be missing in the provider's list, ms; 0: keyed, so it does not matter. */
  readonly settleMs: number;
  /** The report came from the member's own host: host and agent are heard, whatever became of the workload. */
  readonly fromHost: boolean;
}

export interface Decision {
  readonly patch: NodePatch | null;
  /** The row goes. */
  readonly remove: boolean;
  readonly task: { readonly kind: TaskKind; readonly dueAt: Date; readonly attempt: number; readonly params: JsonObject | null } | "drop" | "keep";
  readonly action: { readonly event: "succeeded" | "failed"; readonly reason: string | null } | null;
  readonly totals: readonly CountField[];
  readonly probe: "start" | "stop" | "keep";
  /** Signals as they are from now on; null: unchanged. */
  readonly signals: Signals | null;
  /** Deaths in a row, with this one; null: it did not die. */
  readonly crashes: Deaths | null;
  /** Signals whose status changed, for the ledger. */
  readonly changedSignals: readonly { readonly subject: HealthSubject; readonly from: HealthStatus; readonly to: Signal }[];
}

export const nothing: Decision = {
  patch: null,
  remove: false,
  task: "keep",
  action: null,
  totals: [],
  probe: "keep",
  signals: null,
  crashes: null,
  changedSignals: [],
};

export const later = (now: Date, ms: number): Date => new Date(now.getTime() + ms);

/** A host-bound driver speaks from the member's host: that it speaks at all proves the host and the agent (this worker) well. */
export function heard(signals: Signals, ground: Ground): Signals {
  if (!ground.fromHost) return signals;
  const atMs = ground.now.getTime();
  const well = (former: Signal | undefined, reason: string): Signal =>
    former?.status === "HEALTHY" ? former : { status: "HEALTHY", reason, message: null, observedAtMs: atMs, sinceMs: atMs };
  return { ...signals, HOST: well(signals.HOST, "HOST_HEARD"), AGENT: well(signals.AGENT, "WORKER_HEARD") };
}

export function changedSignals(former: Signals, next: Signals): Decision["changedSignals"] {
  return (["HOST", "AGENT", "WORKLOAD"] as const).flatMap((subject) => {
    const to = next[subject];
    const from = former[subject]?.status ?? "UNKNOWN";
    return to === undefined || to.status === from ? [] : [{ subject, from, to }];
  });
}
