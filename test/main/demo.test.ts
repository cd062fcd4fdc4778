import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clearFolder, runningIn, startFolder, until } from "../support/installation.ts";
import { builtRoot, type Muster, spawnMuster } from "../support/spawn.ts";

const membersOf = (folder: string): number[] => runningIn(folder).flatMap(({ title, pid }) => (/web\/server\.mjs$/.test(title) ? [pid] : []));

/** Resolves with the pid that the demo proposes to kill, once all five members are healthy. */
async function allHealthy(demo: Muster): Promise<number> {
  const [, pid = ""] = await demo.line(/All 5 members are healthy.*\n\n {2}kill -9 (\d+)/);
  return Number(pid);
}

// Building takes longer than a test may.
beforeAll(() => void builtRoot(), 300_000);

describe("muster start --demo", () => {
  const folder = startFolder();
  const start = (): Muster => spawnMuster({ args: ["start", "--demo"], cwd: folder, env: { MUSTER_PORT: "0", MUSTER_WORKERS: "1" } });
  afterAll(() => clearFolder(folder));

  test("five members, one of them killed → told, replaced; Ctrl-C → nothing is left running", async () => {
    const demo = start();
    const victim = await allHealthy(demo);
    expect(membersOf(folder)).toHaveLength(5);
    expect(demo.output()).toMatch(/GraphiQL {2}http:\/\/127\.0\.0\.1:\d+\/graphiql#token=muster_\w+/);
    process.kill(victim, "SIGKILL");
    const [, name = ""] = await demo.line(/ Node (web-\d) is UNHEALTHY/);
    await demo.line(new RegExp(`Node ${name} is UNHEALTHY[\\s\\S]* Node ${name} is HEALTHY`));
    await until(() => membersOf(folder).length === 5 && !membersOf(folder).includes(victim));
    demo.kill("SIGINT");
    expect((await demo.exited).code).toBe(0);
    expect(runningIn(folder)).toEqual([]);
  });

  test("after a crash of the demo, its members still running → the same again, and the former members are gone", async () => {
    const crashed = start();
    await allHealthy(crashed);
    const former = membersOf(folder);
    crashed.kill("SIGKILL");
    await crashed.exited;
    await until(() => runningIn(folder).every(({ title }) => !title.startsWith("muster ")));
    expect(membersOf(folder)).toEqual(former);
    const demo = start();
    await allHealthy(demo);
    expect(membersOf(folder).filter((pid) => former.includes(pid))).toEqual([]);
    expect(membersOf(folder)).toHaveLength(5);
    demo.kill("SIGINT");
    expect((await demo.exited).code).toBe(0);
    expect(runningIn(folder)).toEqual([]);
  });

  test("Ctrl-C while it is still starting → ends with 0, and nothing is left running", async () => {
    const demo = start();
    await demo.line(/Starting PostgreSQL/);
    demo.kill("SIGINT");
    expect((await demo.exited).code).toBe(0);
    expect(runningIn(folder)).toEqual([]);
  });
});
