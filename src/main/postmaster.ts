/** One PostgreSQL server process: found by its pid file, started detached (Ctrl-C in a terminal is not for it), stopped in order. */
import { execFile, spawn } from "node:child_process";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Timers } from "../core/runtime.ts";
import { Complaint, sentenceOf } from "./complaint.ts";
import type { Place } from "./postgres-place.ts";
import type { Programs } from "./postgres-programs.ts";
import { spawnAs } from "./postgres-user.ts";
import { readIfThere } from "./private-file.ts";
import { startTimeOf } from "./process-identity.ts";

export interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

export interface ServerOptions {
  readonly port: number;
  /** At most. */
  readonly connections: number;
}

/** The pid file is the only signal a starting server gives; looking at it costs nothing, ms. */
const lookMs = 15;
const logLimitBytes = 10 * 1024 * 1024;

export function dataOf(place: Pick<Place, "folder">): string {
  return join(place.folder, "data");
}

export function logOf(place: Pick<Place, "folder">): string {
  return join(place.folder, "log");
}

/** Makes the data directory, whole or not at all. */
export async function initialize(place: Place, programs: Programs): Promise<void> {
  if (existsSync(join(dataOf(place), "PG_VERSION"))) return;
  const draft = join(place.folder, "data.new");
  const passwordFile = join(place.folder, "initial-password");
  rmSync(draft, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  writeFileSync(passwordFile, place.password, { mode: 0o600, flag: "wx" });
  if (place.user !== null) chownSync(passwordFile, place.user.uid, place.user.gid);
  try {
    await promisify(execFile)(
      join(programs.folder, "bin", "initdb"),
      ["-D", draft, "-U", "postgres", "--auth=scram-sha-256", `--pwfile=${passwordFile}`, "-E", "UTF8", "--locale=C", "--no-instructions"],
      { ...spawnAs(place.user), cwd: place.folder, env: postgresEnvironment },
    );
    renameSync(draft, dataOf(place));
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : sentenceOf(error);
    throw new Complaint(`PostgreSQL's data could not be made in ${dataOf(place)}: ${said}`);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

const postgresEnvironment = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

/** The server that runs on this data directory, or null. A pid file that names some other process is out of the way afterwards. */
export function findPostmaster(place: Pick<Place, "folder">): (Postmaster & { readonly ready: boolean }) | null {
  const file = join(dataOf(place), "postmaster.pid");
  const lines = readIfThere(file)?.split("\n");
  const pid = Number(lines?.[0]);
  if (lines === undefined || !Number.isInteger(pid) || pid <= 0) return null;
  if (startTimeOf(pid) === null) return null;
  if (!isPostmasterOf(pid, dataOf(place))) {
    // A number that was used again, after a reboot for instance: PostgreSQL would refuse to start for as long as that process runs.
    rmSync(file, { force: true });
    return null;
  }
  return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === "ready" };
}

function isPostmasterOf(pid: number, data: string): boolean {
  if (process.platform !== "linux") return true;
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(data);
  } catch {
    // Gone meanwhile, or somebody else's process: in neither case our server, which we may always look at.
    return false;
  }
}

/**
 * Starts the server and returns once it accepts connections; crash recovery takes as long as it takes.
 * @throws ServerRefused with what it said when it ended instead
 */
export async function startPostmaster(place: Place, programs: Programs, options: ServerOptions, timers: Timers): Promise<Postmaster> {
  const log = openLog(place);
  const offset = statSync(logOf(place)).size;
  const child = spawn(join(programs.folder, "bin", "postgres"), ["-D", dataOf(place), ...serverArguments(options)], {
    ...spawnAs(place.user),
    detached: true,
    stdio: ["ignore", log, log],
    cwd: place.folder,
    env: postgresEnvironment,
  });
  closeSync(log);
  let ended: string | null = null;
  child.on("error", (error) => {
    ended = sentenceOf(error);
  });
  child.on("exit", (code, signal) => {
    ended ??= code === null ? `it was ended by ${signal}` : `it exited with ${code}`;
  });
  child.unref();
  for (;;) {
    const found = findPostmaster(place);
    if (found?.ready === true && found.pid === child.pid) return found;
    if (ended !== null) throw new ServerRefused(lastLines(readFileSync(logOf(place)).subarray(offset).toString("utf8")) || ended);
    await timers.wait(lookMs);
  }
}

/** The server ended while it started; the message is what it said. */
export class ServerRefused extends Error {
  override readonly name = "ServerRefused";
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-6).join("\n");
}

function openLog(place: Place): number {
  const file = logOf(place);
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > logLimitBytes) renameSync(file, `${file}.1`);
  mkdirSync(place.folder, { recursive: true });
  return openSync(file, "a", 0o600);
}

/** Settings travel as arguments, so that a newer Muster brings newer ones to old data. Durability is never traded away. */
function serverArguments({ port, connections }: ServerOptions): string[] {
  const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  const sharedMb = Math.max(128, Math.min(1024, Math.floor(memory / 16 / 1024 / 1024)));
  const values: Readonly<Record<string, string>> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    // No socket file: its path may be too long, and who may enter its folder differs from place to place.
    unix_socket_directories: "",
    max_connections: String(connections),
    shared_buffers: `${sharedMb}MB`,
    fsync: "on",
    synchronous_commit: "on",
    wal_compression: "on",
    max_wal_size: "2GB",
    checkpoint_timeout: "10min",
    random_page_cost: "1.1",
    jit: "off",
    autovacuum_naptime: "10s",
    track_io_timing: "on",
    log_min_messages: "warning",
    log_line_prefix: "%m [%p] %a ",
    timezone: "UTC",
    log_timezone: "UTC",
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** How long each way of stopping is given, ms: a fast shutdown writes a checkpoint. */
const stopSteps = [
  ["SIGINT", 20_000],
  ["SIGQUIT", 5_000],
  ["SIGKILL", 5_000],
] as const;

/** Stops the server and returns once it is gone. `hurry`: without a checkpoint, for data that is thrown away. */
export async function stopPostmaster(place: Pick<Place, "folder">, timers: Timers, hurry: boolean): Promise<void> {
  const running = findPostmaster(place);
  if (running === null) return;
  const startedAt = startTimeOf(running.pid);
  const gone = (): boolean => startedAt === null || startTimeOf(running.pid) !== startedAt;
  for (const [signal, patienceMs] of hurry ? stopSteps.slice(1) : stopSteps) {
    if (gone()) return;
    process.kill(running.pid, signal);
    const deadline = performance.now() + patienceMs;
    while (!gone() && performance.now() < deadline) await timers.wait(lookMs);
  }
  if (!gone()) throw new Complaint(`PostgreSQL (process ${running.pid}) does not end.`);
}
