/** The demo's data folder: emptied before each demo, after ending what a crashed one left running. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Timers } from "../core/runtime.ts";
import { readHostIncarnation } from "../drivers/process/host.ts";
import { createProcessTable, killRemains } from "../drivers/process/liveness.ts";
import type { MemberRecord } from "../drivers/process/record.ts";
import { closeFence, fencedEpochs, listNodes, openState } from "../drivers/process/state.ts";
import { ownerFile } from "./owner-lock.ts";
import { farPlaces, readState, stateFile } from "./postgres-place.ts";
import { stopPostmaster } from "./postmaster.ts";

/** Killed processes are gone within a moment, ms. */
const goneMs = 5_000;
const lookMs = 20;

/** Ends every member that the folder knows of, closing each fence first so that none can begin any more. Returns how many there were. */
export async function endMembers(data: string, timers: Timers): Promise<number> {
  const incarnation = readHostIncarnation();
  if (incarnation === null || !existsSync(join(data, "process"))) return 0;
  const state = openState(data);
  const members: MemberRecord[] = [];
  for (const id of await listNodes(state)) {
    for (const epoch of await fencedEpochs(state, id)) {
      const fence = await closeFence(state, id, epoch);
      if (fence.kind === "member") members.push(fence);
    }
  }
  const table = createProcessTable(timers);
  const kill = async (): Promise<number> => {
    const counts = await Promise.all(members.map((member) => killRemains(member, incarnation, table)));
    return counts.filter((count) => count > 0).length;
  };
  const killed = await kill();
  const deadline = performance.now() + goneMs;
  while ((await kill()) > 0 && performance.now() < deadline) await timers.wait(lookMs);
  return killed;
}

/** Call it under the owner lock. Ends leftovers, then removes everything but the lock. */
export async function emptyDemoFolder(data: string, timers: Timers): Promise<void> {
  await endMembers(data, timers);
  const state = existsSync(stateFile(data)) ? readState(data) : null;
  // Where PostgreSQL's user cannot reach this folder, the database stands elsewhere; the demo's is nobody's loss.
  for (const folder of new Set([...(state === null ? [] : [state.folder]), ...farPlaces(data)])) {
    await stopPostmaster({ folder }, timers, true);
    rmSync(folder, { recursive: true, force: true });
  }
  for (const entry of readdirSync(data)) {
    const path = join(data, entry);
    if (path !== ownerFile(data)) rmSync(path, { recursive: true, force: true });
  }
}
