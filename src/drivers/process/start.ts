/** Making one member: ports, the shim, and the wait until it stands. Safe to be killed anywhere; the fence decides (`shim.ts`). */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { encodeId } from "../../core/ids.ts";
import type { CallContext, DriverNode, Made, NodeAddress } from "../driver.ts";
import { CallFailed } from "../outcome-stream.ts";
import { endedError, endingOf } from "./ending.ts";
import { hasOwnSession, isRunning, killRemains } from "./liveness.ts";
import { removeLog } from "./log.ts";
import { claimPorts, releasePorts } from "./port.ts";
import { type Fence, type MemberRecord, portsText } from "./record.ts";
import { marksOf } from "./redact.ts";
import { shimText } from "./shim.ts";
import { readProcessSpec } from "./spec.ts";
import { exitFile, isGone, nodeFolder, readExit, readFence, secretsFile } from "./state.ts";
import { removeFormerLives } from "./stop.ts";
import { findProgram, isFolder, standardPath } from "./tool.ts";
import { type ProcessWorld, type Rendered, render } from "./world.ts";

/** How often the folder is looked at while a member starts or ends, ms: far below what it takes to start anything. */
const glanceMs = 5;
/** How long the shim may take to write the exit code of a process that is gone, ms. */
const exitCodeMs = 2_000;

export async function startMember(world: ProcessWorld, node: DriverNode, context: CallContext, signal: AbortSignal): Promise<Made> {
  const before = await readFence(world.state, node.id, node.epoch);
  if (before !== null) return answerFor(world, node, before, signal);
  const spec = readProcessSpec(node.spec);
  await removeFormerLives(world, node, spec.stop, signal);
  checkCommand(world, render(world, node, spec, new Map(spec.ports.map((name) => [name, 1]))));
  const ports = await claimPorts(world.state, spec.ports, node);
  const rendered = render(world, node, spec, ports);
  const token = Buffer.from(world.entropy.bytes(12)).toString("hex");
  await prepareFolder(world, node, rendered);
  // Nothing has been started yet: whoever has lost the right to start something ends here.
  if (signal.aborted) {
    await releasePorts(world.state, ports.values());
    throw new CallFailed({ class: "transient", code: "ABORTED", message: "the call ended before the member was started" });
  }
  const ended = runShim(world, node, rendered, ports, token, context.deadlineMs);
  const fence = await fenceMade(world, node, ended, signal);
  if (fence === null) {
    const outcome = await Promise.race([ended, "still at it" as const]);
    // Where it may still make the fence its ports stay claimed; the caretaker finds out whose they are.
    if (outcome !== "still at it") await releasePorts(world.state, ports.values());
    throw outcome instanceof CallFailed
      ? outcome
      : new CallFailed({ class: "unknown", code: "NOT_STARTED", message: "the member was not started in time" });
  }
  const ours = fence.kind === "member" && fence.token === token;
  if (!ours) await releasePorts(world.state, ports.values());
  await standing(world, fence, signal);
  if (ours) await Promise.race([ended, world.timers.wait(world.settleMs, signal)]);
  return answerFor(world, node, fence, signal);
}

/** Waits until the member has become its command, or is gone: on a busy machine that takes a while, and only then its settling begins. */
async function standing(world: ProcessWorld, fence: Fence, signal: AbortSignal): Promise<void> {
  if (fence.kind === "closed") return;
  while (isRunning(fence, world.incarnation) && !hasOwnSession(fence) && !signal.aborted) await world.timers.wait(glanceMs, signal);
}

/** What is found under an epoch that has a fence: the running member, as made; or why there is none. */
async function answerFor(world: ProcessWorld, node: DriverNode, fence: Fence, signal: AbortSignal): Promise<Made> {
  if (fence.kind === "closed" || (await isGone(world.state, node.id, node.epoch))) {
    throw new CallFailed({ class: "transient", code: "EPOCH_CLOSED", message: "this life of the node is over", epochClosed: true });
  }
  if (isRunning(fence, world.incarnation)) return madeOf(world, fence);
  await exitSettled(world, node, fence, signal);
  throw new CallFailed(endedError(await endingOf(world.state, node.id, node.epoch)));
}

/** A process that is gone has left its code, or will have in a moment; what it left running is killed. */
export async function exitSettled(
  world: ProcessWorld,
  node: Pick<DriverNode, "id" | "epoch">,
  record: MemberRecord,
  signal: AbortSignal,
): Promise<void> {
  if (record.incarnation !== world.incarnation) return;
  const until = world.clock.monotonicMs() + exitCodeMs;
  while ((await readExit(world.state, node.id, node.epoch)) === null) {
    if (signal.aborted || world.clock.monotonicMs() > until) break;
    await world.timers.wait(glanceMs, signal);
  }
  await killRemains(record, world.incarnation, world.table);
}

export function madeOf(world: ProcessWorld, record: MemberRecord): Made {
  return {
    physicalId: String(record.pid),
    addresses: addressesOf(record.ports),
    placement: world.hostName === null ? null : { region: null, zone: null, host: world.hostName },
    // Exits are seen as they happen, and the rest is for probes.
    checkAfterMs: null,
  };
}

function addressesOf(ports: ReadonlyMap<string, number>): NodeAddress[] {
  return [...ports].map(([name, port]) => ({ name, host: "127.0.0.1", port }));
}

/** Mistakes that no attempt can mend are found before an epoch is used up. */
function checkCommand(world: ProcessWorld, rendered: Rendered): void {
  const program = rendered.command[0] ?? "";
  if (!isFolder(rendered.cwd)) throw new CallFailed({ class: "permanent", code: "CWD_NOT_FOUND", message: `there is no folder ${rendered.cwd}` });
  if (findProgram(program, rendered.environment["PATH"] ?? world.environment.PATH, rendered.cwd) === null) {
    throw new CallFailed({ class: "permanent", code: "COMMAND_NOT_FOUND", message: `there is no program ${program} that could be run` });
  }
}

async function prepareFolder(world: ProcessWorld, node: DriverNode, rendered: Rendered): Promise<void> {
  await mkdir(nodeFolder(world.state, node.id), { recursive: true, mode: 0o700 });
  // Of the lives before, the last one's output is kept.
  if (node.epoch > 2) await removeLog(world.state, node.id, node.epoch - 2);
  const salt = Buffer.from(world.entropy.bytes(16)).toString("base64url");
  await writeFile(secretsFile(world.state, node.id, node.epoch), JSON.stringify(marksOf(rendered.secrets, salt)), { mode: 0o600 });
}

/** Starts the shim. Resolves when it has ended, to why it could not even begin, if so; it outlives us without noticing. */
function runShim(
  world: ProcessWorld,
  node: DriverNode,
  rendered: Rendered,
  ports: ReadonlyMap<string, number>,
  token: string,
  deadlineMs: number,
): Promise<CallFailed | null> {
  const leftSeconds = Math.max(0, deadlineMs - world.clock.monotonicMs()) / 1_000;
  const text = shimText({
    folder: nodeFolder(world.state, node.id),
    exitFile: exitFile(world.state, node.id, node.epoch),
    epoch: node.epoch,
    token,
    latestUptime: uptimeSeconds() + leftSeconds,
    incarnation: world.incarnation,
    ports: portsText(ports),
    cwd: rendered.cwd,
    environment: rendered.environment,
    command: rendered.command,
    tools: world.tools,
  });
  return new Promise((resolve) => {
    // What stands in the arguments is what people see in `ps`.
    const shim = spawn(world.tools.sh, ["-s", "muster-member", encodeId("node", node.id), String(node.epoch)], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      env: { PATH: `${standardPath}:${world.environment.PATH}` },
      cwd: "/",
    });
    shim.on("error", (error) => resolve(new CallFailed({ class: "transient", code: "CANNOT_START", message: error.message })));
    shim.on("exit", () => resolve(null));
    // It may have stopped before it read everything; its end says so.
    shim.stdin.on("error", () => undefined);
    shim.stdin.end(text);
    shim.unref();
  });
}

/** The fence, once somebody has made it; null when the shim ended without, or the call did. */
async function fenceMade(world: ProcessWorld, node: DriverNode, ended: Promise<CallFailed | null>, signal: AbortSignal): Promise<Fence | null> {
  let over = false;
  const end = ended.then(() => {
    over = true;
  });
  for (;;) {
    const last = over || signal.aborted;
    const fence = await readFence(world.state, node.id, node.epoch);
    if (fence !== null || last) return fence;
    await Promise.race([end, world.timers.wait(glanceMs, signal)]);
  }
}

/** The clock that a shell can read too. */
function uptimeSeconds(): number {
  return Number.parseFloat(readFileSync("/proc/uptime", "utf8"));
}
