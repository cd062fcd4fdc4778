/** Keeps one part alive: starts it, hands it its settings over a pipe, starts it again at once when it dies, and ends it when told to. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Logger, Timers } from "../core/runtime.ts";
import { Complaint } from "./complaint.ts";
import { isNotice, type Order, type PartSettings } from "./part.ts";

export interface KeeperOptions {
  /** Asked for at each start: addresses may have changed. */
  readonly settings: () => PartSettings;
  readonly environment: Readonly<Record<string, string>>;
  /** What it prints apart from its log: a descriptor, or ours. */
  readonly output: number | "inherit";
  readonly timers: Timers;
  readonly logger: Logger;
  readonly onReady?: (url: string | null) => void;
}

export interface Keeper {
  /** Resolves when it is ready for the first time. @throws Complaint, where it will never be */
  readonly ready: Promise<void>;
  /** Ends the present process; a new one with new settings follows. */
  restart(): void;
  /** Ends it in order, and kills what does not end. */
  stop(): Promise<void>;
  /** Kills it. */
  hurry(): void;
}

/** A part that lived so long may be started again at once, however often, ms. */
const steadyMs = 10_000;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
/** How long a part may take to end in order, ms. */
const farewellMs = 10_000;

/** A part that was never ready is given up after so many deaths: it is broken, and somebody waits. */
const deathsAtStart = 4;

interface End {
  readonly how: string;
  readonly complaint: string | null;
  readonly final: boolean;
  readonly livedMs: number;
}

export function keepPart(options: KeeperOptions): Keeper {
  const { timers, logger } = options;
  const stopping = new AbortController();
  let child: ChildProcess | null = null;
  let everReady = false;
  let settle: { resolve: () => void; reject: (error: Error) => void } = { resolve: () => undefined, reject: () => undefined };
  const ready = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Who never asks must not crash; who asks gets the rejection all the same.
  ready.catch(() => undefined);

  const live = (): Promise<End> => {
    const bornMs = performance.now();
    const settings = options.settings();
    const process = launch(options);
    child = process;
    let complaint: string | null = null;
    let final = false;
    process.on("message", (message) => {
      if (!isNotice(message)) return;
      if (message.notice === "failed") {
        complaint = message.sentence;
        final = message.final;
      } else {
        everReady = true;
        options.onReady?.(message.url);
        settle.resolve();
      }
    });
    order(process, { order: "begin", settings });
    return new Promise((resolve) => {
      const end = (how: string): void => resolve({ how, complaint, final, livedMs: performance.now() - bornMs });
      process.on("error", (error) => end(error.message));
      process.on("exit", (code, signal) => end(code === null ? `ended by ${signal}` : `exited with ${code}`));
    });
  };

  const keep = async (): Promise<void> => {
    let pauseMs = 0;
    let deaths = 0;
    while (!stopping.signal.aborted) {
      const end = await live();
      child = null;
      if (stopping.signal.aborted) return;
      const { name } = options.settings();
      deaths++;
      if (!everReady && end.final) return settle.reject(new Complaint(end.complaint ?? end.how));
      if (!everReady && deaths >= deathsAtStart)
        return settle.reject(new Complaint(`The ${name} does not start: ${end.complaint ?? end.how}. Its log says more.`));
      pauseMs = end.livedMs >= steadyMs ? 0 : pauseMs;
      logger.warn({ part: name, how: end.how, why: end.complaint, againInMs: pauseMs }, `The ${name} died; it is started again`);
      await timers.wait(pauseMs, stopping.signal);
      pauseMs = Math.min(longestPauseMs, Math.max(firstPauseMs, pauseMs * 2));
    }
  };
  const kept = keep();
  return {
    ready,
    restart: () => order(child, { order: "stop" }),
    hurry: () => child?.kill("SIGKILL"),
    stop: async () => {
      stopping.abort();
      order(child, { order: "stop" });
      const patience = new AbortController();
      void timers.wait(farewellMs, patience.signal).then(() => (patience.signal.aborted ? undefined : child?.kill("SIGKILL")));
      await kept;
      patience.abort();
      settle.reject(new Complaint("It was stopped before it was ready."));
    },
  };
}

function launch({ environment, output }: KeeperOptions): ChildProcess {
  return fork(fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./muster.ts" : "./muster.js", import.meta.url)), ["part"], {
    env: { ...environment },
    stdio: ["ignore", output, output, "ipc"],
    serialization: "advanced",
  });
}

function order(child: ChildProcess | null, message: Order): void {
  if (child?.connected !== true) return;
  // It may die this very moment: its end is seen anyway.
  child.send(message, () => undefined);
}
