/**
 * The calls of `sim`. A batch is cut into calls of the spec's size; what they answer is sorted by the moment at which it is due and
 * yielded in slots, so that a batch needs one timer, not one per member.
 */
import type { JsonObject } from "../../core/json.ts";
import {
  type CallContext,
  type ChangedNode,
  type DriverError,
  type DriverNode,
  effectKey,
  type Inspection,
  type Made,
  type Outcome,
} from "../driver.ts";
import { endOf, errorOf, type Waiting } from "../outcome-stream.ts";
import { drawMs, fails, placementOf } from "./fate.ts";
import type { Answer, Effect, Provider } from "./provider.ts";
import { readSimSpec, type SimSpec } from "./spec.ts";

/** Outcomes that are due within one slot come together. Finer would cost wake-ups and show nothing. */
const slotMs = 5;
/** A lifetime is looked at this long after it should be over, so that one look is enough. */
const afterLifeMs = 20;

/** Why a wait ends early; made once, because an abort without a reason makes an exception. */
const awake = "there is something to look at";

export interface SimDeps extends Waiting {
  readonly provider: Provider;
}

interface Member {
  readonly node: DriverNode;
  readonly spec: SimSpec;
  readonly effect: Effect;
}

interface Due<T> {
  readonly atMs: number;
  readonly outcome: Outcome<T>;
}

type Ask<T> = (members: readonly Member[], signal: AbortSignal) => Promise<readonly { readonly inMs: number; readonly outcome: Outcome<T> }[]>;

export function createMembers(deps: SimDeps, nodes: readonly DriverNode[], context: CallContext): AsyncGenerator<Outcome<Made>> {
  return outcomesWhenDue(deps, nodes, context, "create", async (members, signal) => {
    const failing = members.filter(({ node, spec }) => fails(spec, node));
    const asked = members.filter(({ node, spec }) => !fails(spec, node));
    const answers = await deps.provider.create(effectsOf(asked), signal);
    return [
      ...failing.map(({ node, effect }) => ({ inMs: effect.takesMs, outcome: failure<Made>(node, simulatedFailure) })),
      ...asked.map(({ node, spec }, index) => settle(node, answers[index], (answer) => madeOf(node, spec, answer.physicalId, answer.livesMs))),
    ];
  });
}

export function deleteMembers(deps: SimDeps, nodes: readonly DriverNode[], context: CallContext): AsyncGenerator<Outcome<null>> {
  return outcomesWhenDue(deps, nodes, context, "delete", async (members, signal) => {
    const answers = await deps.provider.delete(effectsOf(members), signal);
    return members.map(({ node }, index) => settle(node, answers[index], () => null));
  });
}

export function inspectMembers(deps: SimDeps, nodes: readonly DriverNode[], context: CallContext): AsyncGenerator<Outcome<Inspection>> {
  return outcomesWhenDue(deps, nodes, context, "inspect", async (members, signal) => {
    const sights = await deps.provider.inspect(effectsOf(members), signal);
    return members.map(({ node, spec }, index): { inMs: number; outcome: Outcome<Inspection> } => {
      const sight = sights[index];
      if (sight === undefined) return { inMs: 0, outcome: failure(node, unanswered) };
      if (sight.kind === "refused") return { inMs: 0, outcome: failure(node, sight.error) };
      if (sight.kind === "running") {
        const made = madeOf(node, spec, sight.physicalId, sight.livesMs);
        return { inMs: 0, outcome: { nodeId: node.id, ok: true, value: { presence: "running", made } } };
      }
      const value: Inspection =
        sight.kind === "absent"
          ? { presence: "absent" }
          : { presence: "dead", reason: sight.reason, message: "its simulated life is over", physicalId: sight.physicalId };
      return { inMs: 0, outcome: { nodeId: node.id, ok: true, value } };
    });
  });
}

/** A change takes its time. What is there afterwards is what was there before. */
export function updateMembers(deps: SimDeps, nodes: readonly ChangedNode[], context: CallContext): AsyncGenerator<Outcome<Made>> {
  const changes = new Map(nodes.map((node) => [node.id, node.change]));
  return outcomesWhenDue(deps, nodes, context, "update", async (members, signal) => {
    const keyed = members.map((member): Member => {
      const key = `${member.effect.key}/${changes.get(member.node.id) ?? 0}`;
      return { ...member, effect: { ...member.effect, key } };
    });
    const answers = await deps.provider.update(effectsOf(keyed), signal);
    return keyed.map(({ node, spec }, index) => settle(node, answers[index], (answer) => madeOf(node, spec, answer.physicalId, answer.livesMs)));
  });
}

const simulatedFailure: DriverError = { class: "transient", code: "SIMULATED_FAILURE", message: "this attempt was drawn to fail (failureRate)" };
const unanswered: DriverError = { class: "unknown", code: "NO_ANSWER", message: "the provider gave no answer for this member" };

function failure<T>(node: DriverNode, error: DriverError): Outcome<T> {
  return { nodeId: node.id, ok: false, error };
}

function settle<T>(
  node: DriverNode,
  answer: Answer | undefined,
  valueOf: (answer: Extract<Answer, { kind: "done" }>) => T,
): { readonly inMs: number; readonly outcome: Outcome<T> } {
  if (answer === undefined) return { inMs: 0, outcome: failure(node, unanswered) };
  if (answer.kind === "refused") return { inMs: 0, outcome: failure(node, answer.error) };
  return { inMs: answer.inMs, outcome: { nodeId: node.id, ok: true, value: valueOf(answer) } };
}

function madeOf(node: DriverNode, spec: SimSpec, physicalId: string, livesMs: number | null): Made {
  return {
    physicalId,
    addresses: [],
    placement: placementOf(spec, node.id),
    checkAfterMs: livesMs === null ? null : Math.max(0, livesMs) + afterLifeMs,
  };
}

type Operation = "create" | "delete" | "inspect" | "update";

function memberOf(node: DriverNode, context: CallContext, operation: Operation, spec: SimSpec): Member {
  const durations = { create: spec.createMs, delete: spec.deleteMs, inspect: 0, update: spec.updateMs } as const satisfies Record<Operation, unknown>;
  const duration = durations[operation];
  const effect: Effect = {
    key: effectKey(context.installation, node, operation),
    nodeId: node.id,
    epoch: node.epoch,
    fence: context.fence(node),
    physicalId: node.physicalId,
    takesMs: drawMs(duration, node, operation),
    livesMs: spec.lifetimeMs === null ? null : drawMs(spec.lifetimeMs, node, "life"),
  };
  return { node, spec, effect };
}

function effectsOf(members: readonly Member[]): readonly Effect[] {
  return members.map((member) => member.effect);
}

/** Members in calls of at most the size that their spec allows. */
function callsOf(members: readonly Member[]): readonly (readonly Member[])[] {
  const calls: Member[][] = [];
  const open = new Map<number, Member[]>();
  for (const member of members) {
    const size = member.spec.batchSize;
    const call = open.get(size) ?? [];
    call.push(member);
    if (call.length === 1) calls.push(call);
    if (call.length < size) open.set(size, call);
    else open.delete(size);
  }
  return calls;
}

/** Asks all calls at once and yields what they answer when it is due. The end of the call leaves the rest unknown. */
async function* outcomesWhenDue<T>(
  deps: SimDeps,
  nodes: readonly DriverNode[],
  context: CallContext,
  operation: Operation,
  ask: Ask<T>,
): AsyncGenerator<Outcome<T>> {
  const call = endOf(context, deps);
  const open = new Set(nodes.map((node) => node.id));
  let due: Due<T>[] = [];
  let wake = new AbortController();
  call.signal.addEventListener("abort", () => wake.abort(awake), { once: true });
  try {
    const calls = call.signal.aborted ? [] : callsOf(membersOf(nodes, context, operation));
    for (const members of calls) {
      void askSafely(deps, ask, members, call.signal).then((answered) => {
        due = [...due, ...answered].sort((a, b) => a.atMs - b.atMs);
        wake.abort(awake);
      });
    }
    while (open.size > 0 && !call.signal.aborted) {
      const first = due[0];
      const now = deps.clock.monotonicMs();
      if (first === undefined || first.atMs > now) {
        await deps.timers.wait(first === undefined ? Math.max(0, context.deadlineMs - now) : first.atMs - now, wake.signal);
        if (wake.signal.aborted && !call.signal.aborted) wake = new AbortController();
        continue;
      }
      const until = now + slotMs;
      const after = due.findIndex((entry) => entry.atMs > until);
      const ready = due.splice(0, after < 0 ? due.length : after);
      for (const { outcome } of ready) {
        open.delete(outcome.nodeId);
        yield outcome;
      }
    }
    for (const nodeId of open) yield { nodeId, ok: false, error: call.reason() };
  } finally {
    call.end();
  }
}

function membersOf(nodes: readonly DriverNode[], context: CallContext, operation: Operation): Member[] {
  // Most nodes of a batch are of one profile, and checking a spec costs more than all the rest: each is read once.
  const specs = new Map<JsonObject, SimSpec>();
  return nodes.map((node) => {
    const spec = specs.get(node.spec) ?? readSimSpec(node.spec);
    specs.set(node.spec, spec);
    return memberOf(node, context, operation, spec);
  });
}

/** A call that fails as a whole leaves each of its members unknown, and the other calls alone. */
async function askSafely<T>(deps: SimDeps, ask: Ask<T>, members: readonly Member[], signal: AbortSignal): Promise<readonly Due<T>[]> {
  const answered = await ask(members, signal).catch((thrown: unknown) =>
    members.map(({ node }) => ({ inMs: 0, outcome: failure<T>(node, errorOf(thrown)) })),
  );
  const now = deps.clock.monotonicMs();
  return answered.map(({ inMs, outcome }) => ({ atMs: now + inMs, outcome }));
}
