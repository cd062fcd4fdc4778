/**
 * Deaths, told as they happen. The shim writes an exit code into one folder; the kernel tells every worker that watches it, whoever
 * started the member. Because a notification can be lost, and a shim killed, a sweep every few seconds looks at everything again.
 * A death is told anew, ever more rarely, until the epoch is deleted: the first telling may come before Muster has written down that the
 * member was made, or reach a worker that does not own it.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { NodeId } from "../../core/ids.ts";
import type { Observation } from "../driver.ts";
import { errorOf } from "../outcome-stream.ts";
import type { Caretaker } from "./caretaker.ts";
import { endingOf } from "./ending.ts";
import { exitOf, isGone, listIfThere, readExit } from "./state.ts";
import type { FolderWatch, ProcessWorld } from "./world.ts";

/** A death is told again after so long, then after twice that, and so on up to the second. */
const firstRepeatMs = 500;
const slowestRepeatMs = 60_000;

/** How often exits are looked for where the kernel does not tell of them, ms. */
const askMs = 50;

interface Told {
  nextAtMs: number;
  waitMs: number;
}

export async function* watchExits(world: ProcessWorld, caretaker: Caretaker, signal: AbortSignal): AsyncGenerator<readonly Observation[]> {
  const told = new Map<string, Told>();
  const dirty = new Set<string>();
  let wake = new AbortController();
  const nudge = (): void => wake.abort();
  const notifier = notifierOf(world, (file) => {
    dirty.add(file);
    nudge();
  });
  // Beside the loop below: nobody's death waits until all the others have been looked at.
  const over = new AbortController();
  const found = (files: readonly string[]): void => {
    for (const file of files) dirty.add(file);
    nudge();
  };
  const looking = [again(world, world.sweepMs, over.signal, async () => found(await sweep(world, caretaker)))];
  // A machine that has no notifications left is asked instead.
  if (notifier === null) looking.push(again(world, askMs, over.signal, async () => found(await listExits(world))));
  signal.addEventListener("abort", nudge, { once: true });
  try {
    while (!signal.aborted) {
      const files = [...dirty];
      dirty.clear();
      const seen = (await Promise.all(files.map((file) => observationOf(world, told, file)))).filter((each) => each !== null);
      if (seen.length > 0) yield seen;
      if (dirty.size === 0) await world.timers.wait(nextRepeatMs(told, world.clock.monotonicMs()), wake.signal);
      for (const [file, { nextAtMs }] of told) if (nextAtMs <= world.clock.monotonicMs()) dirty.add(file);
      if (!signal.aborted) wake = new AbortController();
    }
  } finally {
    notifier?.close();
    signal.removeEventListener("abort", nudge);
    over.abort();
    await Promise.all(looking);
  }
}

/** The kernel's word on every file that is written among the exits; null: there is none to be had. */
function notifierOf(world: ProcessWorld, onFile: (file: string) => void): FolderWatch | null {
  try {
    return world.watchFolder(world.state.exits, onFile, (error) => {
      world.logger.warn({ error: error.message }, "exits are not notified any more; the sweep finds them");
    });
  } catch (error) {
    world.logger.warn({ error: errorOf(error).message }, "exits are not notified on this machine; they are looked for many times a second");
    return null;
  }
}

async function again(world: ProcessWorld, everyMs: number, signal: AbortSignal, look: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await look();
    await world.timers.wait(everyMs, signal);
  }
}

/** One look at everything. What fails (a full disk, say) is said, and tried again with the next one: deaths must go on being told. */
async function sweep(world: ProcessWorld, caretaker: Caretaker): Promise<readonly string[]> {
  try {
    await caretaker.sweep();
  } catch (error) {
    world.logger.warn({ error: errorOf(error).message }, "looking after the members' folder failed; it is tried again");
  }
  return listExits(world);
}

async function listExits(world: ProcessWorld): Promise<readonly string[]> {
  try {
    return await listIfThere(world.state.exits);
  } catch (error) {
    world.logger.warn({ error: errorOf(error).message }, "the folder of exits cannot be read; it is tried again");
    return [];
  }
}

function isDue(told: ReadonlyMap<string, Told>, file: string, now: number): boolean {
  const before = told.get(file);
  return before === undefined || before.nextAtMs <= now;
}

function nextRepeatMs(told: ReadonlyMap<string, Told>, now: number): number {
  let next = now + slowestRepeatMs;
  for (const { nextAtMs } of told.values()) next = Math.min(next, nextAtMs);
  return Math.max(1, next - now);
}

async function observationOf(world: ProcessWorld, told: Map<string, Told>, file: string): Promise<Observation | null> {
  const life = exitOf(file);
  if (life === null) return null;
  const now = world.clock.monotonicMs();
  if (!isDue(told, file, now)) return null;
  const code = await readExit(world.state, life.id, life.epoch);
  if (code === null) {
    // Not written yet, or dealt with and removed.
    told.delete(file);
    return null;
  }
  if (await isGone(world.state, life.id, life.epoch)) {
    // It was stopped on purpose, and its shim wrote after the deletion had ended.
    told.delete(file);
    await rm(join(world.state.exits, file), { force: true });
    return null;
  }
  const waitMs = Math.min(slowestRepeatMs, (told.get(file)?.waitMs ?? firstRepeatMs / 2) * 2);
  told.set(file, { waitMs, nextAtMs: now + waitMs });
  return exitObservation(world, life.id, life.epoch);
}

async function exitObservation(world: ProcessWorld, nodeId: NodeId, epoch: number): Promise<Observation> {
  const observedAtMs = world.clock.wallMs();
  const { message } = await endingOf(world.state, nodeId, epoch);
  return { nodeId, epoch, subject: "WORKLOAD", status: "UNHEALTHY", reason: "EXITED", message, observedAtMs };
}
