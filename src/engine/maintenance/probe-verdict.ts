/** From single answers to what is reported: streaks against thresholds. A streak exists only while a member does not simply answer well. */
import type { NodeId } from "../../core/ids.ts";
import type { ProbePlan } from "../../drivers/driver.ts";
import type { ProbedNode } from "../../store/probe.ts";
import type { Store } from "../../store/transaction.ts";
import type { Outbox } from "../outbox.ts";
import type { ProbeResult } from "./probe.ts";

export interface ProbeVerdicts {
  /** Counts an answer, and reports the member when its streak is long enough. */
  tell(node: ProbedNode, plan: ProbePlan, laneEpoch: bigint, result: ProbeResult): void;
}

interface Streak {
  failures: number;
  successes: number;
}

export function createProbeVerdicts(deps: { readonly store: Store; readonly outbox: Outbox }): ProbeVerdicts {
  const streaks = new Map<NodeId, Streak>();
  return {
    tell: (node, plan, laneEpoch, result) => {
      const streak = streaks.get(node.id) ?? { failures: 0, successes: 0 };
      streak.failures = result.ok ? 0 : streak.failures + 1;
      streak.successes = result.ok ? streak.successes + 1 : 0;
      const steady = result.ok && node.health === "HEALTHY";
      if (steady) streaks.delete(node.id);
      else streaks.set(node.id, streak);
      const atMs = deps.store.runtime.clock.wallMs();
      const starting = atMs - node.startedAt.getTime() < plan.startPeriodMs && node.health === "UNKNOWN";
      // The first answer of a member that is starting is enough; later, as many as the profile asks for. Failures that proved nothing
      // while it was starting count as soon as it no longer is.
      const well = result.ok && !steady && (starting || streak.successes >= plan.successThreshold);
      const sick = !result.ok && !starting && streak.failures >= plan.failureThreshold;
      if (!well && !sick) return;
      streaks.delete(node.id);
      deps.outbox.push({
        from: "watch",
        nodeId: node.id,
        profileId: node.profileId,
        lane: node.lane,
        epoch: laneEpoch,
        observation: {
          nodeId: node.id,
          epoch: node.epoch,
          subject: "WORKLOAD",
          status: well ? "HEALTHY" : "UNHEALTHY",
          reason: well ? "PROBE_OK" : "PROBE_FAILED",
          message: result.message,
          observedAtMs: atMs,
        },
      });
    },
  };
}
