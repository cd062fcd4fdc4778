/**
 * `process`: members are real processes of this machine, in a session of their own, that live on when Muster's do not. What is known of
 * them lies in a folder that all workers of the host share (`state.ts`); how one is started is `shim.ts`.
 */
import { watch } from "node:fs";
import type { Driver, DriverDeps } from "../driver.ts";
import { createCaretaker } from "./caretaker.ts";
import { closeInherited } from "./descriptors.ts";
import { createProcessTable } from "./liveness.ts";
import { readLog } from "./log.ts";
import { createMembers, deleteMembers, inspectMembers } from "./operations.ts";
import { runCommandProbe } from "./probe.ts";
import { graceMsOf, parseProcessSpec, processProbePlan, processSpecSchema } from "./spec.ts";
import { openState } from "./state.ts";
import { stopEverything } from "./stop.ts";
import { findTool } from "./tool.ts";
import { watchExits } from "./watch.ts";
import type { BaseEnvironment, ProcessWorld, WatchFolder } from "./world.ts";

/** Beyond a member's grace: starting and killing on a slow machine, ms. */
const slackMs = 20_000;

export interface ProcessOptions extends DriverDeps {
  /** $MUSTER_DATA: members are kept track of in `<dataDir>/process`. */
  readonly dataDir: string;
  /** `readHostIncarnation()` */
  readonly hostIncarnation: string;
  /** Told as the members' placement. */
  readonly hostName?: string | null;
  /** PATH, HOME, LANG and TMPDIR as members get them. */
  readonly environment: BaseEnvironment;
  /** Where members run whose spec names no folder. */
  readonly cwd: string;
  /** A member that ends within so many ms of its start was not made. */
  readonly settleMs?: number;
  readonly sweepMs?: number;
  /** Else the kernel's notifications. */
  readonly watchFolder?: WatchFolder;
  /** A member's log is cut when it has grown to this; as much again is kept of what was before. */
  readonly maxLogBytes?: number;
}

/** @throws where `processUnavailable` gives a reason */
export function createProcessDriver(options: ProcessOptions): Driver {
  const world = worldOf(options);
  const closed = closeInherited();
  if (closed.length > 0) options.logger.debug({ descriptors: closed }, "closed descriptors that members would have inherited");
  const closing = new AbortController();
  return {
    type: "process",
    version: "1",
    description: "Processes on Muster's own machines, started from a command.",
    idempotency: "keyed",
    hostBound: true,
    // Starting a process costs the machine far more than asking for it: more at once would only starve the workers themselves.
    batchSize: 8,
    maxCallsInFlight: 3,
    timeoutMs: (spec) => graceMsOf(spec) + slackMs,
    specSchema: processSpecSchema,
    updatesInPlace: [],
    operations: [],
    parseSpec: parseProcessSpec,
    probePlan: processProbePlan,
    create: (nodes, context) => createMembers(world, nodes, context),
    delete: (nodes, context) => deleteMembers(world, nodes, context),
    inspect: (nodes, context) => inspectMembers(world, nodes, context),
    watch: ({ signal }) => watchExits(world, createCaretaker(world), AbortSignal.any([signal, closing.signal])),
    runProbe: (node, command, timeoutMs) => runCommandProbe(world, node, command, timeoutMs),
    readLog: (node, lastLines) => readLog(world.state, node, lastLines),
    close: async () => closing.abort(),
  };
}

/**
 * Stops every member that the data folder knows of, and lets none of them be started again. For a folder that is about to be emptied.
 * Resolves to how many there were.
 */
export async function stopAllMembers(options: ProcessOptions, signal: AbortSignal): Promise<number> {
  return stopEverything(worldOf(options), signal);
}

const kernelWatch: WatchFolder = (path, onFile, onError) =>
  watch(path, { persistent: false }, (_event, file) => {
    if (file !== null) onFile(file);
  }).on("error", onError);

function worldOf(options: ProcessOptions): ProcessWorld {
  const tool = (name: string): string => {
    const path = findTool(name, options.environment.PATH);
    if (path === null) throw new Error(`the program ${name} is missing`);
    return path;
  };
  return {
    clock: options.clock,
    timers: options.timers,
    entropy: options.entropy,
    logger: options.logger,
    state: openState(options.dataDir),
    incarnation: options.hostIncarnation,
    table: createProcessTable(options.timers),
    watchFolder: options.watchFolder ?? kernelWatch,
    hostName: options.hostName ?? null,
    environment: options.environment,
    cwd: options.cwd,
    tools: { sh: tool("sh"), env: tool("env"), setsid: tool("setsid") },
    settleMs: options.settleMs ?? 250,
    sweepMs: options.sweepMs ?? 2_000,
    maxLogBytes: options.maxLogBytes ?? 1_048_576,
  };
}
