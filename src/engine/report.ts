/**
 * What becomes of a node after a begun task's outcome: pure. The decision names everything that follows: status, next task, action, totals, probe,
 * signals. The outbox writes it.
 */
import { judgeHealth, type Signal, type Signals } from "../core/health.ts";
import { type JsonObject, safeJson, safeText } from "../core/json.ts";
import { type NodeEvent, type NodeStatus, nodeTransition, type TaskKind } from "../core/node.ts";
import { oneMoreDeath, remedyDelayMs, rungOf } from "../core/plan/ladder.ts";
import { afterFailure, retryRules } from "../core/retry.ts";
import type { DriverError, Inspection, Made, Observation } from "../drivers/driver.ts";
import type { CountField } from "../store/count.ts";
import type { NodePatch, NodeState } from "../store/node-write.ts";
import { closesLife } from "./call.ts";
import { changedSignals, type Decision, type Ground, heard, later, type Memory, nothing } from "./decision.ts";
import { decideObservation } from "./observation.ts";

/** A task as it was begun. `stage` in its parameters tells a recovery's two halves apart, and those of an update from one in place. */
export interface BegunTask {
  readonly kind: TaskKind;
  readonly attempt: number;
  readonly params: JsonObject | null;
}

/** What a begun task came to. */
export type TaskReport =
  | { readonly kind: "made"; readonly made: Made }
  | { readonly kind: "closed" }
  | { readonly kind: "inspected"; readonly inspection: Inspection }
  | { readonly kind: "failed"; readonly error: DriverError };

/** In which statuses a kind of task means something. In any other its outcome came too late: what is to be done next is another's word. */
const meantFor: Readonly<Record<TaskKind, ReadonlySet<NodeStatus>>> = {
  CREATE: new Set(["CREATING"]),
  DELETE: new Set(["DELETING"]),
  RECOVER: new Set(["RECOVERING"]),
  INSPECT: new Set(["UNKNOWN"]),
  UPDATE: new Set(["UPDATING"]),
  CHECK: new Set(["ACTIVE", "SUSPENDED", "WARNING", "ERROR", "UNKNOWN"]),
  OPERATE: new Set(["ACTIVE", "SUSPENDED", "WARNING"]),
};

/** Decides what follows from a begun task's report. */
export function decideTask(node: NodeState, task: BegunTask, report: TaskReport, memory: Memory, ground: Ground): Decision {
  if (!meantFor[task.kind].has(node.status)) {
    // What was made is remembered while its deletion is on the way, so that it is taken away.
    return report.kind === "made" && node.status === "DELETING" ? { ...nothing, patch: factsOf(report.made) } : nothing;
  }
  if (report.kind === "failed") return decideFailure(node, task, report.error, memory, ground);
  if (report.kind === "made") return isInPlace(task) ? decideChanged(node, report.made, ground) : decideMade(node, task, report.made, memory, ground);
  if (report.kind === "inspected") return decideInspected(node, task, report.inspection, memory, ground);
  if (task.kind === "RECOVER" || task.kind === "UPDATE") return decideClosed(node, task.kind, memory, ground);
  if (node.status !== "DELETING") return nothing;
  // Nobody knows what it was made as, and the provider closes no key: a create that is still on its way is swept up after its time.
  if (node.physicalId === null && ground.settleMs > 0 && task.params?.["stage"] !== "sweep")
    return { ...nothing, task: { kind: "DELETE", dueAt: later(ground.now, ground.settleMs), attempt: 0, params: { stage: "sweep" } } };
  return { ...nothing, remove: true, action: { event: "succeeded", reason: null } };
}

/** The former life is closed for certain: from here on it is the next one that is made, of the profile that is wanted by now. */
function decideClosed(node: NodeState, kind: "RECOVER" | "UPDATE", memory: Memory, ground: Ground): Decision {
  const make = { kind, dueAt: ground.now, attempt: 0, params: { stage: "make" } };
  const closed: NodePatch = { epoch: node.epoch + 1, physicalId: null, addresses: null, ...nextProfile(node) };
  if (kind === "RECOVER") return { ...nothing, patch: closed, task: make, totals: isOutdated(node) ? ["updated_total"] : [] };
  const atMs = ground.now.getTime();
  const gone: Signal = { status: "UNKNOWN", reason: "NOT_RUNNING", message: null, observedAtMs: atMs, sinceMs: atMs };
  const signals: Signals | null = memory.signals.WORKLOAD === undefined ? null : { ...memory.signals, WORKLOAD: gone };
  return {
    ...nothing,
    patch: { ...closed, health: "UNKNOWN", healthReason: "NOT_RUNNING", healthMessage: null },
    task: make,
    signals,
    changedSignals: signals === null ? [] : changedSignals(memory.signals, signals),
  };
}

/** It was changed where it stood, and worked meanwhile: its life and its health go on. */
function decideChanged(node: NodeState, made: Made, ground: Ground): Decision {
  return {
    ...nothing,
    patch: { ...factsOf(made), status: "ACTIVE", statusReason: null, actionId: null },
    task: nextCheck(made, ground.now),
    action: { event: "succeeded", reason: null },
    totals: isOutdated(node) ? [] : ["updated_total"],
    probe: ground.probe === null ? "stop" : "start",
  };
}

function isInPlace(task: Pick<BegunTask, "kind" | "params">): boolean {
  return task.kind === "UPDATE" && task.params?.["stage"] === "inPlace";
}

/** Its cluster has another profile by now. */
function isOutdated(node: NodeState): boolean {
  return node.wantedProfileId !== null && node.wantedProfileId !== node.profileId;
}

function nextProfile(node: NodeState): NodePatch {
  return node.wantedProfileId === null ? {} : { profileId: node.wantedProfileId };
}

function nextCheck(made: Made, now: Date): Decision["task"] {
  return made.checkAfterMs === null ? "drop" : { kind: "CHECK", dueAt: later(now, made.checkAfterMs), attempt: 0, params: null };
}

function factsOf(made: Made): Pick<NodePatch, "physicalId" | "addresses" | "placement"> {
  return {
    physicalId: safeText(made.physicalId),
    addresses: safeJson(made.addresses),
    placement: safeJson(made.placement),
  };
}

/** What makes a node ACTIVE that is in one of these statuses. */
const arrival: Partial<Record<NodeStatus, NodeEvent>> = { CREATING: "created", RECOVERING: "recovered", UPDATING: "updated", UNKNOWN: "found" };

function decideMade(node: NodeState, task: Pick<BegunTask, "kind" | "params">, made: Made, memory: Memory, ground: Ground): Decision {
  const { now, probe } = ground;
  const event = arrival[node.status] ?? "created";
  const status = nodeTransition(node.status, event);
  if (status === null || status === "GONE") return nothing;
  const workload: Signal = {
    status: probe === null ? "HEALTHY" : "UNKNOWN",
    reason: probe === null ? "RUNNING" : "STARTING",
    message: null,
    observedAtMs: now.getTime(),
    sinceMs: now.getTime(),
  };
  const signals: Signals = { ...heard(memory.signals, ground), WORKLOAD: workload };
  const verdict = judgeHealth({ nodeStatus: status, signals, starting: probe !== null });
  const firstLife = node.startedAt === null;
  const totals: CountField[] = task.kind === "RECOVER" ? ["recovered_total"] : [];
  if ((task.kind === "UPDATE" || wasUpdate(task)) && !isOutdated(node)) totals.push("updated_total");
  if (firstLife) totals.push("created_total");
  return {
    ...nothing,
    patch: {
      ...factsOf(made),
      status,
      statusReason: null,
      startedAt: event === "found" && node.startedAt !== null ? node.startedAt : now,
      health: verdict.status,
      healthReason: verdict.reason,
      healthMessage: verdict.message,
      actionId: null,
    },
    task: nextCheck(made, now),
    action: { event: "succeeded", reason: null },
    totals,
    probe: probe === null ? "stop" : "start",
    // A member that is simply there needs no row of signals: a million of them at rest stay narrow.
    signals: probe === null && !ground.fromHost && Object.keys(memory.signals).length === 0 ? null : signals,
    changedSignals: changedSignals(memory.signals, signals),
  };
}

/** A reading back of what was being updated when it was lost. */
function wasUpdate(task: Pick<BegunTask, "params">): boolean {
  return task.params?.["was"] === "UPDATE";
}

function decideInspected(
  node: NodeState,
  begun: Pick<BegunTask, "kind" | "params">,
  inspection: Inspection,
  memory: Memory,
  ground: Ground,
): Decision {
  const { now } = ground;
  const { kind } = begun;
  const checked: CountField[] = kind === "CHECK" ? ["checked_total"] : [];
  const action = kind === "CHECK" ? { event: "succeeded" as const, reason: null } : null;
  const ended = action === null ? {} : { actionId: null };
  if (inspection.presence === "running") {
    const { made } = inspection;
    if (node.status !== "UNKNOWN") return { ...nothing, patch: ended, task: nextCheck(made, now), action, totals: checked };
    if (wasUpdate(begun) && begun.params?.["stage"] === "inPlace") {
      // That it is there does not say what it is by now, and asking once more could be asking twice: it is made anew instead.
      const statusReason = "read back: it is there, but nobody knows whether it was updated";
      const task = { kind: "UPDATE" as const, dueAt: now, attempt: 0, params: { stage: "close" } };
      return { ...nothing, patch: { status: "UPDATING", statusReason, replacing: true, ...ended }, task, action, totals: checked };
    }
    // What was being done to it when it was lost has come out well after all.
    const found = decideMade(node, begun, made, memory, ground);
    return { ...found, totals: [...found.totals, ...checked] };
  }
  if (node.status === "UNKNOWN" && inspection.presence === "absent") {
    const patch = {
      status: "PLANNED" as const,
      statusReason: "read back: it is not there",
      epoch: node.epoch + 1,
      physicalId: null,
      addresses: null,
      ...nextProfile(node),
    };
    const totals: CountField[] = isOutdated(node) || wasUpdate(begun) ? ["updated_total", ...checked] : checked;
    return { ...nothing, patch: { ...patch, ...ended }, task: { kind: "CREATE", dueAt: now, attempt: 0, params: null }, action, totals };
  }
  const dead: Observation = {
    nodeId: node.id,
    epoch: node.epoch,
    subject: "WORKLOAD",
    status: "UNHEALTHY",
    reason: inspection.presence === "dead" ? "EXITED" : "GONE",
    message: inspection.presence === "dead" ? (inspection.message ?? inspection.reason) : "it is not there any more",
    observedAtMs: now.getTime(),
  };
  // One that was lost before it ever ran has failed to be made.
  if (node.startedAt === null && node.status === "UNKNOWN") {
    return { ...setAside("ERROR", dead.message ?? dead.reason, memory, ground), totals: ["failed_total", ...checked] };
  }
  const decision = decideObservation(node, dead, memory, ground);
  return {
    ...decision,
    patch: { ...decision.patch, ...ended },
    task: "drop",
    action: action ?? decision.action,
    totals: [...decision.totals, ...checked],
  };
}

function decideFailure(node: NodeState, task: BegunTask, error: DriverError, memory: Memory, ground: Ground): Decision {
  const { now, fraction, keyed } = ground;
  const reason = safeText(`${error.code}: ${error.message}`);
  // Where the answer was lost: a keyed call is simply made again, since the provider does one key once; so is the closing of what is known by its id.
  const again = error.class === "unknown" && (keyed || (node.physicalId !== null && closesLife(task)));
  const errorClass = again ? "transient" : error.class;
  // There is nothing left that could be changed in place.
  const next =
    isInPlace(task) && error.epochClosed === true ? ({ next: "giveUp" } as const) : afterFailure(task.kind, errorClass, task.attempt, fraction);
  if (next.next === "retry") {
    // An attempt that came to life and died has used its epoch up: the same key would only bring the same answer.
    const life = error.epochClosed === true ? { epoch: node.epoch + 1, physicalId: null, addresses: null } : {};
    return {
      ...nothing,
      patch: { statusReason: reason, ...life },
      task: { kind: task.kind, dueAt: later(now, next.afterMs), attempt: task.attempt, params: task.params },
    };
  }
  // What is on its way is given its time: before that, absent would prove nothing.
  if (next.next === "inspect") return decideUnreachable(node, task, reason, later(now, ground.settleMs));
  if (task.kind === "CHECK") return decideUnreachable(node, task, reason, later(now, retryRules.INSPECT.baseMs));
  const to = failedEvent(task.kind);
  const status = to === null ? null : nodeTransition(node.status, to);
  if (status === null || status === "GONE")
    return { ...nothing, patch: { statusReason: reason, actionId: null }, task: "drop", action: { event: "failed", reason } };
  // A member that could not be made counts against the wish that it was made for; one that could not be healed does not.
  const totals: CountField[] = task.kind === "CREATE" ? ["failed_total"] : task.kind === "UPDATE" ? ["update_failed_total"] : [];
  return { ...setAside(status, reason, memory, ground), totals };
}

/** Who cannot be asked is not dead: it is asked again, further and further apart. Of one in ERROR or asleep that was known before. */
function decideUnreachable(node: NodeState, { kind, params }: BegunTask, reason: string, dueAt: Date): Decision {
  const ended: Pick<Decision, "action"> = kind === "CHECK" ? { action: { event: "failed", reason } } : { action: null };
  const letGo: NodePatch = kind === "CHECK" ? { actionId: null } : {};
  if (node.status === "ERROR" || node.status === "SUSPENDED") return { ...nothing, ...ended, patch: letGo, task: "drop" };
  const lost = nodeTransition(node.status, "lost");
  const status = lost === null || lost === "GONE" ? node.status : lost;
  const note = kind === "UPDATE" ? { ...params, was: "UPDATE" } : wasUpdate({ params }) ? params : null;
  return { ...nothing, ...ended, patch: { ...letGo, status, statusReason: reason }, task: { kind: "INSPECT", dueAt, attempt: 0, params: note } };
}

/** Gives a node to the ladder: what it was being made for has failed, and its remedy comes after a pause. */
function setAside(status: NodeStatus, reason: string, memory: Memory, ground: Ground): Decision {
  const { now, fraction } = ground;
  const crashes = oneMoreDeath(memory.crashes, null, now.getTime());
  // One more than deaths: what could not even be made is not tried again at once.
  const remedy = { at: later(now, remedyDelayMs(crashes.crashes + 1, fraction)), certain: true, rung: rungOf(crashes) };
  return {
    ...nothing,
    patch: { status, statusReason: reason, actionId: null, remedy },
    task: "drop",
    action: { event: "failed", reason },
    crashes,
  };
}

function failedEvent(kind: TaskKind): NodeEvent | null {
  if (kind === "CREATE") return "createFailed";
  if (kind === "RECOVER") return "recoverFailed";
  return kind === "UPDATE" ? "updateFailed" : null;
}
