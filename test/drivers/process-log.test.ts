/** Logs and the folder's housekeeping: rotation under a member that goes on printing, the last lines, what is taken away and when. */
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DriverNode } from "../../src/drivers/driver.ts";
import { createCaretaker } from "../../src/drivers/process/caretaker.ts";
import { createProcessTable } from "../../src/drivers/process/liveness.ts";
import { lastLinesOf, rotateLog } from "../../src/drivers/process/log.ts";
import { openState } from "../../src/drivers/process/state.ts";
import { callContext, valueOf } from "../support/driver-node.ts";
import { openProcessFolder, type ProcessFolder, processSight, shellSpec, sleeperSpec, until } from "../support/process-world.ts";

let folder: ProcessFolder;
beforeEach(async () => {
  folder = await openProcessFolder();
});
afterEach(async () => {
  await folder.close();
});

const counting = shellSpec("i=0; while :; do i=$((i+1)); echo line $i; done");
const numberOf = (line: string | undefined): number => Number(line?.split(" ")[1]);

/** The caretaker as a worker has it. It does its rounds when it is told to. */
function caretaker(maxLogBytes = 65_536): { rounds(count: number): Promise<void> } {
  const { options } = folder;
  const world = {
    ...options,
    state: openState(options.dataDir),
    incarnation: options.hostIncarnation,
    table: createProcessTable(options.timers),
    hostName: null,
    watchFolder: () => ({ close: () => undefined }),
    tools: { sh: "", env: "", setsid: "" },
    settleMs: 0,
    sweepMs: 0,
    maxLogBytes,
  };
  const keeper = createCaretaker(world);
  return {
    rounds: async (count) => {
      for (let i = 0; i < count; i++) await keeper.sweep();
    },
  };
}

async function start(node: DriverNode): Promise<number> {
  return Number((await valueOf(folder.driver.create([node], callContext()))).physicalId);
}

describe("log", () => {
  test("the last lines → the newest, oldest first; none asked for → none; no log → null", async () => {
    const node = folder.node(shellSpec("for i in 1 2 3 4 5; do echo line $i; done; printf unfinished; sleep 1000"));
    await start(node);
    await until(async () => (await folder.driver.readLog?.(node, 1))?.[0] === "unfinished", "it has printed");
    expect(await folder.another().readLog?.(node, 3)).toEqual(["line 4", "line 5", "unfinished"]);
    expect(await folder.driver.readLog?.(node, 100)).toHaveLength(6);
    expect(await folder.driver.readLog?.(node, 0)).toEqual([]);
    expect(await folder.driver.readLog?.(folder.node(sleeperSpec), 10)).toBeNull();
  });

  test("rotation: a member prints without pause → it goes on, the newest lines are whole and in order, the files stay small", async () => {
    const node = folder.node(counting);
    const pid = await start(node);
    const path = folder.file(node.id, "log-1");
    const state = openState(folder.dataDir);
    const limit = 65_536;
    for (let turn = 0; turn < 5; turn++) {
      await until(() => statSync(path).size > limit, "the log has grown");
      expect(await rotateLog(state, node.id, 1, limit)).toBe(true);
      const lines = (await lastLinesOf(state, node.id, 1, 500)) ?? [];
      const numbers = lines.slice(0, -1).map(numberOf);
      expect(lines.length).toBe(500);
      // At the cut a few lines may be missing, never reordered.
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    }
    expect(processSight(pid)).not.toBeNull();
    expect(statSync(`${path}.1`).size).toBeLessThan(limit * 20);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  test("rotation: what is small → left alone", async () => {
    const node = folder.node(shellSpec("echo hello; sleep 1000"));
    await start(node);
    expect(await rotateLog(openState(folder.dataDir), node.id, 1, 1_000)).toBe(false);
  });

  test("lines before and after a rotation → read as one", async () => {
    const state = openState(folder.dataDir);
    const node = folder.node(shellSpec("sleep 1000"));
    await start(node);
    writeFileSync(folder.file(node.id, "log-1.1"), "one\ntwo\nthr");
    writeFileSync(folder.file(node.id, "log-1"), "ee\nfour\n");
    expect(await lastLinesOf(state, node.id, 1, 3)).toEqual(["two", "three", "four"]);
  });
});

describe("caretaker", () => {
  test("several workers → one of them rotates; it is gone → another does", async () => {
    const node = folder.node(counting);
    await start(node);
    const path = folder.file(node.id, "log-1");
    // A worker that was killed is named still.
    writeFileSync(join(folder.dataDir, "process", "caretaker"), `muster1 4194303 1 ${folder.options.hostIncarnation} - -\n`);
    const keeper = caretaker(1_000);
    await keeper.rounds(1);
    expect(existsSync(`${path}.1`)).toBe(false);
    await until(() => statSync(path).size > 1_000, "the log has grown");
    await keeper.rounds(1);
    expect(existsSync(`${path}.1`)).toBe(true);
    // Somebody else who lives is named: this one keeps its hands off.
    const other = await start(folder.node(sleeperSpec));
    const stat = readFileSync(`/proc/${other}/stat`, "latin1").split(") ")[1]?.split(" ")[19];
    writeFileSync(join(folder.dataDir, "process", "caretaker"), `muster1 ${other} ${stat} ${folder.options.hostIncarnation} - -\n`);
    writeFileSync(`${path}.1`, "");
    await keeper.rounds(3);
    expect(statSync(`${path}.1`).size).toBe(0);
  });

  test("deleted long ago → its folder goes; deleted just now, running, or dead and not dealt with → it stays", async () => {
    const [old, fresh, running, dead, never] = [1, 2, 3, 4, 5].map(() => folder.node(sleeperSpec));
    if (old === undefined || fresh === undefined || running === undefined || dead === undefined || never === undefined)
      throw new Error("five were made");
    for (const node of [old, fresh, running]) await start(node);
    process.kill(await start(dead), "SIGKILL");
    for (const node of [old, fresh, never]) await valueOf(folder.driver.delete([node], callContext()));
    longAgo(folder.file(old.id, "gone-1"), folder.file(never.id, "epoch-1"));
    longAgo(folder.file(dead.id, "epoch-1"), folder.file(running.id, "epoch-1"));
    await caretaker().rounds(2);
    const left = readdirSync(join(folder.dataDir, "process"));
    expect([old, fresh, running, dead, never].map(({ id }) => left.includes(id))).toEqual([false, true, true, true, false]);
  });

  test("a node of many lives → fences and logs of the old ones go, the newest two stay", async () => {
    const node = folder.node(sleeperSpec);
    for (let epoch = 1; epoch <= 5; epoch++) await start({ ...node, epoch });
    for (const epoch of [1, 2, 3]) longAgo(folder.file(node.id, `gone-${epoch}`));
    await caretaker().rounds(2);
    expect(
      readdirSync(folder.file(node.id, "."))
        .filter((file) => file.startsWith("epoch-"))
        .sort(),
    ).toEqual(["epoch-4", "epoch-5"]);
  });

  test("ports of a start that was killed before its fence → given back after a while, never those in use", async () => {
    const node = folder.node({ ...sleeperSpec, ports: ["http"] });
    await start(node);
    const ports = join(folder.dataDir, "process", "ports");
    const [used] = readdirSync(ports);
    if (used === undefined) throw new Error("one is claimed");
    for (const [port, owner] of [
      ["1", `${node.id}.1`],
      ["2", `${folder.node(sleeperSpec).id}.1`],
      ["3", "nonsense"],
    ] as const)
      writeFileSync(join(ports, port), `${owner}\n`);
    longAgo(...[used, "1", "2"].map((port) => join(ports, port)));
    await caretaker().rounds(2);
    expect(readdirSync(ports).sort()).toEqual(["3", used].sort());
  });
});

/** As if the files had been made two hours ago. */
function longAgo(...files: readonly string[]): void {
  const then = new Date(Date.now() - 7_200_000);
  for (const file of files) utimesSync(file, then, then);
}
