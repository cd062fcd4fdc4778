import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, clearFolder, databaseOf, runningIn, startFolder, startMuster } from "../support/installation.ts";
import { builtRoot, spawnMuster } from "../support/spawn.ts";

// Building takes longer than a test may.
beforeAll(() => void builtRoot(), 300_000);

const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65_534, gid: 65_534 };
const viewer = "{ viewer { role } }";
const operator = { viewer: { role: "OPERATOR" } };

/** The installation where every user can reach it: this one, or a copy whose files are the same ones. */
function reachableProgram(copies: string[]): string {
  const root = builtRoot();
  const program = "dist/src/main/muster.js";
  try {
    execFileSync("test", ["-r", join(root, program)], { ...nobody, stdio: "ignore" });
    return join(root, program);
  } catch {
    const copy = mkdtempSync(join(tmpdir(), "muster-copy-"));
    copies.push(copy);
    chmodSync(copy, 0o755);
    for (const entry of ["dist", "examples", "package.json"]) cpSync(join(root, entry), join(copy, entry), { recursive: true });
    execFileSync("cp", ["-a", join(root, "node_modules"), copy]);
    return join(copy, program);
  }
}

describe(isRoot ? "as root" : "as an ordinary user", () => {
  const folders: string[] = [];
  const copies: string[] = [];
  const folderOf = (mode: number): string => {
    const folder = startFolder(mode);
    folders.push(folder);
    return folder;
  };
  afterAll(() => {
    for (const folder of folders) clearFolder(folder);
    for (const copy of copies) rmSync(copy, { recursive: true, force: true });
  });

  test("in a folder that only its owner may enter, with a space in its path → works, and again from what is there", async () => {
    const folder = folderOf(0o700);
    const first = await startMuster(folder);
    const database = databaseOf(folder);
    expect((await ask(first, viewer)).data).toEqual(operator);
    expect(statSync(join(database, "data")).mode & 0o777).toBe(0o700);
    // PostgreSQL refuses to run as root, and its user cannot enter here.
    expect(database.startsWith(folder)).toBe(!isRoot);
    expect(statSync(join(database, "data")).uid === 0).toBe(false);
    first.muster.kill("SIGINT");
    await first.muster.exited;
    const second = await startMuster(folder);
    expect((await ask(second, viewer)).data).toEqual(operator);
    expect(databaseOf(folder)).toBe(database);
    second.muster.kill("SIGTERM");
    expect((await second.muster.exited).code).toBe(0);
    expect(runningIn(folder)).toEqual([]);
  });

  test("in a folder that everybody may enter → the data stays in it", async () => {
    const folder = folderOf(0o755);
    const { muster } = await startMuster(folder);
    expect(databaseOf(folder)).toBe(join(folder, ".muster/postgres"));
    muster.kill("SIGINT");
    expect((await muster.exited).code).toBe(0);
  });

  test("by another user, or in a folder of another user's → works as that user, and is refused in a sentence where it may not write", async () => {
    const folder = folderOf(0o755);
    if (isRoot) {
      chownSync(folder, nobody.uid, nobody.gid);
      const { muster, url, token } = await startMuster(folder, { user: nobody, program: reachableProgram(copies) });
      expect((await ask({ url, token }, viewer)).data).toEqual(operator);
      expect(new Set(runningIn(folder).map(({ pid }) => statSync(`/proc/${pid}`).uid))).toEqual(new Set([nobody.uid]));
      muster.kill("SIGINT");
      expect((await muster.exited).code).toBe(0);
    }
    const closed = folderOf(0o755);
    mkdirSync(join(closed, ".muster"));
    chmodSync(join(closed, ".muster"), 0o500);
    const options = isRoot ? { user: nobody, program: reachableProgram(copies) } : {};
    const refused = spawnMuster({ args: ["start"], cwd: closed, env: { MUSTER_PORT: "0" }, ...options });
    expect((await refused.exited).code).toBe(1);
    expect(refused.output()).toBe(`muster: MUSTER_DATA is ${join(closed, ".muster")}, and this user may not write there.\n`);
  });

  test("the file that remembers the database is gone, the database is not → a sentence, and nothing is made anew over it", async () => {
    const folder = folderOf(0o755);
    const { muster } = await startMuster(folder);
    muster.kill("SIGINT");
    await muster.exited;
    const file = join(folder, ".muster/postgres.json");
    const text = readFileSync(file, "utf8");
    rmSync(file);
    const refused = spawnMuster({ args: ["start"], cwd: folder, env: { MUSTER_PORT: "0" } });
    expect((await refused.exited).code).toBe(1);
    expect(refused.output()).toContain("which holds its password, is gone");
    expect(existsSync(file)).toBe(false);
    expect(JSON.parse(text)).toMatchObject({ folder: join(folder, ".muster/postgres") });
  });
});
