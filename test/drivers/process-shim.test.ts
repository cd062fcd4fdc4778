/** The shim and its fence: whatever is killed when, at most one process runs for one node, and none that nobody knows of. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DriverNode } from "../../src/drivers/driver.ts";
import { type ShimWords, shimText } from "../../src/drivers/process/shim.ts";
import { findTool } from "../../src/drivers/process/tool.ts";
import { callContext, errorOf, outcomesOf, runtime, valueOf } from "../support/driver-node.ts";
import { environmentOf, membersOf, openProcessFolder, type ProcessFolder, processSight, sleeperSpec, until } from "../support/process-world.ts";

let folder: ProcessFolder;
beforeEach(async () => {
  folder = await openProcessFolder();
});
afterEach(async () => {
  await folder.close();
});

function tool(name: string): string {
  return findTool(name, "") ?? name;
}

/** The words with which the driver would start this life of the node. */
function wordsFor(node: DriverNode, more: Partial<ShimWords> = {}): ShimWords {
  mkdirSync(folder.file(node.id, "."), { recursive: true });
  return {
    folder: folder.file(node.id, "."),
    exitFile: join(folder.dataDir, "process", "exits", `${node.id}.${node.epoch}`),
    epoch: node.epoch,
    token: Buffer.from(runtime.entropy.bytes(8)).toString("hex"),
    latestUptime: 1_000_000_000,
    incarnation: folder.options.hostIncarnation,
    ports: "-",
    cwd: folder.dataDir,
    environment: { PATH: "/usr/bin:/bin", MEMBER_OF: `node_${node.id}` },
    command: ["sleep", "1000"],
    tools: { env: tool("env"), setsid: tool("setsid") },
    ...more,
  };
}

/** Feeds a text to a shell as the driver does. Resolves when the shell has ended; `started` when a fence stands or it has. */
function run(text: string): { readonly pid: number; readonly ended: Promise<void> } {
  const shell = spawn(tool("sh"), ["-s", "muster-member"], { detached: true, stdio: ["pipe", "ignore", "ignore"], env: { PATH: "/usr/bin:/bin" } });
  shell.stdin.on("error", () => undefined);
  shell.stdin.end(text);
  return { pid: shell.pid ?? 0, ended: new Promise((resolve) => shell.once("exit", () => resolve())) };
}

/** Whatever happened before: the next worker comes to exactly one member, under this epoch or the next. */
async function expectOneMemberInTheEnd(node: DriverNode): Promise<void> {
  const other = folder.another();
  const found = await valueOf(other.inspect([node], callContext()));
  const life = found.presence === "running" ? node : { ...node, epoch: node.epoch + 1 };
  const made = await valueOf(other.create([life], callContext()));
  if (found.presence === "running") expect(made).toEqual(found.made);
  await until(() => processSight(Number(made.physicalId))?.args[0] === "sleep", "the member has become its command");
  expect(sleepersIn(folder.dataDir)).toEqual([Number(made.physicalId)]);
  await valueOf(other.delete([life], callContext()));
  expect(sleepersIn(folder.dataDir)).toEqual([]);
}

/** Members of these tests: told by the folder that is their HOME or their working directory. */
function sleepersIn(dataDir: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && processSight(pid)?.args[0] === "sleep")
    .filter((pid) => {
      try {
        const environment = environmentOf(pid);
        return environment.get("HOME") === dataDir || (environment.get("MEMBER_OF") ?? "").includes("-");
      } catch {
        return false;
      }
    });
}

describe("shim", () => {
  test("its text is cut short anywhere (we were killed while we wrote it) → nothing is started, no fence is made", async () => {
    const node = folder.node(sleeperSpec);
    const text = shimText(wordsFor(node));
    // The last line calls the function; without its end it is no call.
    const lastCall = text.lastIndexOf("muster\n");
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: lastCall + 5 }), async (length) => {
        await run(text.slice(0, length)).ended;
        expect(readdirSync(folder.file(node.id, "."))).toEqual([]);
      }),
      { numRuns: 60, examples: [[lastCall], [lastCall + 5], [lastCall - 1]] },
    );
    await expectOneMemberInTheEnd(node);
  });

  const lines = shimText({
    folder: "",
    exitFile: "",
    epoch: 1,
    token: "t",
    latestUptime: 0,
    incarnation: "i",
    ports: "-",
    cwd: "",
    environment: { A: "", B: "" },
    command: [],
    tools: { env: "", setsid: "" },
  }).split("\n");
  const inside = lines.flatMap((_line, index) => (index > 0 && index < lines.indexOf("  )") ? [index] : []));

  test.each(inside)("the shell is killed before its line %i → one member in the end", async (index) => {
    const node = folder.node(sleeperSpec);
    const words = wordsFor(node, { environment: { PATH: "/usr/bin:/bin", MEMBER_OF: `node_${node.id}` } });
    const text = shimText(words).split("\n");
    // `$$` is the outer shell also inside the brackets: the member-to-be goes on without it.
    const shim = run([...text.slice(0, index), "kill -s KILL $$", ...text.slice(index)].join("\n"));
    await shim.ended;
    await expectOneMemberInTheEnd(node);
  });

  const member = lines.flatMap((_line, index) => (index > lines.indexOf("  (") + 1 && index < lines.indexOf("  )") ? [index] : []));

  test.each(member)("the member-to-be is killed before its line %i → no member of this life, one of the next", async (index) => {
    const node = folder.node(sleeperSpec);
    const text = shimText(wordsFor(node)).split("\n");
    const dies = 'read -r own rest < /proc/self/stat; kill -s KILL "$own"';
    await run([...text.slice(0, index), dies, ...text.slice(index)].join("\n")).ended;
    expect(sleepersIn(folder.dataDir)).toEqual([]);
    await expectOneMemberInTheEnd(node);
  });

  test("two are started for one life → one member, and the other leaves no trace", async () => {
    const node = folder.node(sleeperSpec);
    const texts = Array.from({ length: 8 }, () => shimText(wordsFor(node)));
    const shims = texts.map(run);
    await until(() => existsSync(folder.file(node.id, "epoch-1")), "the fence is made");
    await Promise.race(shims.map(({ ended }) => ended));
    await until(() => sleepersIn(folder.dataDir).length === 1, "one runs");
    // Seven have ended; the eighth waits for its member.
    const rest = shims.filter(({ pid }) => processSight(pid) !== null);
    await until(() => shims.filter(({ pid }) => processSight(pid) !== null).length === 1, "one shell is left");
    expect(rest.length).toBeGreaterThanOrEqual(1);
    expect(readdirSync(folder.file(node.id, ".")).sort()).toEqual(["epoch-1", "log-1"]);
    expect(readdirSync(join(folder.dataDir, "process", "exits"))).toEqual([]);
    await expectOneMemberInTheEnd(node);
  });

  test("it comes after its deadline (it was frozen) → nothing is started, no fence is made", async () => {
    const node = folder.node(sleeperSpec);
    await run(shimText(wordsFor(node, { latestUptime: 0 }))).ended;
    expect(readdirSync(folder.file(node.id, "."))).toEqual([]);
  });

  test("it comes after the life was closed → nothing is started", async () => {
    const node = folder.node(sleeperSpec);
    const words = wordsFor(node);
    await valueOf(folder.driver.delete([node], callContext()));
    await run(shimText(words)).ended;
    expect(sleepersIn(folder.dataDir)).toEqual([]);
    expect(await errorOf(folder.driver.create([node], callContext()))).toMatchObject({ code: "EPOCH_CLOSED", epochClosed: true });
  });

  test("whoever created it is killed while 10 are under way → another worker comes to exactly 10", async () => {
    const nodes = Array.from({ length: 10 }, () => folder.node(sleeperSpec));
    // As dead as killed: its signal ends every wait, and nothing of it goes on.
    const stop = new AbortController();
    const first = outcomesOf(folder.driver.create(nodes, callContext({ signal: stop.signal })));
    await until(() => nodes.some(({ id }) => existsSync(folder.file(id, "epoch-1"))), "the first is begun");
    stop.abort();
    const outcomes = await outcomesOf(folder.another().create(nodes, callContext({ fence: 2n })));
    await first;
    expect([...outcomes.values()].filter((outcome) => outcome.ok)).toHaveLength(10);
    for (const { id } of nodes) expect(membersOf(id)).toHaveLength(1);
  });
});
