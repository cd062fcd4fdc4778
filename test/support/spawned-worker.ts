/** Starts `worker-process.ts`, and stops, freezes and kills it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { WorkerProcessSettings } from "./worker-process.ts";

export interface SpawnedWorker {
  readonly name: string;
  readonly pid: number;
  output(): string;
  /** Resolves when it is gone, however that came. */
  readonly exited: Promise<void>;
  /** SIGKILL: as if the machine had stopped; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: alive, and does nothing. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** In order. */
  stop(): Promise<void>;
}

const program = fileURLToPath(new URL("./worker-process.ts", import.meta.url));

export async function spawnWorker(settings: WorkerProcessSettings): Promise<SpawnedWorker> {
  const child = spawn(process.execPath, ["--import", "tsx", program, JSON.stringify(settings)], { stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      output += chunk.toString("utf8");
      if (/^ready$/m.test(output)) resolve();
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("exit", () => reject(new Error(`worker ${settings.name} did not start:\n${output}`)));
  });
  return {
    name: settings.name,
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
    freeze: () => {
      child.kill("SIGSTOP");
    },
    thaw: () => {
      child.kill("SIGCONT");
    },
    stop: async () => {
      child.kill("SIGCONT");
      child.stdin.end();
      await exited;
    },
  };
}
