/** A data folder with `process` members in it, for tests: made, looked into, and taken away with everything that ran there. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeId, type NodeId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import type { Driver, DriverNode } from "../../src/drivers/driver.ts";
import { readHostIncarnation } from "../../src/drivers/process/host.ts";
import { createProcessDriver, type ProcessOptions, stopAllMembers } from "../../src/drivers/process/index.ts";
import { driverNode, runtime, silentLogger, stored } from "./driver-node.ts";

const server = fileURLToPath(new URL("../../examples/web/server.mjs", import.meta.url));
export const webSpec: JsonObject = { command: [process.execPath, server], env: { PORT: "{{ports.http}}", NAME: "{{node.name}}" }, ports: ["http"] };
/** A member that does nothing, and by whose environment its node can be told. */
export const sleeperSpec: JsonObject = { command: ["sleep", "1000"], publicEnv: { MEMBER_OF: "{{node.id}}" } };

export function shellSpec(script: string, more: JsonObject = {}): JsonObject {
  return { command: ["sh", "-c", script], publicEnv: { MEMBER_OF: "{{node.id}}" }, ...more };
}

export interface ProcessFolder {
  readonly dataDir: string;
  readonly driver: Driver;
  readonly options: ProcessOptions;
  /** The driver as another worker of the host has it. */
  another(more?: Partial<ProcessOptions>): Driver;
  node(spec: JsonObject, given?: Partial<DriverNode>): DriverNode;
  /** A file of the node's state folder. */
  file(id: NodeId, name: string): string;
  close(): Promise<void>;
}

export async function openProcessFolder(more: Partial<ProcessOptions> = {}): Promise<ProcessFolder> {
  // With a space in its path: users have such folders.
  const dataDir = await mkdtemp(join(tmpdir(), "muster process "));
  const options = { ...optionsIn(dataDir), ...more };
  const driver = createProcessDriver(options);
  const opened: Driver[] = [driver];
  return {
    dataDir,
    driver,
    options,
    another: (given = {}) => {
      const next = createProcessDriver({ ...options, ...given });
      opened.push(next);
      return next;
    },
    node: (spec, given = {}) => driverNode(stored(driver, spec), given),
    file: (id, name) => join(dataDir, "process", id, name),
    close: async () => {
      for (const each of opened) await each.close?.();
      await stopAllMembers(options, new AbortController().signal);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function optionsIn(dataDir: string): ProcessOptions {
  const hostIncarnation = readHostIncarnation();
  if (hostIncarnation === null) throw new Error("these tests need Linux's /proc");
  const environment = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: dataDir, LANG: "C.UTF-8", TMPDIR: tmpdir() };
  return { ...runtime, logger: silentLogger, dataDir, hostIncarnation, environment, cwd: dataDir, settleMs: 60, sweepMs: 50 };
}

export interface ProcessSight {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly args: readonly string[];
}

/** What the kernel says of a process; null: it has ended. */
export function processSight(pid: number): ProcessSight | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, parent, group, session] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" || state === "X") return null;
    const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return { pid, parent: Number(parent), group: Number(group), session: Number(session), args };
  } catch {
    // It ended while we looked.
    return null;
  }
}

export function environmentOf(pid: number): ReadonlyMap<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").slice(0, -1);
  return new Map(entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]));
}

/** Processes that run for this node, counted by the environment that the kernel knows of them; leaders of their group only. */
export function membersOf(id: NodeId): readonly number[] {
  const mark = `MEMBER_OF=${encodeId("node", id)}\0`;
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid)) return false;
      const sight = processSight(pid);
      if (sight === null || sight.group !== pid) return false;
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").includes(mark);
      } catch {
        return false;
      }
    });
}

/** Looks again at each turn of the machine until the condition holds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, withinMs = 15_000): Promise<void> {
  const end = runtime.clock.monotonicMs() + withinMs;
  while (!(await condition())) {
    if (runtime.clock.monotonicMs() > end) throw new Error(`never happened: ${what}`);
    await runtime.timers.wait(2);
  }
}
