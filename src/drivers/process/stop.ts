/** Taking one member away: close the epoch, ask it to stop, then make it. */
import { setMaxListeners } from "node:events";
import type { DriverNode } from "../driver.ts";
import { CallFailed } from "../outcome-stream.ts";
import { isRunning, killRemains, signalGroup } from "./liveness.ts";
import { removeLog } from "./log.ts";
import { releasePorts } from "./port.ts";
import type { MemberRecord } from "./record.ts";
import { readProcessSpec } from "./spec.ts";
import { closeFence, fencedEpochs, isGone, listNodes, markGone, readFence } from "./state.ts";
import type { ProcessWorld } from "./world.ts";

/** Looks at the process grow rarer up to this, ms. */
const slowestGlanceMs = 50;

export interface Stop {
  readonly signal: NodeJS.Signals;
  readonly graceMs: number;
}

/** How long members get to end by themselves when all are stopped at once, ms. */
const farewellMs = 3_000;

/** Leaves nothing of this epoch or an older one, and lets nobody start this one any more. */
export async function removeMember(world: ProcessWorld, node: DriverNode, signal: AbortSignal): Promise<null> {
  await closeFence(world.state, node.id, node.epoch);
  const { stop } = readProcessSpec(node.spec);
  const epochs = (await fencedEpochs(world.state, node.id)).filter((epoch) => epoch <= node.epoch);
  await Promise.all(epochs.map((epoch) => removeLife(world, { id: node.id, epoch }, stop, signal)));
  for (const epoch of epochs.slice(0, -1)) await removeLog(world.state, node.id, epoch);
  return null;
}

/**
 * Makes sure that nothing is left of lives before this one. They are over, else there would be no next epoch; this keeps it true even
 * when whoever said so was wrong.
 */
export async function removeFormerLives(world: ProcessWorld, node: DriverNode, stop: Stop, signal: AbortSignal): Promise<void> {
  const former = (await fencedEpochs(world.state, node.id)).filter((epoch) => epoch < node.epoch);
  await Promise.all(former.map((epoch) => removeLife(world, { id: node.id, epoch }, stop, signal)));
}

export async function stopEverything(world: ProcessWorld, signal: AbortSignal): Promise<number> {
  let stopped = 0;
  // Each member waits under it.
  setMaxListeners(0, signal);
  const stop: Stop = { signal: "SIGTERM", graceMs: farewellMs };
  const lives = (await listNodes(world.state)).map(async (id) => {
    for (const epoch of await fencedEpochs(world.state, id)) {
      const fence = await readFence(world.state, id, epoch);
      if (fence?.kind === "member" && isRunning(fence, world.incarnation)) stopped += 1;
      await removeLife(world, { id, epoch }, stop, signal);
    }
  });
  await Promise.all(lives);
  return stopped;
}

async function removeLife(world: ProcessWorld, life: Pick<DriverNode, "id" | "epoch">, stop: Stop, signal: AbortSignal): Promise<void> {
  if (await isGone(world.state, life.id, life.epoch)) return;
  const fence = await closeFence(world.state, life.id, life.epoch);
  if (fence.kind === "member") {
    await stopProcess(world, fence, stop, signal);
    await releasePorts(world.state, fence.ports.values());
  }
  await markGone(world.state, life.id, life.epoch);
}

/** Signals the process group, waits for its grace, kills what is left. Resolves when nothing runs any more. */
async function stopProcess(world: ProcessWorld, record: MemberRecord, stop: Stop, signal: AbortSignal): Promise<void> {
  if (isRunning(record, world.incarnation)) {
    signalGroup(record, world.incarnation, stop.signal);
    await untilTrue(world, () => !isRunning(record, world.incarnation), stop.graceMs, signal);
    // Whoever takes this over begins the grace again; nobody is killed because a worker is in a hurry.
    if (signal.aborted && isRunning(record, world.incarnation)) throw stillRunning();
  }
  // Killed processes are gone within a moment, unless the kernel holds them in a call to a device.
  while ((await killRemains(record, world.incarnation, world.table)) > 0) if (signal.aborted) throw stillRunning();
}

function stillRunning(): CallFailed {
  return new CallFailed({ class: "transient", code: "STILL_RUNNING", message: "it was told to stop and still runs" });
}

async function untilTrue(world: ProcessWorld, condition: () => boolean, forMs: number, signal: AbortSignal): Promise<void> {
  const until = world.clock.monotonicMs() + forMs;
  for (let glanceMs = 1; !condition() && !signal.aborted; glanceMs = Math.min(slowestGlanceMs, glanceMs * 2)) {
    const left = until - world.clock.monotonicMs();
    if (left <= 0) return;
    await world.timers.wait(Math.min(glanceMs, left), signal);
  }
}
