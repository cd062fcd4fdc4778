/** Real `muster` processes for tests: started from dist/ (built when it is stale), watched, and ended with all that they started. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const program = join(root, "dist/src/main/muster.js");

export interface Muster {
  readonly pid: number;
  /** Everything it has said so far, both streams. */
  output(): string;
  /** Resolves with the first line that matches, said or still to be said; rejects when it ends before. */
  line(pattern: RegExp): Promise<RegExpExecArray>;
  /** Resolves when it has ended. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  kill(signal?: NodeJS.Signals): void;
}

export interface SpawnOptions {
  readonly args: readonly string[];
  /** Nothing of the test's own environment but PATH and HOME is handed on. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Runs as this user; takes root. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Another installation than this one's dist/. */
  readonly program?: string;
}

/** Processes that this test file started. */
const started = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of started) killGroup(child, "SIGKILL");
});

export function spawnMuster(options: SpawnOptions): Muster {
  buildOnce();
  const child = spawn(process.execPath, [options.program ?? program, ...options.args], {
    ...options.user,
    cwd: options.cwd ?? tmpdir(),
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"] ?? tmpdir(), ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that all of it can be ended.
    detached: true,
  });
  started.add(child);
  let output = "";
  let listeners: (() => void)[] = [];
  const say = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
    for (const listener of listeners) listener();
  };
  child.stdout.on("data", say);
  child.stderr.on("data", say);
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("close", (code, signal) => {
      started.delete(child);
      resolve({ code, signal });
    });
  });
  return {
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    kill: (signal = "SIGKILL") => {
      child.kill(signal);
    },
    line: (pattern) => {
      const lines = new RegExp(pattern.source, pattern.flags.includes("m") ? pattern.flags : `${pattern.flags}m`);
      const found = new Promise<RegExpExecArray>((resolve) => {
        const look = (): void => {
          const match = lines.exec(output);
          if (match === null) return;
          listeners = listeners.filter((listener) => listener !== look);
          resolve(match);
        };
        listeners.push(look);
        look();
      });
      const ended = exited.then(({ code, signal }) => {
        throw new Error(`muster ended (${code ?? signal}) before it said ${String(pattern)}:\n${output.slice(-4_000)}`);
      });
      return Promise.race([found, ended]);
    },
  };
}

/** Signals a process and its group. */
function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It is gone already.
  }
}

/** Builds dist/, where it is stale. */
export function builtRoot(): string {
  buildOnce();
  return root;
}

/** Builds dist/ unless it is newer than every source. One run at a time: others wait for its lock to go. */
function buildOnce(): void {
  if (isFresh()) return;
  const lock = join(root, "node_modules/.cache/muster-build.lock");
  mkdirSync(join(lock, ".."), { recursive: true });
  while (!take(lock)) sleepSync(100);
  try {
    if (isFresh()) return;
    const { status, stdout } = spawnSync("npm", ["run", "--silent", "build"], { cwd: root, encoding: "utf8" });
    // The compiler leaves the stamp alone where nothing of meaning has changed.
    utimesSync(join(root, "dist/.tsbuildinfo"), new Date(), new Date());
    if (!existsSync(program)) throw new Error(`the build failed (${status}): ${stdout.slice(-4_000)}`);
  } finally {
    rmSync(lock, { force: true });
  }
}

function take(lock: string): boolean {
  try {
    const file = openSync(lock, "wx");
    writeSync(file, String(process.pid));
    closeSync(file);
    return true;
  } catch {
    try {
      process.kill(Number(readFileSync(lock, "utf8")), 0);
    } catch {
      // Whoever took it is gone.
      rmSync(lock, { force: true });
    }
    return false;
  }
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function isFresh(): boolean {
  const stamp = join(root, "dist/.tsbuildinfo");
  if (!existsSync(program) || !existsSync(stamp)) return false;
  const builtAt = statSync(stamp).mtimeMs;
  return ["src", "migrations"].every((folder) => newest(join(root, folder)) <= builtAt);
}

function newest(folder: string): number {
  return Math.max(
    0,
    ...readdirSync(folder, { withFileTypes: true }).map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? newest(path) : statSync(path).mtimeMs;
    }),
  );
}
