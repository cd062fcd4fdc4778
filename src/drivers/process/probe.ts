/** Command probes: run beside the member, in its folder, with its environment, and ended in time with all they started. */
import { spawn } from "node:child_process";
import { safeText } from "../../core/json.ts";
import type { DriverNode } from "../driver.ts";
import { exitText } from "./ending.ts";
import { send } from "./liveness.ts";
import { marksOf, redact } from "./redact.ts";
import { readProcessSpec } from "./spec.ts";
import { codeOf, readFence } from "./state.ts";
import { type ProcessWorld, render, renderCommand } from "./world.ts";

/** As much of a probe's output as anybody wants to read. */
const longestOutput = 1_000;

export interface ProbeResult {
  readonly ok: boolean;
  readonly message: string;
}

export async function runCommandProbe(world: ProcessWorld, node: DriverNode, command: readonly string[], timeoutMs: number): Promise<ProbeResult> {
  const fence = await readFence(world.state, node.id, node.epoch);
  if (fence?.kind !== "member") return { ok: false, message: "the member is not there" };
  const { environment, cwd, secrets } = render(world, node, readProcessSpec(node.spec), fence.ports);
  const [program, ...words] = renderCommand(node, command, fence.ports);
  if (program === undefined) return { ok: false, message: "the probe has no command" };
  const { ended, output } = await run(world, { program, words, environment, cwd }, timeoutMs);
  const marks = marksOf(secrets, "");
  const printed = output
    .split("\n")
    .map((line) => redact(line, marks))
    .join("\n")
    .trim();
  const message = printed === "" ? ended : `${ended}: ${printed}`;
  return { ok: ended === exitText(0), message: safeText(message, longestOutput) };
}

interface Run {
  readonly program: string;
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd: string;
}

function run(world: ProcessWorld, wanted: Run, timeoutMs: number): Promise<{ ended: string; output: string }> {
  return new Promise((resolve) => {
    const over = new AbortController();
    let output = "";
    const settle = (ended: string): void => {
      over.abort();
      resolve({ ended, output });
    };
    const child = spawn(wanted.program, wanted.words, {
      cwd: wanted.cwd,
      env: { ...wanted.environment },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const end = (): void => {
      if (child.pid !== undefined) send(-child.pid, "SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        // Room for a secret that the cut would otherwise split.
        if (output.length < longestOutput * 4) output += text;
      });
    }
    child.on("error", (error) => settle(`the probe could not be run (${codeOf(error) ?? "unknown"})`));
    child.on("exit", (code, signal) => {
      // What it printed is in the pipes by now; what it left running in the background is not waited for.
      setImmediate(() => {
        end();
        settle(code === null ? `ended by ${signal ?? "a signal"}` : exitText(code));
      });
    });
    void world.timers.wait(timeoutMs, over.signal).then(() => {
      if (over.signal.aborted) return;
      end();
      settle(`no answer within ${timeoutMs} ms`);
    });
  });
}
