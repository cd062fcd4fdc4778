/** Muster started by npm, which tells a signal of its own only to the shell it runs a script in. */
import { execFileSync } from "node:child_process";
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { clearFolder, runningIn, startFolder, until } from "../support/installation.ts";
import { builtRoot, spawnMuster } from "../support/spawn.ts";

const npm = realpathSync(execFileSync("sh", ["-c", "command -v npm"], { encoding: "utf8" }).trim());

/** A package whose start script is ours, so that all that it starts runs in the test's own folder. */
function writePackage(folder: string): void {
  const { scripts }: { scripts: { start: string } } = JSON.parse(readFileSync(join(builtRoot(), "package.json"), "utf8"));
  const start = scripts.start.replace("dist/src/main/muster.js", `"${join(builtRoot(), "dist/src/main/muster.js")}"`);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "started-by-npm", version: "0.0.0", scripts: { start } }));
}

// Building takes longer than a test may.
beforeAll(() => void builtRoot(), 300_000);

describe("started by npm", () => {
  let folder: string;
  beforeEach(() => {
    folder = startFolder();
    writePackage(folder);
  });
  afterEach(() => clearFolder(folder));

  test.each([
    ["npm start", ["start"], "SIGTERM"],
    ["npm start", ["start"], "SIGINT"],
    ["npm start -- --demo", ["start", "--", "--demo"], "SIGTERM"],
  ] as const)("%s, and a signal to the npm process alone → everything ends", async (_case, args, signal) => {
    const started = spawnMuster({ program: npm, args, cwd: folder, env: { MUSTER_PORT: "0", MUSTER_WORKERS: "1" } });
    await started.line(/GraphQL +http:/);
    expect(runningIn(folder).map(({ title }) => title)).toEqual(expect.arrayContaining(["muster api", "muster worker 1"]));
    started.kill(signal);
    await started.exited;
    await until(() => runningIn(folder).length === 0);
  });
});
