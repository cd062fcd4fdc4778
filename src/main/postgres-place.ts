/**
 * Where the embedded PostgreSQL keeps its data, and what is remembered about it in $MUSTER_DATA/postgres.json: place, port, password.
 * Its user must be able to reach the place; where $MUSTER_DATA is closed to that user, it is a folder below /var/lib/muster.
 */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Complaint, sentenceOf } from "./complaint.ts";
import { postgresUser, type RunAs, spawnAs } from "./postgres-user.ts";
import { readIfThere, writePrivate } from "./private-file.ts";

/** What root's PostgreSQL falls back to. */
const commonFolder = "/var/lib/muster";

const stateShape = z.object({
  folder: z.string(),
  /** Of the roles `postgres` and `muster`, both known to this server only. */
  password: z.string(),
  port: z.number(),
});
export type PostgresState = z.infer<typeof stateShape>;

export interface Place {
  /** Holds data/ and log. */
  readonly folder: string;
  readonly user: RunAs | null;
  readonly password: string;
  /** The port of the last start; 0: there was none. */
  readonly port: number;
  /** Where copies of the programs may stand. */
  readonly copies: string;
}

export function stateFile(data: string): string {
  return join(data, "postgres.json");
}

/** What is remembered of the server of this data folder, or null. @throws Complaint for a damaged file */
export function readState(data: string): PostgresState | null {
  const text = readIfThere(stateFile(data));
  if (text === null) return null;
  try {
    return stateShape.parse(JSON.parse(text));
  } catch {
    throw new Complaint(`${stateFile(data)} is damaged. Restore it: it says where the database is, and holds its password.`);
  }
}

export function rememberPort(data: string, port: number): void {
  const state = readState(data);
  if (state !== null && state.port !== port) writePrivate(stateFile(data), `${JSON.stringify({ ...state, port })}\n`);
}

/** Finds the place, or chooses and remembers one. @throws Complaint */
export function findPlace(data: string): Place {
  const near = join(data, "postgres");
  const state = readState(data);
  if (state !== null) {
    const user = postgresUser(join(state.folder, "data"));
    if (user !== null && !prepare(state.folder, user))
      throw new Complaint(`The database is in ${state.folder}, which the user with the number ${user.uid} cannot reach any more.`);
    return { ...state, user, copies: copiesFor(data, user) };
  }
  if (existsSync(join(near, "data"))) {
    throw new Complaint(
      `There is a database in ${near}, but ${stateFile(data)}, which holds its password, is gone. Restore it, or move ${near} away to begin anew.`,
    );
  }
  const user = postgresUser(join(near, "data"));
  const folder = prepare(near, user) ? near : farPlace(data, user);
  const fresh: PostgresState = { folder, password: randomBytes(24).toString("hex"), port: 0 };
  writePrivate(stateFile(data), `${JSON.stringify(fresh)}\n`);
  return { ...fresh, user, copies: copiesFor(data, user) };
}

function copiesFor(data: string, user: RunAs | null): string {
  return user === null ? join(data, "postgres") : commonFolder;
}

/** Named after the data folder, so that people find it, and by chance, so that a folder made anew never meets an old database. */
function farPlace(data: string, user: RunAs | null): string {
  const folder = join(commonFolder, `${farPrefix(data)}${randomBytes(4).toString("hex")}`);
  try {
    mkdirSync(commonFolder, { recursive: true, mode: 0o755 });
    if (prepare(folder, user)) {
      writeFileSync(join(folder, "belongs-to"), `${realpathSync(data)}\n`);
      return folder;
    }
  } catch (error) {
    throw new Complaint(
      `${data} cannot be reached by PostgreSQL's user, and ${folder} cannot be made: ${sentenceOf(error)}. Choose another MUSTER_DATA, or set DATABASE_URL.`,
    );
  }
  throw new Complaint(
    `PostgreSQL runs as the user with the number ${user?.uid ?? -1}, who can reach neither ${data} nor ${folder}. Choose another MUSTER_DATA, or set DATABASE_URL.`,
  );
}

/** Makes the folder the user's own. False: the user does not get there, or cannot write. */
function prepare(folder: string, user: RunAs | null): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (user === null) return true;
  chownSync(folder, user.uid, user.gid);
  chmodSync(folder, 0o700);
  // Asking the system beats reading mode bits: access lists, mounts and namespaces have their say too.
  const trial = spawnSync("/bin/sh", ["-c", 'cd -- "$1" && : > .trial && rm .trial', "sh", folder], {
    ...spawnAs(user),
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    stdio: "ignore",
  });
  return trial.status === 0;
}

function farPrefix(data: string): string {
  return `${createHash("sha256").update(realpathSync(data)).digest("hex").slice(0, 12)}-`;
}

/** All places below /var/lib/muster that were ever made for this data folder, also such as nothing remembers any more. */
export function farPlaces(data: string): string[] {
  if (!existsSync(commonFolder)) return [];
  return readdirSync(commonFolder)
    .filter((name) => name.startsWith(farPrefix(data)))
    .map((name) => join(commonFolder, name));
}
