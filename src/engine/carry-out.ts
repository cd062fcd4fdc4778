/** One driver call, from what was begun to the reports of its outcomes: it knows no database, and decides nothing. */
import type { NodeId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Logger } from "../core/runtime.ts";
import type { CallContext, ChangedNode, DriverError, DriverNode, Outcome } from "../drivers/driver.ts";
import type { DueTask } from "../store/task.ts";
import type { Store } from "../store/transaction.ts";
import type { Call } from "./call.ts";
import type { Trial } from "./dispatch.ts";
import type { TaskOutcome } from "./outbox.ts";
import type { TaskReport } from "./report.ts";
import type { KnownProfile } from "./specs.ts";

export interface CarryDeps {
  readonly store: Pick<Store, "runtime">;
  readonly logger: Logger;
  readonly installation: string;
}

/** Who hears what became of a call: of each of its nodes one of the two, once. */
export interface Hearer {
  push(outcome: TaskOutcome): void;
  /** Broken off by ourselves: nothing is known and nothing is said; whoever owns the lane next does again what was begun. */
  letGo(nodeId: NodeId): void;
}

/** Calls the driver and reports each outcome; nodes for which none came are reported as lost. */
export async function carryOut(
  deps: CarryDeps,
  held: ReadonlyMap<number, bigint>,
  call: Call,
  signal: AbortSignal,
  trial: Pick<Trial, "hear">,
  hearer: Hearer,
): Promise<void> {
  const { clock } = deps.store.runtime;
  const open = new Map<NodeId, DueTask>(call.tasks.map(({ task }) => [task.nodeId, task]));
  const report = (nodeId: NodeId, what: TaskReport): void => {
    const task = open.get(nodeId);
    if (task === undefined) return;
    open.delete(nodeId);
    const epoch = held.get(task.lane) ?? 0n;
    // That nobody answered a takeover's predecessor says nothing of the provider.
    const counts = what === takenOver || trial.hear(task, what);
    hearer.push({
      from: "task",
      nodeId,
      lane: task.lane,
      epoch,
      task: { kind: task.kind, attempt: Math.max(0, attemptOf(task) - (counts ? 0 : 1)), params: task.params },
      report: what,
    });
  };
  const letGo = (nodeId: NodeId): void => {
    if (open.delete(nodeId)) hearer.letGo(nodeId);
  };
  const longest = Math.max(...call.tasks.map(({ profile }) => profile.timeoutMs));
  const context: CallContext = {
    installation: deps.installation,
    fence: (node) => held.get(open.get(node.id)?.lane ?? -1) ?? 0n,
    signal,
    deadlineMs: clock.monotonicMs() + longest,
  };
  try {
    for await (const [nodeId, what] of outcomes(call, context)) {
      if (context.signal.aborted && what.kind === "failed" && what.error.class === "unknown") letGo(nodeId);
      else report(nodeId, what);
    }
    for (const nodeId of [...open.keys()]) {
      if (context.signal.aborted) letGo(nodeId);
      else report(nodeId, failure("unknown", "NO_OUTCOME", "the driver gave no outcome"));
    }
  } catch (error) {
    if (!context.signal.aborted) deps.logger.error({ driver: call.driver.type, verb: call.verb, error }, "a driver call broke off");
    for (const nodeId of [...open.keys()]) {
      if (context.signal.aborted) letGo(nodeId);
      else report(nodeId, failure("unknown", "DRIVER_BROKE_OFF", "the driver's call broke off"));
    }
  }
}

async function* outcomes(call: Call, context: CallContext): AsyncGenerator<readonly [NodeId, TaskReport]> {
  const { driver, verb } = call;
  // What somebody had begun and nobody finished is made again by a driver that does one key once, and by no other: it is read back.
  const repeated = call.tasks.filter(({ task }) => (verb === "create" || verb === "update") && driver.idempotency !== "keyed" && task.begunBy !== 0n);
  for (const { task } of repeated) yield [task.nodeId, takenOver];
  // Opened once for the call, not once for each of its members.
  const specs = new Map<KnownProfile, JsonObject>();
  const nodes = call.tasks
    .filter((each) => !repeated.includes(each))
    .map(({ task, profile }) => {
      const spec = specs.get(profile) ?? profile.open();
      specs.set(profile, spec);
      return driverNode(task, spec);
    });
  if (nodes.length === 0) return;
  if (verb === "update") {
    if (driver.update === undefined) {
      for (const { id } of nodes) yield [id, failure("permanent", "NO_UPDATE", `profile type ${driver.type} changes nothing in place`)];
      return;
    }
    const changes = new Map(call.tasks.map(({ task }) => [task.nodeId, Number(task.params?.["change"] ?? 0)]));
    const changed = nodes.map((node): ChangedNode => ({ ...node, change: changes.get(node.id) ?? 0 }));
    for await (const o of driver.update(changed, context)) yield [o.nodeId, reportOf(o, (made) => ({ kind: "made", made }))];
  } else if (verb === "create")
    for await (const o of driver.create(nodes, context)) yield [o.nodeId, reportOf(o, (made) => ({ kind: "made", made }))];
  else if (verb === "delete") for await (const o of driver.delete(nodes, context)) yield [o.nodeId, reportOf(o, () => ({ kind: "closed" }))];
  else for await (const o of driver.inspect(nodes, context)) yield [o.nodeId, reportOf(o, (inspection) => ({ kind: "inspected", inspection }))];
}

function reportOf<T>(outcome: Outcome<T>, good: (value: T) => TaskReport): TaskReport {
  return outcome.ok ? good(outcome.value) : { kind: "failed", error: outcome.error };
}

function failure(errorClass: DriverError["class"], code: string, message: string): TaskReport {
  return { kind: "failed", error: { class: errorClass, code, message } };
}

const takenOver = failure("unknown", "TAKEN_OVER", "whoever had begun it did not tell what came of it");

function driverNode(task: DueTask, spec: JsonObject): DriverNode {
  return {
    id: task.nodeId,
    name: task.name,
    index: task.index,
    clusterId: task.clusterId,
    clusterName: task.clusterName,
    epoch: task.epoch,
    physicalId: task.physicalId,
    spec,
    hostId: task.hostId,
    attempt: attemptOf(task),
  };
}

/** Beginning counts as an attempt; doing again what a dead worker had begun does not. */
function attemptOf(task: DueTask): number {
  return task.begunBy === 0n ? task.attempt + 1 : task.attempt;
}
