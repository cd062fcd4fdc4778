/** The calls of `process`: each node by itself, all of a batch at once. */
import type { CallContext, DriverNode, Inspection, Made, Outcome } from "../driver.ts";
import { outcomesAsTheyCome } from "../outcome-stream.ts";
import { endingOf, exitText } from "./ending.ts";
import { isRunning } from "./liveness.ts";
import { exitSettled, madeOf, startMember } from "./start.ts";
import { closeFence, isGone } from "./state.ts";
import { removeMember } from "./stop.ts";
import type { ProcessWorld } from "./world.ts";

export function createMembers(world: ProcessWorld, nodes: readonly DriverNode[], context: CallContext): AsyncGenerator<Outcome<Made>> {
  return outcomesAsTheyCome(nodes, context, world, (node, signal) => startMember(world, node, context, signal));
}

export function deleteMembers(world: ProcessWorld, nodes: readonly DriverNode[], context: CallContext): AsyncGenerator<Outcome<null>> {
  return outcomesAsTheyCome(nodes, context, world, (node, signal) => removeMember(world, node, signal));
}

export function inspectMembers(world: ProcessWorld, nodes: readonly DriverNode[], context: CallContext): AsyncGenerator<Outcome<Inspection>> {
  return outcomesAsTheyCome(nodes, context, world, (node, signal) => inspectMember(world, node, signal));
}

/** Absent is certain because asking makes it so: an epoch without a fence is closed before it is called absent. */
async function inspectMember(world: ProcessWorld, node: DriverNode, signal: AbortSignal): Promise<Inspection> {
  const fence = await closeFence(world.state, node.id, node.epoch);
  if (fence.kind === "closed" || (await isGone(world.state, node.id, node.epoch))) return { presence: "absent" };
  if (isRunning(fence, world.incarnation)) return { presence: "running", made: madeOf(world, fence) };
  if (fence.incarnation !== world.incarnation) {
    return {
      presence: "dead",
      reason: "HOST_RESTARTED",
      message: "the machine was started anew, or its processes' space was",
      physicalId: String(fence.pid),
    };
  }
  await exitSettled(world, node, fence, signal);
  const { code, message } = await endingOf(world.state, node.id, node.epoch);
  return { presence: "dead", reason: exitText(code), message, physicalId: String(fence.pid) };
}
