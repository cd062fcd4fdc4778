/** As whom the embedded PostgreSQL runs: it refuses to run as root, so root lends it an ordinary user. */
import { execFileSync, spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { Complaint } from "./complaint.ts";

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/** What to hand to `spawn`; empty where we run it as ourselves. */
export function spawnAs(user: RunAs | null): Partial<RunAs> {
  return user === null ? {} : { uid: user.uid, gid: user.gid };
}

/**
 * Null: as ourselves. As root: whom the data belongs to already; else the user `postgres`, else one made for the purpose, else `nobody`.
 * @param data the data directory, which need not be there yet
 */
export function postgresUser(data: string): RunAs | null {
  const owner = ownerOf(data);
  const self = process.getuid?.();
  if (self === undefined) throw new Complaint(`An embedded PostgreSQL is not to be had on ${process.platform}. Set DATABASE_URL.`);
  if (self !== 0) {
    if (owner !== null && owner.uid !== self) {
      throw new Complaint(
        `${data} belongs to the user with the number ${owner.uid}, and this is ${self}. Start Muster as that user or as root, or give it another MUSTER_DATA.`,
      );
    }
    return null;
  }
  if (owner !== null && owner.uid !== 0) return owner;
  const found = lookUp("postgres") ?? lookUp(ownName) ?? createUser() ?? lookUp("nobody");
  if (found === null)
    throw new Complaint("PostgreSQL does not run as root, and there is no other user. Make one called postgres, or set DATABASE_URL.");
  return found;
}

const ownName = "muster-postgres";

function ownerOf(path: string): RunAs | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : { uid: stat.uid, gid: stat.gid };
}

function lookUp(name: string): RunAs | null {
  try {
    const number = (flag: string): number => Number(execFileSync("id", [flag, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
    const user = { uid: number("-u"), gid: number("-g") };
    return user.uid > 0 ? user : null;
  } catch {
    // id ends with 1 for a name that nobody has.
    return null;
  }
}

function createUser(): RunAs | null {
  const made = spawnSync(
    "useradd",
    ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false", ownName],
    { stdio: "ignore" },
  );
  return made.status === 0 ? lookUp(ownName) : null;
}
