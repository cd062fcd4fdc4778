/**
 * Everything that must hold before a change is taken in: types, lint, conventions, import arrows, dead code, printed files, tests, also those against
 * servers that they fetch. Runs all of it, also
 * after a failure, and ends with a line `N passed, N failed` (tests, and one for each of the other checks).
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const checks = ["types", "lint", "conventions", "arrows", "dead", "schema:check", "schema:breaking"] as const;

function npmRun(script: string, args: readonly string[] = []): boolean {
  console.log(`\n── ${script}`);
  const started = performance.now();
  const { status } = spawnSync("npm", ["run", "--silent", script, "--", ...args], { stdio: ["ignore", "inherit", "inherit"] });
  console.log(`── ${script}: ${status === 0 ? "ok" : "FAILED"} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  return status === 0;
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
}

function runTests(script: string): { passed: number; failed: number } {
  const folder = mkdtempSync(join(tmpdir(), "muster-check-"));
  const file = join(folder, "report.json");
  const ok = npmRun(script, ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`]);
  try {
    const report: Report = JSON.parse(readFileSync(file, "utf8"));
    // A file that could not even be loaded has no failed test, and an error outside of every test fails only the run.
    const failed = report.numFailedTests > 0 || ok ? report.numFailedTests : Math.max(1, report.numFailedTestSuites);
    return { passed: report.numPassedTests, failed };
  } catch {
    return { passed: 0, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const results = checks.map((check) => ({ check, ok: npmRun(check) }));
const runs = ["test", "test:services"].map((script) => ({ script, ...runTests(script) }));
const failedChecks = results.filter((result) => !result.ok);
const failedParts = [...failedChecks.map(({ check }) => check), ...runs.flatMap(({ script, failed }) => (failed > 0 ? [script] : []))];
if (failedParts.length > 0) console.log(`\nfailed: ${failedParts.join(", ")}`);
const count = (of: "passed" | "failed"): number => runs.reduce((sum, run) => sum + run[of], 0);
const failed = count("failed") + failedChecks.length;
console.log(`\n${count("passed") + results.length - failedChecks.length} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
