/** A process that creates 50 members is killed while it does: another comes to exactly 50, and nothing else of the first one runs. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { callContext, outcomesOf, valueOf } from "../support/driver-node.ts";
import { membersOf, openProcessFolder, type ProcessFolder, sleeperSpec, until } from "../support/process-world.ts";

const script = fileURLToPath(new URL("../support/process-starter.ts", import.meta.url));

let folder: ProcessFolder;
let starter: ChildProcess | null;
beforeEach(async () => {
  folder = await openProcessFolder();
  starter = null;
});
afterEach(async () => {
  starter?.kill("SIGKILL");
  await folder.close();
});

describe("kill -9 of who creates 50 members", () => {
  test.each([1, 13, 37, 50])("when %i of them have their fence → exactly 50 in the end", async (count) => {
    const nodes = Array.from({ length: 50 }, () => folder.node({ ...sleeperSpec, ports: ["http"] }));
    const { dataDir, hostIncarnation, environment, cwd } = folder.options;
    const child = spawn(process.execPath, ["--import", "tsx", script], { stdio: ["pipe", "inherit", "inherit"] });
    starter = child;
    child.stdin.end(JSON.stringify({ options: { dataDir, hostIncarnation, environment, cwd }, nodes }));
    const fenced = (): number => nodes.filter(({ id }) => existsSync(folder.file(id, "epoch-1"))).length;
    await until(() => fenced() >= count, `${count} are begun`);
    child.kill("SIGKILL");

    const outcomes = [...(await outcomesOf(folder.driver.create(nodes, callContext({ fence: 2n })))).values()];
    expect(outcomes.filter((outcome) => !outcome.ok)).toEqual([]);
    const told = outcomes.flatMap((outcome) => (outcome.ok ? [Number(outcome.value.physicalId)] : []));
    const running = nodes.flatMap(({ id }) => membersOf(id));
    expect(running.sort()).toEqual(told.sort());
    expect(new Set(running).size).toBe(50);
    const ports = outcomes.flatMap((outcome) => (outcome.ok ? outcome.value.addresses.map(({ port }) => port) : []));
    expect(new Set(ports).size).toBe(50);

    for (const outcome of (await outcomesOf(folder.driver.delete(nodes, callContext({ fence: 2n })))).values()) expect(outcome.ok).toBe(true);
    expect(nodes.flatMap(({ id }) => membersOf(id))).toEqual([]);
    const [first] = nodes;
    if (first !== undefined) expect(await valueOf(folder.driver.inspect([first], callContext({ fence: 2n })))).toEqual({ presence: "absent" });
  });
});
