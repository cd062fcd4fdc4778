/**
 * From single answers to what is reported: streaks against thresholds. A streak exists only while a member does not simply answer well,
 * and only while it is probed here: nobody says so when a member that fails is deleted, or its lane goes elsewhere.
 */
import type { NodeId } from "../../core/ids.ts";
import type { Runtime } from "../../core/runtime.ts";
import type { ProbePlan } from "../../drivers/driver.ts";
import type { ProbedNode } from "../../store/probe.ts";
import type { Outbox } from "../outbox.ts";
import type { ProbeResult } from "./probe-call.ts";

export interface ProbeVerdicts {
  /** Members of which a streak is kept. */
  readonly kept: number;
  /** Counts an answer, and reports the member when its streak is long enough. */
  tell(node: Pick<ProbedNode, "id" | "lane" | "epoch" | "health" | "startedAt">, plan: ProbePlan, laneEpoch: bigint, result: ProbeResult): void;
}

interface Streak {
  failures: number;
  successes: number;
  /** By the monotonic clock: without an answer until then the member is not probed here any more. */
  overAtMs: number;
}

/** Answers that fail to come before a streak is over; one probe may be passed over or wait its turn. */
const missedAnswers = 3;
/** Between two looks for streaks that are over, ms; also how long one lasts at least, as short intervals are late first. */
const sweepMs = 60_000;

export function createProbeVerdicts(deps: {
  readonly store: { readonly runtime: Pick<Runtime, "clock"> };
  readonly outbox: Pick<Outbox, "push" | "full">;
}): ProbeVerdicts {
  const streaks = new Map<NodeId, Streak>();
  let sweptAtMs = 0;
  const sweep = (nowMs: number): void => {
    if (nowMs - sweptAtMs < sweepMs) return;
    sweptAtMs = nowMs;
    for (const [id, { overAtMs }] of streaks) if (overAtMs <= nowMs) streaks.delete(id);
  };
  return {
    get kept() {
      return streaks.size;
    },
    tell: (node, plan, laneEpoch, result) => {
      const nowMs = deps.store.runtime.clock.monotonicMs();
      sweep(nowMs);
      const streak = streaks.get(node.id) ?? { failures: 0, successes: 0, overAtMs: 0 };
      streak.overAtMs = nowMs + Math.max(sweepMs, missedAnswers * plan.intervalMs);
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
      // With the next probe it is told all the same.
      if ((!well && !sick) || deps.outbox.full) return;
      streaks.delete(node.id);
      deps.outbox.push({
        from: "watch",
        nodeId: node.id,
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
