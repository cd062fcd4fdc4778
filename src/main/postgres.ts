/**
 * The embedded PostgreSQL under its owner's eye: found and adopted, or started; started again when it dies; stopped at the end.
 * The owner holds a connection with a session lock as long as it lives: its end is how the server's death is noticed, at once.
 */

import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Logger, Timers } from "../core/runtime.ts";
import { singletonSpace } from "../store/ledger.ts";
import { openSession, type Session } from "../store/session.ts";
import { Complaint, sentenceOf, systemCode } from "./complaint.ts";
import { findPlace, type Place, rememberPort } from "./postgres-place.ts";
import { findPrograms, type Programs } from "./postgres-programs.ts";
import { dataOf, findPostmaster, initialize, logOf, type Postmaster, ServerRefused, startPostmaster, stopPostmaster } from "./postmaster.ts";

export interface EmbeddedPostgres {
  /** As the ordinary role `muster`, in the database `muster`. */
  url(): string;
  /** How it came up: `adopted` is one that had outlived its owner. */
  readonly origin: "started" | "adopted";
  readonly pid: () => number;
  /** Ends the watch, and the server. `hurry`: without a checkpoint, for data that is thrown away. */
  stop(options?: { readonly hurry?: boolean }): Promise<void>;
}

export interface EmbeddedOptions {
  /** $MUSTER_DATA. */
  readonly data: string;
  /** 0: any. */
  readonly port: number;
  /** Connections at most. */
  readonly connections: number;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Called when it died and had to come back on another port: the address has changed. */
  readonly onMoved: () => void;
}

/** Of the owner's session lock, in `singletonSpace`. */
const ownerLock = 5;
/** Old backends hold the shared memory of a killed server until they notice, ms. */
const unclearMs = 10_000;
const retryMs = 200;
/** The longest pause between two tries to bring a dead server back, ms. */
const comebackMs = 5_000;

interface Up {
  readonly server: Postmaster;
  readonly session: Session;
  readonly adopted: boolean;
}

/** @throws Complaint */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { data, timers, logger } = options;
  const place = findPlace(data);
  const programs = findPrograms(place.user, place.copies);
  checkVersion(place, programs);
  await initialize(place, programs);
  const first = await bringUp(options, place, programs, place.port);
  let up = first;
  try {
    await ensureDatabase(first.session, place.password);
  } catch (error) {
    // Whoever starts us has nothing yet to stop us by.
    await first.session.close();
    await stopPostmaster(place, timers, false);
    throw new Complaint(`Muster's database cannot be made in ${dataOf(place)}: ${sentenceOf(error)}`, { cause: error });
  }
  let stopping = false;

  const watch = async (): Promise<void> => {
    while (!stopping) {
      const reason = await up.session.lost;
      if (stopping) return;
      logger.warn({ reason: reason.message }, "PostgreSQL went away; it is started again");
      const before = up.server.port;
      const again = await comeBack(before);
      if (again === null) return;
      up = again;
      logger.info({ postgresPid: up.server.pid, port: up.server.port }, "PostgreSQL is back");
      if (up.server.port !== before) options.onMoved();
    }
  };
  const comeBack = async (port: number): Promise<Up | null> => {
    for (let pauseMs = retryMs; !stopping; pauseMs = Math.min(comebackMs, pauseMs * 2)) {
      try {
        return await bringUp(options, place, programs, port);
      } catch (error) {
        logger.error({ reason: sentenceOf(error) }, "PostgreSQL does not come back yet");
        await timers.wait(pauseMs);
      }
    }
    return null;
  };
  const watching = watch();
  return {
    url: () => connectionUrl("muster", place.password, up.server.port, "muster"),
    origin: first.adopted ? "adopted" : "started",
    pid: () => up.server.pid,
    stop: async ({ hurry = false } = {}) => {
      stopping = true;
      await up.session.close();
      await watching;
      await stopPostmaster(place, timers, hurry);
    },
  };
}

function connectionUrl(role: string, password: string, port: number, database: string): string {
  return `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;
}

/** The address of the server that runs for this data folder, or null where none does. For commands beside a running Muster. */
export function runningEmbedded(state: { readonly folder: string; readonly password: string } | null): string | null {
  const server = state === null ? null : findPostmaster(state);
  return state === null || server?.ready !== true ? null : connectionUrl("muster", state.password, server.port, "muster");
}

async function bringUp(options: EmbeddedOptions, place: Place, programs: Programs, lastPort: number): Promise<Up> {
  const { data, timers, logger } = options;
  const running = findPostmaster(place);
  const server = running === null ? await startServer(options, place, programs, lastPort) : await untilReady(place, timers);
  rememberPort(data, server.port);
  const url = connectionUrl("postgres", place.password, server.port, "postgres");
  const session = await openSession({ url, applicationName: "muster start" }).catch(async (error: unknown) => {
    // What nobody holds would stay.
    if (running === null) await stopPostmaster(place, timers, false);
    throw error;
  });
  const deadline = performance.now() + unclearMs;
  // An owner that was just killed may leave its connection for a moment.
  while (!(await session.tryLock(singletonSpace, ownerLock))) {
    if (performance.now() > deadline) {
      await session.close();
      throw new Complaint(`The database of ${data} is in use by another muster start, on a machine or in a container that cannot be seen from here.`);
    }
    await timers.wait(retryMs);
  }
  if (running !== null) logger.info({ postgresPid: server.pid, port: server.port }, "Adopted the PostgreSQL that was still running");
  return { server, session, adopted: running !== null };
}

async function untilReady(place: Place, timers: Timers): Promise<Postmaster> {
  for (;;) {
    const found = findPostmaster(place);
    if (found === null) throw new Complaint(`PostgreSQL ended while it started; ${logOf(place)} says why.`);
    if (found.ready) return found;
    await timers.wait(retryMs);
  }
}

/** Starts it, and keeps trying for a while where it was killed before: its old backends may still be leaving. */
async function startServer(options: EmbeddedOptions, place: Place, programs: Programs, lastPort: number): Promise<Postmaster> {
  const wasKilled = existsSync(join(dataOf(place), "postmaster.pid"));
  const deadline = performance.now() + (wasKilled ? unclearMs : 0);
  for (;;) {
    const port = await choosePort(options.port, lastPort);
    try {
      return await startPostmaster(place, programs, { port, connections: options.connections }, options.timers);
    } catch (error) {
      if (!(error instanceof ServerRefused)) throw error;
      if (performance.now() > deadline) throw new Complaint(`PostgreSQL does not start on ${dataOf(place)}:\n${error.message}`, { cause: error });
      await options.timers.wait(retryMs);
    }
  }
}

/** The asked-for port, or the last one, or any. @throws Complaint where the asked-for one is taken */
async function choosePort(wanted: number, last: number): Promise<number> {
  if (wanted !== 0) {
    const free = await tryPort(wanted);
    if (free === null) throw new Complaint(`Port ${wanted} (MUSTER_POSTGRES_PORT) is taken on 127.0.0.1. Choose another, or 0 for any free one.`);
    return free;
  }
  const found = (last === 0 ? null : await tryPort(last)) ?? (await tryPort(0));
  if (found === null) throw new Complaint("There is no free port on 127.0.0.1 for PostgreSQL.");
  return found;
}

function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error) => {
      const code = systemCode(error);
      if (code === "EADDRINUSE" || code === "EACCES") resolve(null);
      else reject(error);
    });
    probe.listen(port, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(address !== null && typeof address === "object" ? address.port : null));
    });
  });
}

/** Data of another major version is not touched: that takes pg_upgrade, and a person. */
function checkVersion(place: Place, programs: Programs): void {
  const file = join(dataOf(place), "PG_VERSION");
  if (!existsSync(file)) return;
  const version = readFileSync(file, "utf8").trim();
  if (version !== programs.major) {
    throw new Complaint(
      `${dataOf(place)} was made by PostgreSQL ${version}, and this Muster brings ${programs.major}. Dump it with the former version and load it into the new one, or set DATABASE_URL.`,
    );
  }
}

/** The role and the database that Muster works with: an ordinary role, as everywhere else. */
async function ensureDatabase(session: Session, password: string): Promise<void> {
  const roles = await session.query("/* embedded.role */ select from pg_roles where rolname = 'muster'");
  // Utility statements take no parameters; the password is hexadecimal and ours.
  if (roles.length === 0) await session.query(`/* embedded.role.create */ create role muster login password '${password}'`);
  const databases = await session.query("/* embedded.database */ select from pg_database where datname = 'muster'");
  if (databases.length === 0) await session.query("/* embedded.database.create */ create database muster owner muster");
}
