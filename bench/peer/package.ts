/** Packages of npm's that only a bench needs: fetched once, exactly this version, into a folder of their own beside the machine's temporary files. */
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { reachableTmp } from "../../test/support/postgres-programs.ts";

/** The last that run on Node.js 20. */
export const peerVersions = { "graphile-worker": "0.17.3", "pg-boss": "10.4.2" } as const;
export type PeerName = keyof typeof peerVersions;

/** The folder whose node_modules hold the package. Made once per user, atomically, and shared by all runs. */
export function fetchedPackage(name: PeerName): string {
  const user = process.getuid?.() ?? 0;
  const target = join(reachableTmp(), `muster-bench-${name}-${peerVersions[name]}-${user}`);
  if (existsSync(target)) {
    if (lstatSync(target).uid !== user) throw new Error(`${target} belongs to somebody else; remove it`);
    return target;
  }
  const making = mkdtempSync(`${target}-`);
  try {
    const quiet = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
    execFileSync("npm", ["install", "--prefix", making, ...quiet, `${name}@${peerVersions[name]}`], { stdio: ["ignore", "ignore", "inherit"] });
    renameSync(making, target);
  } catch (error) {
    // Another run may have been faster.
    if (!existsSync(target)) throw error;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return target;
}
