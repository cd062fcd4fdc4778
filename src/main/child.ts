/** A part's own side: begins when its supervisor says so, and ends when it says so or is gone. */
import { Complaint, sentenceOf } from "./complaint.ts";
import { createLogger } from "./logger.ts";
import { isOrder, type Notice, type PartSettings, type RunningPart } from "./part.ts";

/** How long a part may take to end in order once its supervisor is gone, ms. */
const orphanMs = 3_000;
/** The pipe's end tells it at once; this look is for a supervisor that died before the pipe stood, ms. */
const lookForParentMs = 1_000;

/** Loads only what the part is made of: a worker needs no GraphQL, and an API process no engine. */
export async function startPart(settings: PartSettings): Promise<RunningPart> {
  if (settings.kind === "api") return (await import("./api.ts")).startApi(settings);
  return (await import("./worker.ts")).startWorkerPart(settings);
}

/** Runs until told to end. The process ends with it. */
export function runAsChild(): void {
  if (process.send === undefined)
    throw new Complaint("This is a part of `muster start` and does not run by itself: use `muster api` or `muster worker`.");
  // A terminal's Ctrl-C reaches the whole group; in which order things end is the supervisor's to say.
  for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
  let running: Promise<RunningPart> | null = null;
  let ending = false;
  const end = (code: number): void => {
    if (ending) return;
    ending = true;
    // Not unref'd: it is what ends a part that does not end by itself.
    setTimeout(() => process.exit(code), orphanMs * 3);
    void stopAndExit(running, code);
  };
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end(0);
  }, lookForParentMs).unref();
  process.on("disconnect", () => {
    setTimeout(() => process.exit(0), orphanMs);
    end(0);
  });
  process.on("SIGTERM", () => end(0));
  process.on("message", (message) => {
    if (!isOrder(message)) return;
    if (message.order === "stop") return end(0);
    process.title = `muster ${message.settings.name}`;
    running = begin(message.settings);
  });
}

async function begin(settings: PartSettings): Promise<RunningPart> {
  const logger = createLogger({ level: settings.config.logLevel, process: settings.name, file: settings.logFile });
  try {
    const part = await startPart(settings);
    tell({ notice: "ready", url: part.url });
    return part;
  } catch (error) {
    if (!(error instanceof Complaint)) logger.error({ err: error, reason: sentenceOf(error) }, "Could not start");
    // What was opened half-way ends with the process; the message must have left it before.
    tell({ notice: "failed", sentence: sentenceOf(error), final: error instanceof Complaint }, () => process.exit(1));
    return new Promise(() => undefined);
  }
}

function tell(notice: Notice, onSent: () => void = () => undefined): void {
  // The supervisor may be gone this very moment: then `disconnect` says so.
  process.send?.(notice, undefined, undefined, onSent);
}

async function stopAndExit(running: Promise<RunningPart> | null, code: number): Promise<void> {
  try {
    await (await running)?.stop();
    process.exit(process.exitCode ?? code);
  } catch (error) {
    // Its log may be what failed.
    process.stderr.write(`muster: a part did not end in order: ${sentenceOf(error)}\n`);
    process.exit(1);
  }
}
