import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeId, type NodeId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import type { Driver, DriverNode, Made, Observation } from "../../src/drivers/driver.ts";
import { readHostIncarnation } from "../../src/drivers/process/host.ts";
import { createProcessDriver, type ProcessOptions, stopAllMembers } from "../../src/drivers/process/index.ts";
import { driverContract } from "../contracts/driver.contract.ts";
import { callContext, driverNode, errorOf, outcomesOf, runtime, silentLogger, stored, valueOf } from "../support/driver-node.ts";

const server = fileURLToPath(new URL("../../examples/web/server.mjs", import.meta.url));
const web: JsonObject = { command: [process.execPath, server], env: { PORT: "{{ports.http}}", NAME: "{{node.name}}" }, ports: ["http"] };
const sleeper: JsonObject = { command: ["sleep", "1000"] };

function shell(script: string, more: JsonObject = {}): JsonObject {
  return { command: ["sh", "-c", script], ...more };
}

function optionsIn(dataDir: string, more: Partial<ProcessOptions> = {}): ProcessOptions {
  const hostIncarnation = readHostIncarnation();
  if (hostIncarnation === null) throw new Error("these tests need Linux's /proc");
  const environment = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: dataDir, LANG: "C.UTF-8", TMPDIR: tmpdir() };
  return { ...runtime, logger: silentLogger, dataDir, hostIncarnation, environment, cwd: dataDir, settleMs: 60, sweepMs: 50, ...more };
}

/** Processes whose session is the member's: by what the shim's arguments say, whoever started it. */
function processesOf(folder: string): { readonly pid: number; readonly args: string }[] {
  const found: { pid: number; args: string }[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/cwd`) !== folder) continue;
      const state = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.charAt(0);
      if (state !== "Z") found.push({ pid: Number(pid), args: readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim() });
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

/** Waits for a condition, on the machine's own turn of events: another look after each tick of the world. */
async function until(condition: () => boolean | Promise<boolean>, what: string, withinMs = 10_000): Promise<void> {
  const end = runtime.clock.monotonicMs() + withinMs;
  while (!(await condition())) {
    if (runtime.clock.monotonicMs() > end) throw new Error(`never happened: ${what}`);
    await runtime.timers.wait(2);
  }
}

function runs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.charAt(0) !== "Z";
  } catch {
    return false;
  }
}

async function inFolder(): Promise<{ readonly dataDir: string; remove(): Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), "muster process "));
  return {
    dataDir,
    remove: async () => {
      await stopAllMembers(optionsIn(dataDir), new AbortController().signal);
      expect(processesOf(dataDir)).toEqual([]);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

driverContract({
  name: "process",
  open: async () => {
    const { dataDir, remove } = await inFolder();
    const driver = createProcessDriver(optionsIn(dataDir));
    return {
      driver,
      other: createProcessDriver(optionsIn(dataDir)),
      spec: { ...sleeper, cwd: dataDir, env: { NODE_NAME_FOR_TEST: "{{node.id}}" } },
      existing: async (id) => membersOf(dataDir, id).length,
      kill: async (_node, made) => {
        process.kill(Number(made.physicalId), "SIGKILL");
      },
      close: async () => {
        await driver.close?.();
        await remove();
      },
    };
  },
  wrong: [
    { spec: {}, paths: ["command"] },
    { spec: { command: [], env: { "1x": "y", OK: 5 }, port: ["http"] }, paths: ["command", "env.1x", "env.OK", "port"] },
    { spec: { command: ["", "a\0"], publicEnv: { PPID: "1" }, cwd: "" }, paths: ["command.0", "command.1", "publicEnv.PPID", "cwd"] },
    { spec: { ...web, ports: ["http", "http"], health: { http: { port: "admin" } } }, paths: ["ports.1", "health.http.port"] },
    { spec: { command: ["x", "{{ports.http}}"], env: { A: "{{node.nam}}" } }, paths: ["command.1", "env.A"] },
    { spec: { command: ["x"], health: { tcp: { port: "http" }, command: ["y"], intervalMs: 1 } }, paths: ["health", "health.intervalMs", "health.tcp.port"] },
    { spec: { command: ["x"], health: {}, stop: { signal: "SIGSTOP", graceMs: -1 } }, paths: ["health", "stop.signal", "stop.graceMs"] },
    { spec: { command: [], health: { http: { port: "no" } }, env: { A: 5, B: "{{x}}" } }, paths: ["command", "health.http.port", "env.A", "env.B"] },
    { spec: { command: ["x"], env: { A: "1" }, publicEnv: { A: "2" } }, paths: ["publicEnv.A"] },
  ],
  secret: (canary) => ({ command: ["true"], env: { PASSWORD: canary } }),
});

/** Members of this node, counted by what the kernel knows of them. */
function membersOf(dataDir: string, id: NodeId): number[] {
  return processesOf(dataDir)
    .filter(({ pid, args }) => args === "sleep 1000" && readFileSync(`/proc/${pid}/environ`, "utf8").includes(encodedIn(id)))
    .map(({ pid }) => pid);
}

function encodedIn(id: NodeId): string {
  return `NODE_NAME_FOR_TEST=${encodeId("node", id)}`;
}
