/**
 * A PostgreSQL server of a test run's own: real, with fsync off, on a free port of 127.0.0.1, gone when the process that started it is gone,
 * however it ends. Tests that kill, stop or restore a server start one for themselves.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { type ProgramUser, postgresPrograms, programUser, reachableTmp } from "./postgres-programs.ts";

export interface TestPostgres {
  readonly port: number;
  /** Holds data/, log and password. */
  readonly folder: string;
  /** Connects as the superuser `postgres`. */
  url(database: string): string;
  /** The postmaster's pid. */
  pid(): number;
  /** Starts it again after `signal("SIGKILL")` or `signal("SIGINT")`, on the same port. */
  start(): Promise<void>;
  /** Signals the postmaster and waits until it is gone (SIGINT: fast, SIGQUIT: immediate stop, SIGKILL). */
  signal(signal: "SIGINT" | "SIGQUIT" | "SIGKILL"): Promise<void>;
  /** Ends it and removes its folder; `keep` leaves the folder. */
  stop(options?: { keep?: boolean }): Promise<void>;
}

/** Runs the server as its child, and ends it, and removes the folder unless told otherwise, as soon as nobody holds stdin open any more. */
const keeper = `
  "$1" -D "$2/data" > "$2/log" 2>&1 < /dev/null &
  postgres=$!
  echo $postgres
  cat > /dev/null
  kill -QUIT $postgres 2> /dev/null
  wait $postgres
  [ -e "$2/keep" ] || rm -rf "$2"`;

const settings = {
  fsync: "off",
  full_page_writes: "off",
  max_connections: "400",
  shared_buffers: "128MB",
  max_wal_size: "2GB",
  checkpoint_timeout: "30min",
  autovacuum_naptime: "5s",
  unix_socket_directories: "",
  listen_addresses: "127.0.0.1",
  password_encryption: "md5",
  log_min_messages: "warning",
  timezone: "UTC",
  max_prepared_transactions: "8",
} as const;

/** Not known to older versions. */
const settingsOf18 = { md5_password_warnings: "off" } as const;

export async function startPostgres(extra: Readonly<Record<string, string>> = {}, programs = postgresPrograms()): Promise<TestPostgres> {
  const user = programUser();
  const folder = mkdtempSync(join(reachableTmp(), "muster-test-"));
  if (process.getuid?.() === 0) chownSync(folder, user.uid, user.gid);
  const password = randomBytes(12).toString("hex");
  writeFileSync(join(folder, "password"), password, { mode: 0o644 });
  const data = join(folder, "data");
  await promisify(execFile)(
    join(programs, "bin/initdb"),
    [
      "-D",
      data,
      "-U",
      "postgres",
      "--auth=password",
      `--pwfile=${join(folder, "password")}`,
      "-E",
      "UTF8",
      "--locale=C",
      "--no-sync",
      "--no-instructions",
    ],
    { ...asUser(user), env: { PATH: process.env["PATH"] }, cwd: folder },
  );
  const port = await freePort();
  const major = Number(readFileSync(join(data, "PG_VERSION"), "utf8"));
  const lines = Object.entries({ ...settings, ...(major >= 18 ? settingsOf18 : {}), port: String(port), ...extra }).map(
    ([name, value]) => `${name} = '${value}'`,
  );
  writeFileSync(join(data, "postgresql.auto.conf"), `${lines.join("\n")}\n`, { flag: "a" });

  return serve(programs, folder, user);
}

/** Starts the server in a folder that a failed run left. */
export function reopenPostgres(folder: string): Promise<TestPostgres> {
  return serve(postgresPrograms(), folder, programUser());
}

async function serve(programs: string, folder: string, user: ProgramUser): Promise<TestPostgres> {
  const data = join(folder, "data");
  const password = readFileSync(join(folder, "password"), "utf8");
  let running = await keep(programs, folder, user);
  const gone = async (): Promise<void> => {
    if (running.exitCode !== null || running.signalCode !== null) return;
    running.ref();
    const closed = new Promise((resolve) => running.once("exit", resolve));
    running.stdin?.end();
    await closed;
  };
  const [pidLine, , , portLine] = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
  const port = Number(portLine);
  let pid = Number(pidLine);
  return {
    port,
    folder,
    url: (database) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`,
    pid: () => pid,
    start: async () => {
      running = await keep(programs, folder, user);
      pid = Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0]);
    },
    signal: async (signal) => {
      writeFileSync(join(folder, "keep"), "");
      process.kill(pid, signal);
      await gone();
      // Its backends find out by themselves that it is gone, and until then no other can start there. They give no signal.
      while (isAtHome(data)) await new Promise((resolve) => setTimeout(resolve, 5));
      rmSync(join(folder, "keep"));
    },
    stop: async ({ keep: kept = false } = {}) => {
      if (kept) writeFileSync(join(folder, "keep"), "");
      await gone();
      if (!kept && existsSync(folder)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Starts the keeper and returns once the server accepts connections. */
async function keep(programs: string, folder: string, user: ProgramUser): Promise<ChildProcess> {
  const child = spawn("/bin/sh", ["-c", keeper, "sh", join(programs, "bin/postgres"), folder], {
    ...asUser(user),
    // A group of its own: Ctrl-C in a terminal reaches the run, which then lets go of it.
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
    cwd: folder,
    env: { PATH: process.env["PATH"] },
  });
  const pid = Number(await new Promise((resolve) => child.stdout.once("data", (data) => resolve(String(data).trim()))));
  const ready = (): boolean => {
    const file = join(folder, "data/postmaster.pid");
    if (!existsSync(file)) return false;
    // A server that was killed left its own.
    const lines = readFileSync(file, "utf8").split("\n");
    return lines[0] === String(pid) && lines[7]?.trim() === "ready";
  };
  while (!ready()) {
    if (!isAlive(pid)) {
      const log = readFileSync(join(folder, "log"), "utf8").slice(-2_000);
      child.stdin.end();
      throw new Error(`PostgreSQL did not start: ${log}`);
    }
    // Its pid file is the only signal it gives.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  child.unref();
  return child;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Whether anybody works in the folder. */
function isAtHome(folder: string): boolean {
  return readdirSync("/proc").some((entry) => {
    try {
      return /^\d+$/.test(entry) && readlinkSync(`/proc/${entry}/cwd`) === folder;
    } catch {
      // It ended meanwhile, or is somebody else's.
      return false;
    }
  });
}

function asUser(user: ProgramUser): Partial<ProgramUser> {
  return process.getuid?.() === 0 ? user : {};
}

/** A port that nobody listens on just now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address !== null && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}
