/** The demo's data folder: emptied before each demo, after ending what a crashed one left running. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DriverDeps } from "../drivers/driver.ts";
import { CallFailed } from "../drivers/outcome-stream.ts";
import { processUnavailable, readHostIncarnation } from "../drivers/process/host.ts";
import { stopAllMembers } from "../drivers/process/index.ts";
import { Complaint } from "./complaint.ts";
import type { Config } from "./config.ts";
import { ownerFile } from "./owner-lock.ts";
import { farPlaces, readState, stateFile } from "./postgres-place.ts";
import { stopPostmaster } from "./postmaster.ts";

type DemoConfig = Pick<Config, "data" | "environment">;

/** Longer than members get to end by themselves before they are killed, ms. */
const patienceMs = 10_000;

/** Ends every member that the folder knows of, and lets none begin any more. @throws Complaint where one does not end */
export async function endMembers({ data, environment }: DemoConfig, deps: DriverDeps): Promise<void> {
  const hostIncarnation = readHostIncarnation();
  if (hostIncarnation === null || processUnavailable(environment.PATH) !== null || !existsSync(join(data, "process"))) return;
  try {
    await stopAllMembers({ ...deps, dataDir: data, hostIncarnation, environment, cwd: data }, AbortSignal.timeout(patienceMs));
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    throw new Complaint(`A member of the demo in ${data} does not end: ${error.message}.`, { cause: error });
  }
}

/** Call it under the owner lock. Ends leftovers, then removes everything but the lock. */
export async function emptyDemoFolder(config: DemoConfig, deps: DriverDeps): Promise<void> {
  const { data } = config;
  await endMembers(config, deps);
  const state = existsSync(stateFile(data)) ? readState(data) : null;
  // Where PostgreSQL's user cannot reach this folder, the database stands elsewhere; the demo's is nobody's loss.
  for (const folder of new Set([...(state === null ? [] : [state.folder]), ...farPlaces(data)])) {
    await stopPostmaster({ folder }, deps.timers, true);
    rmSync(folder, { recursive: true, force: true });
  }
  for (const entry of readdirSync(data)) {
    const path = join(data, entry);
    if (path !== ownerFile(data)) rmSync(path, { recursive: true, force: true });
  }
}
