/** Once per version (the project's name): that PostgreSQL, fetched from npm into a folder of its own, serves the tests as the usual one serves the others. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { provideServer } from "../support/global-setup.ts";
import { copiedPrograms, platformPackage, postgresPrograms } from "../support/postgres-programs.ts";
import { versions } from "./versions.ts";

export function setup(project: TestProject): Promise<() => Promise<void>> {
  const version = Object.entries(versions).find(([major]) => project.name === `postgres ${major}`)?.[1];
  if (version === undefined) throw new Error(`there is no PostgreSQL for the project ${project.name}`);
  return provideServer(project, programsOf(version));
}

function programsOf(version: string): string {
  const copied = copiedPrograms(version);
  if (existsSync(copied)) return copied;
  const folder = mkdtempSync(join(tmpdir(), "muster-test-npm-"));
  try {
    const quiet = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
    execFileSync("npm", ["install", "--prefix", folder, ...quiet, `${platformPackage}@${version}`], { stdio: ["ignore", "ignore", "inherit"] });
    return postgresPrograms(join(folder, "node_modules", platformPackage));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
