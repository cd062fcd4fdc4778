/**
 * Programs of Debian's packages for tests, without being root and without installing anything: packages and what they need beyond this machine's are
 * fetched with apt into a folder of our own and unpacked there. What stands on the PATH is used as it is.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { reachableTmp } from "./postgres-programs.ts";

export interface DebianProgram {
  readonly path: string;
  /** What it must be started with, to find its libraries. */
  readonly environment: Readonly<Record<string, string>>;
}

/** @throws Error where the program is not on the PATH and the package cannot be fetched: a test that needs it cannot pass */
export function debianProgram(name: string, packageName = name): DebianProgram {
  const places = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  const installed = places.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (installed !== undefined) return { path: installed, environment: {} };
  const folder = unpackedPackage(packageName);
  const path = ["usr/sbin", "usr/bin", "sbin", "bin"].map((place) => join(folder, place, name)).find((candidate) => existsSync(candidate));
  if (path === undefined) throw new Error(`Debian's package ${packageName} brings no program ${name}`);
  const libraries = join(folder, "usr/lib");
  const machines = readdirSync(libraries).filter((entry) => entry.endsWith("-linux-gnu"));
  return { path, environment: { LD_LIBRARY_PATH: machines.map((machine) => join(libraries, machine)).join(":") } };
}

/** Made once per user, atomically, and shared by all runs. */
function unpackedPackage(packageName: string): string {
  const target = join(reachableTmp(), `muster-test-debian-${packageName}-${process.getuid?.() ?? 0}`);
  if (existsSync(target)) return target;
  const making = mkdtempSync(`${target}-`);
  try {
    const archives = fetchPackage(packageName, making);
    const tree = join(making, "tree");
    for (const archive of archives) execFileSync("dpkg", ["-x", archive, tree], { stdio: "pipe" });
    renameSync(tree, target);
  } catch (error) {
    // Another run may have been faster.
    if (!existsSync(target)) throw error;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return target;
}

/** Downloads a package and those it needs that are not installed here. @returns the archives */
function fetchPackage(packageName: string, folder: string): string[] {
  for (const place of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(folder, place), { recursive: true });
  const options = [
    `Dir::State::Lists=${folder}/lists`,
    `Dir::Cache=${folder}/cache`,
    // Locks of the system's are not ours to take: nothing of it is changed.
    "Debug::NoLocking=1",
    // Root's apt would otherwise download as a user that cannot write here.
    "APT::Sandbox::User=",
    "Acquire::Retries=3",
  ].flatMap((option) => ["-o", option]);
  const apt = (...args: readonly string[]): void => {
    execFileSync("apt-get", ["-qq", ...options, ...args], { stdio: "pipe", env: { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" } });
  };
  apt("update");
  apt("install", "--yes", "--download-only", "--no-install-recommends", packageName);
  const archives = join(folder, "cache/archives");
  return readdirSync(archives).flatMap((file) => (file.endsWith(".deb") ? [join(archives, file)] : []));
}
