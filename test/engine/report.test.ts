/** Every status × every report: only what the table allows, no stuck node, no action that is let go of without an end. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type NodeStatus, nodeTransitions, type TaskKind } from "../../src/core/node.ts";
import { errorClasses } from "../../src/core/retry.ts";
import type { Observation } from "../../src/drivers/driver.ts";
import type { Decision } from "../../src/engine/decision.ts";
import { decideObservation } from "../../src/engine/observation.ts";
import { decideTask, type TaskReport } from "../../src/engine/report.ts";
import type { NodeState } from "../../src/store/node-write.ts";
import {
  anyGround,
  anyMemory,
  anyNode,
  anyObservation,
  anyReport,
  anyTask,
  blank,
  failed,
  made,
  now,
  plainGround,
  plainNode,
  probe,
} from "./any-report.ts";

/** Which task carries a status on; the others rest. */
const carriers: Readonly<Partial<Record<NodeStatus, TaskKind>>> = {
  PLANNED: "CREATE",
  CREATING: "CREATE",
  RECOVERING: "RECOVER",
  UPDATING: "UPDATE",
  UNKNOWN: "INSPECT",
  DELETING: "DELETE",
};
/** The kinds that a driver is asked for today, and the status in which each is under way. */
const begunIn: readonly (readonly [TaskKind, NodeStatus])[] = [
  ["CREATE", "CREATING"],
  ["DELETE", "DELETING"],
  ["RECOVER", "RECOVERING"],
  ["UPDATE", "UPDATING"],
  ["CHECK", "ACTIVE"],
  ["CHECK", "ERROR"],
  ["CHECK", "UNKNOWN"],
  ["INSPECT", "UNKNOWN"],
];
/** What each kind of task can be answered with. */
const answers: Readonly<Record<TaskKind, readonly TaskReport["kind"][]>> = {
  CREATE: ["made", "failed"],
  DELETE: ["closed", "failed"],
  RECOVER: ["made", "closed", "failed"],
  CHECK: ["inspected", "failed"],
  INSPECT: ["inspected", "failed"],
  UPDATE: ["made", "closed", "failed"],
  OPERATE: ["failed"],
};

function expectLawful(node: NodeState, decision: Decision): void {
  const next = decision.patch?.status ?? node.status;
  if (next !== node.status) expect(Object.values(nodeTransitions[node.status])).toContain(next);
  if (decision.patch?.epoch !== undefined) expect(decision.patch.epoch).toBe(node.epoch + 1);
  if (decision.remove) expect(node.status).toBe("DELETING");
  if (next === "ERROR" && node.status !== "ERROR") expect(decision.patch?.remedy?.at).toBeInstanceOf(Date);
  if (decision.patch?.actionId === null && node.actionId !== null) expect(decision.action).not.toBeNull();
  if (decision.action !== null && decision.patch !== null && !decision.remove) expect(decision.patch.actionId).toBeNull();
  expect(JSON.stringify(decision)).not.toContain("\\u0000");
  if (decision.totals.includes("failed_total")) expect(next).toBe("ERROR");
}

describe("a task's report", () => {
  test("any status × any task × any report → only what the table allows; nobody is left without a next step; no action is forgotten", () => {
    fc.assert(
      fc.property(anyNode, anyTask, anyReport, anyMemory, anyGround, (node, task, report, memory, ground) => {
        fc.pre(answers[task.kind].includes(report.kind));
        const decision = decideTask(node, task, report, memory, ground);
        expectLawful(node, decision);
        const next = decision.patch?.status ?? node.status;
        const carrier = carriers[next];
        if (decision.remove || carrier === undefined || decision.task === "keep") return;
        // A task that was carried out and is not kept must give way to one that goes on.
        expect(decision.task, `${node.status} after ${task.kind}: ${next}`).not.toBe("drop");
        if (decision.task !== "drop") expect([carrier, ...(next === "UNKNOWN" ? ["CHECK"] : [])]).toContain(decision.task.kind);
      }),
      { numRuns: 1_500 },
    );
  });

  test("a begun step in its own status, whatever comes → the step is over: kept by nobody", () => {
    fc.assert(
      fc.property(
        anyNode,
        fc.constantFrom(...begunIn),
        anyTask,
        anyReport,
        anyMemory,
        anyGround,
        (any, [kind, status], task, report, memory, ground) => {
          fc.pre(answers[kind].includes(report.kind));
          const decision = decideTask({ ...any, status }, { ...task, kind }, report, memory, ground);
          if (!decision.remove) expect(decision.task).not.toBe("keep");
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("its deletion is wanted: a late outcome of anything else → neither status, task, action nor totals; what was made is remembered", () => {
    fc.assert(
      fc.property(anyTask, anyReport, anyMemory, anyGround, fc.boolean(), (task, report, memory, ground, ran) => {
        fc.pre(task.kind !== "DELETE");
        const node: NodeState = { ...plainNode, status: "DELETING", startedAt: ran ? plainNode.startedAt : null };
        const decision = decideTask(node, task, report, memory, ground);
        expect(decision).toMatchObject({ remove: false, task: "keep", action: null, totals: [], probe: "keep" });
        expect(decision.patch?.status).toBeUndefined();
        expect(decision.patch?.epoch).toBeUndefined();
        if (report.kind === "made") expect(decision.patch?.physicalId).toBeDefined();
        else expect(decision.patch).toBeNull();
      }),
    );
  });

  test("a check's answer that comes after a remedy began → ignored: the remedy goes on", () => {
    const node: NodeState = { ...plainNode, status: "RECOVERING" };
    for (const report of [
      { kind: "inspected", inspection: { presence: "absent" } },
      failed("permanent"),
      { kind: "inspected", inspection: { presence: "running", made } },
    ] as const) {
      expect(decideTask(node, { kind: "CHECK", attempt: 1, params: null }, report, blank, plainGround)).toMatchObject({
        task: "keep",
        action: null,
        patch: null,
      });
    }
  });

  test("created → ACTIVE, HEALTHY where nothing probes it, its action succeeded, counted once", () => {
    const node: NodeState = { ...plainNode, status: "CREATING", startedAt: null, health: "UNKNOWN" };
    const decision = decideTask(node, { kind: "CREATE", attempt: 1, params: null }, { kind: "made", made }, blank, plainGround);
    expect(decision).toMatchObject({
      patch: { status: "ACTIVE", health: "HEALTHY", physicalId: "new\uFFFD", startedAt: now, actionId: null },
      task: "drop",
      action: { event: "succeeded" },
      totals: ["created_total"],
      probe: "stop",
    });
  });

  test("created with a probe → ACTIVE, its health UNKNOWN until it answers", () => {
    const node: NodeState = { ...plainNode, status: "CREATING", startedAt: null, health: "UNKNOWN" };
    const decision = decideTask(node, { kind: "CREATE", attempt: 1, params: null }, { kind: "made", made }, blank, { ...plainGround, probe });
    expect(decision).toMatchObject({ patch: { status: "ACTIVE", health: "UNKNOWN", healthReason: "STARTING" }, probe: "start" });
  });

  test("a create that is given up → ERROR, for the ladder, counted against the wish", () => {
    const node: NodeState = { ...plainNode, status: "CREATING", startedAt: null };
    const decision = decideTask(node, { kind: "CREATE", attempt: 1, params: null }, failed("permanent"), blank, plainGround);
    expect(decision).toMatchObject({
      patch: { status: "ERROR", actionId: null },
      task: "drop",
      action: { event: "failed" },
      totals: ["failed_total"],
      crashes: { crashes: 1, proven: false },
    });
    expect(decision.patch?.remedy?.at?.getTime()).toBeGreaterThan(now.getTime());
  });

  test("a recovery that is given up → ERROR, and no wish about size is charged with it", () => {
    const node: NodeState = { ...plainNode, status: "RECOVERING" };
    const decision = decideTask(node, { kind: "RECOVER", attempt: 9, params: { stage: "make" } }, failed("transient"), blank, plainGround);
    expect(decision).toMatchObject({ patch: { status: "ERROR" }, action: { event: "failed" }, totals: [] });
  });

  test("a recovery whose former life is closed → the next epoch, then made", () => {
    const node: NodeState = { ...plainNode, status: "RECOVERING" };
    const closed = decideTask(node, { kind: "RECOVER", attempt: 1, params: { stage: "close" } }, { kind: "closed" }, blank, plainGround);
    expect(closed).toMatchObject({
      patch: { epoch: 5, physicalId: null, addresses: null },
      task: { kind: "RECOVER", params: { stage: "make" }, attempt: 0 },
      action: null,
    });
    const again = decideTask(
      { ...node, epoch: 5 },
      { kind: "RECOVER", attempt: 1, params: { stage: "make" } },
      { kind: "made", made },
      blank,
      plainGround,
    );
    expect(again).toMatchObject({ patch: { status: "ACTIVE" }, totals: ["recovered_total"], action: { event: "succeeded" } });
  });

  test("a reply was lost: a keyed driver → asked again under the same epoch; another → UNKNOWN, read back", () => {
    const node: NodeState = { ...plainNode, status: "CREATING", startedAt: null };
    const task = { kind: "CREATE" as const, attempt: 1, params: null };
    const keyed = decideTask(node, task, failed("unknown"), blank, plainGround);
    expect(keyed).toMatchObject({ task: { kind: "CREATE", attempt: 1 }, action: null });
    expect(keyed.patch?.epoch).toBeUndefined();
    const listed = decideTask(node, task, failed("unknown"), blank, { ...plainGround, keyed: false, settleMs: 5_000 });
    // Not before what was asked for must be there, and be seen.
    expect(listed).toMatchObject({ patch: { status: "UNKNOWN" }, task: { kind: "INSPECT", dueAt: new Date(now.getTime() + 5_000) }, action: null });
  });

  test("deleted, and nobody knows as what it was made: a keyed driver → gone; another → swept once more after its time; with a physical id → gone", () => {
    const node: NodeState = { ...plainNode, status: "DELETING", physicalId: null };
    const task = { kind: "DELETE" as const, attempt: 1, params: null };
    const listed = { ...plainGround, keyed: false, settleMs: 5_000 };
    expect(decideTask(node, task, { kind: "closed" }, blank, plainGround)).toMatchObject({ remove: true });
    const first = decideTask(node, task, { kind: "closed" }, blank, listed);
    expect(first).toMatchObject({ remove: false, action: null, task: { kind: "DELETE", dueAt: new Date(now.getTime() + 5_000) } });
    expect(decideTask(node, { ...task, params: { stage: "sweep" } }, { kind: "closed" }, blank, listed)).toMatchObject({ remove: true });
    expect(decideTask({ ...node, physicalId: "there" }, task, { kind: "closed" }, blank, listed)).toMatchObject({ remove: true });
  });

  test("lost while it was made, read back: there → ACTIVE, made, its action succeeded; absent → PLANNED in a new epoch; dead → ERROR, failed", () => {
    const node: NodeState = { ...plainNode, status: "UNKNOWN", startedAt: null };
    const task = { kind: "INSPECT" as const, attempt: 1, params: null };
    const seen = (inspection: Extract<TaskReport, { kind: "inspected" }>["inspection"]): Decision =>
      decideTask(node, task, { kind: "inspected", inspection }, blank, plainGround);
    expect(seen({ presence: "running", made })).toMatchObject({
      patch: { status: "ACTIVE" },
      action: { event: "succeeded" },
      totals: ["created_total"],
    });
    expect(seen({ presence: "absent" })).toMatchObject({ patch: { status: "PLANNED", epoch: 5 }, task: { kind: "CREATE" }, action: null });
    expect(seen({ presence: "dead", reason: "EXITED", message: "exit code 1", physicalId: null })).toMatchObject({
      patch: { status: "ERROR", statusReason: "exit code 1" },
      action: { event: "failed" },
      totals: ["failed_total"],
    });
  });

  test("the answer to a check is lost → it is asked again, and the member is what it was", () => {
    const decision = decideTask(plainNode, { kind: "CHECK", attempt: 1, params: null }, failed("unknown"), blank, { ...plainGround, keyed: false });
    expect(decision).toMatchObject({ task: { kind: "CHECK", attempt: 1 }, action: null });
    expect(decision.patch?.status).toBeUndefined();
  });

  test("the answer to a recovery's closing is lost → said again, never read back: what is dead then is dead by us; its making is read back", () => {
    const node: NodeState = { ...plainNode, status: "RECOVERING", physicalId: "thing-1" };
    const lost = (stage: string, known: NodeState) =>
      decideTask(known, { kind: "RECOVER", attempt: 1, params: { stage } }, failed("unknown"), blank, { ...plainGround, keyed: false });
    expect(lost("close", node)).toMatchObject({ task: { kind: "RECOVER", attempt: 1, params: { stage: "close" } }, action: null });
    expect(lost("make", node)).toMatchObject({ task: { kind: "INSPECT" } });
    expect(lost("close", { ...node, physicalId: null })).toMatchObject({ task: { kind: "INSPECT" } });
  });

  test("a check that cannot be carried out → UNKNOWN, asked again; of one in ERROR nothing changes", () => {
    const task = { kind: "CHECK" as const, attempt: 3, params: null };
    expect(decideTask(plainNode, task, failed("transient"), blank, plainGround)).toMatchObject({
      patch: { status: "UNKNOWN" },
      task: { kind: "INSPECT" },
      action: { event: "failed" },
    });
    const sick = decideTask({ ...plainNode, status: "ERROR" }, task, failed("transient"), blank, plainGround);
    expect(sick).toMatchObject({ task: "drop", action: { event: "failed" } });
    expect(sick.patch?.status).toBeUndefined();
  });

  test("an attempt that used its epoch up → the next attempt has the next epoch", () => {
    const node: NodeState = { ...plainNode, status: "CREATING", startedAt: null };
    const decision = decideTask(node, { kind: "CREATE", attempt: 1, params: null }, failed("transient", { epochClosed: true }), blank, plainGround);
    expect(decision).toMatchObject({ patch: { epoch: 5, physicalId: null }, task: { kind: "CREATE" } });
  });

  test("a deletion that fails → tried again, for ever", () => {
    const node: NodeState = { ...plainNode, status: "DELETING" };
    for (const errorClass of errorClasses) {
      const decision = decideTask(node, { kind: "DELETE", attempt: 1_000, params: null }, failed(errorClass), blank, plainGround);
      expect(decision).toMatchObject({ remove: false, task: { kind: "DELETE" }, action: null });
    }
    expect(decideTask(node, { kind: "DELETE", attempt: 1, params: null }, { kind: "closed" }, blank, plainGround)).toMatchObject({
      remove: true,
      action: { event: "succeeded" },
    });
  });
});

describe("an observation", () => {
  const death: Observation = {
    nodeId: plainNode.id,
    epoch: 4,
    subject: "WORKLOAD",
    status: "UNHEALTHY",
    reason: "EXITED",
    message: "exit code 9",
    observedAtMs: now.getTime(),
  };

  test("any status × anything seen → only what the table allows, and a begun step is dropped only by death", () => {
    fc.assert(
      fc.property(anyNode, anyObservation, anyMemory, anyGround, (node, seen, memory, ground) => {
        const decision = decideObservation(node, seen, memory, ground);
        expectLawful(node, decision);
        expect(decision.remove).toBe(false);
        if (decision.task !== "keep") expect(decision.patch?.status).toBe("ERROR");
        const next = decision.patch?.status ?? node.status;
        if (next !== node.status) expect(["ERROR", "ACTIVE"]).toContain(next);
      }),
      { numRuns: 1_500 },
    );
  });

  test("of another epoch, or of a member that is not meant to run → ignored", () => {
    for (const epoch of [3, 5])
      expect(decideObservation(plainNode, { ...death, epoch }, blank, plainGround)).toMatchObject({ patch: null, signals: null, task: "keep" });
    for (const status of ["PLANNED", "CREATING", "RECOVERING", "DELETING"] as const) {
      expect(decideObservation({ ...plainNode, status }, death, blank, plainGround)).toMatchObject({ patch: null, signals: null, task: "keep" });
    }
  });

  test("an exit → ERROR, dead for certain, remedied at once; the second in a row waits", () => {
    const first = decideObservation(plainNode, death, blank, plainGround);
    expect(first).toMatchObject({
      patch: { status: "ERROR", health: "UNHEALTHY", healthReason: "DEAD", statusReason: "exit code 9", remedy: { at: now, certain: true, rung: 0 } },
      crashes: { crashes: 1, proven: true },
    });
    const second = decideObservation(
      plainNode,
      death,
      { ...blank, crashes: { crashes: 1, proven: true, lastAtMs: now.getTime() - 5_000 } },
      plainGround,
    );
    expect(second).toMatchObject({ crashes: { crashes: 2, proven: true }, patch: { remedy: { rung: 1 } } });
    expect(second.patch?.remedy?.at?.getTime()).toBeGreaterThan(now.getTime());
  });

  test("a failed probe → ERROR on a probe's word; it answers again → ACTIVE by itself", () => {
    const word: Observation = { ...death, reason: "PROBE_FAILED" };
    expect(decideObservation(plainNode, word, blank, { ...plainGround, probe })).toMatchObject({
      patch: { status: "ERROR", remedy: { certain: false } },
    });
    const back = decideObservation(
      { ...plainNode, status: "ERROR", health: "UNHEALTHY" },
      { ...word, status: "HEALTHY", reason: "PROBE_OK" },
      { ...blank, certain: false },
      { ...plainGround, probe },
    );
    expect(back).toMatchObject({ patch: { status: "ACTIVE", health: "HEALTHY" } });
  });

  test("a probe's word becomes a fact → its remedy waits for nothing any more", () => {
    const decision = decideObservation(
      { ...plainNode, status: "ERROR", health: "UNHEALTHY" },
      death,
      { ...blank, certain: false, crashes: { crashes: 3, proven: true, lastAtMs: now.getTime() } },
      plainGround,
    );
    expect(decision.patch).toMatchObject({ remedy: { at: now, certain: true, rung: 2 } });
    expect(decision.patch?.status).toBeUndefined();
  });

  test("a failed probe within the start-up grace → nothing is decided", () => {
    const word: Observation = { ...death, reason: "PROBE_FAILED" };
    const decision = decideObservation({ ...plainNode, startedAt: now, health: "UNKNOWN" }, word, blank, { ...plainGround, probe });
    expect(decision.patch).toMatchObject({ health: "UNKNOWN", healthReason: "STARTING" });
    expect(decision.patch?.status).toBeUndefined();
  });

  test("dead for certain: a good word of a probe → not believed", () => {
    const decision = decideObservation(
      { ...plainNode, status: "ERROR", health: "UNHEALTHY" },
      { ...death, status: "HEALTHY", reason: "PROBE_OK" },
      blank,
      plainGround,
    );
    expect(decision.patch?.status).toBeUndefined();
  });
});
