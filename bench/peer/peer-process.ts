/** Starts a peer's process and asks it. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { PeerName } from "./package.ts";

export interface PeerProcess {
  ask<T>(command: string, settings?: Readonly<Record<string, unknown>>): Promise<T>;
  /** Called with a job's number when it begins, if it is held. */
  onStarted(call: (job: number) => void): void;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

interface Message {
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: string;
  readonly started?: number;
}

/** @param folder that holds the package */
export function startPeer(name: PeerName, folder: string, url: string): PeerProcess {
  const script = fileURLToPath(new URL(`./${name}.mjs`, import.meta.url));
  const child: ChildProcess = fork(script, [folder, url], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const open = new Map<number, (message: Message) => void>();
  let asked = 0;
  let hear = (_job: number): void => undefined;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void exited.then(() => {
    for (const end of open.values()) end({ error: `${name} has ended` });
  });
  child.on("message", (message: Message) => {
    if (message.started !== undefined) hear(message.started);
    if (message.id !== undefined) open.get(message.id)?.(message);
  });
  return {
    ask: <T>(command: string, settings: Readonly<Record<string, unknown>> = {}) =>
      new Promise<T>((resolve, reject) => {
        const id = ++asked;
        open.set(id, ({ value, error }) => {
          open.delete(id);
          if (error !== undefined) reject(new Error(error));
          else resolve(value as T);
        });
        child.send({ id, command, ...settings });
      }),
    onStarted: (call) => {
      hear = call;
    },
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
