/** What becomes of a node after something that was seen of it, by a watch or a probe: pure. */
import { judgeHealth, type Signal, type Signals } from "../core/health.ts";
import { safeText } from "../core/json.ts";
import { type NodeStatus, nodeTransition } from "../core/node.ts";
import { oneMoreDeath, remedyDelayMs, rungOf } from "../core/plan/ladder.ts";
import type { Observation } from "../drivers/driver.ts";
import type { NodeState } from "../store/node-write.ts";
import { changedSignals, type Decision, type Ground, heard, later, type Memory, nothing } from "./decision.ts";

/** Statuses in which a workload is expected to work, so that its death matters. */
const working: ReadonlySet<NodeStatus> = new Set(["ACTIVE", "WARNING", "UPDATING", "SUSPENDED", "UNKNOWN"]);

/** Decides what follows from something that was seen. Observations of another life are ignored. */
export function decideObservation(node: NodeState, seen: Observation, memory: Memory, ground: Ground): Decision {
  const { now, fraction, probe } = ground;
  if (seen.epoch !== node.epoch || node.startedAt === null) return nothing;
  if ((!working.has(node.status) && node.status !== "ERROR") || node.replacing) return nothing;
  const former = memory.signals[seen.subject];
  const since = former?.status === seen.status ? former.sinceMs : seen.observedAtMs;
  const signal: Signal = {
    status: seen.status,
    reason: seen.reason,
    message: seen.message === null ? null : safeText(seen.message),
    observedAtMs: seen.observedAtMs,
    sinceMs: since,
  };
  const signals: Signals = { ...heard(memory.signals, ground), [seen.subject]: signal };
  const starting = probe !== null && now.getTime() - node.startedAt.getTime() < probe.startPeriodMs;
  const verdict = judgeHealth({ nodeStatus: node.status, signals, starting });
  const health = { health: verdict.status, healthReason: verdict.reason, healthMessage: verdict.message, occurredAtMs: seen.observedAtMs };
  const common = { ...nothing, signals, changedSignals: changedSignals(memory.signals, signals) };
  const certain = verdict.status === "UNHEALTHY" && (verdict.reason === "DEAD" || verdict.reason === "HOST_DOWN");
  if (verdict.status === "UNHEALTHY" && working.has(node.status)) {
    const status = nodeTransition(node.status, "vanished");
    if (status === null || status === "GONE") return { ...common, patch: health };
    const life = { healthy: node.health === "HEALTHY", beganAtMs: node.startedAt.getTime() };
    const crashes = oneMoreDeath(memory.crashes, life, now.getTime());
    const reason = safeText(verdict.message ?? verdict.reason);
    return {
      ...common,
      patch: {
        ...health,
        status,
        statusReason: reason,
        actionId: null,
        remedy: { at: later(now, remedyDelayMs(crashes.crashes, fraction)), certain, rung: rungOf(crashes) },
      },
      task: "drop",
      // Whatever was being done to it has met its death.
      action: { event: "failed", reason },
      crashes,
    };
  }
  if (certain && node.status === "ERROR" && !memory.certain) {
    // What was a probe's word is a fact by now: nothing keeps its remedy back any more.
    const rung = memory.crashes === null ? 0 : rungOf(memory.crashes);
    return { ...common, patch: { ...health, statusReason: safeText(verdict.message ?? verdict.reason), remedy: { at: now, certain, rung } } };
  }
  if (verdict.status === "HEALTHY" && node.status === "ERROR" && !memory.certain) {
    // It came back by itself before a remedy began.
    return { ...common, patch: { ...health, status: "ACTIVE", statusReason: null } };
  }
  return { ...common, patch: health };
}
