/** Deaths are told: at once, to every worker of the host, whoever started the member, and again until they are dealt with. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import type { Driver, DriverNode, Observation } from "../../src/drivers/driver.ts";
import { callContext, runtime, valueOf } from "../support/driver-node.ts";
import { openProcessFolder, type ProcessFolder, processSight, shellSpec, sleeperSpec, until } from "../support/process-world.ts";

let folder: ProcessFolder;
let stop: AbortController;
let watching: Promise<void>[];
beforeEach(async () => {
  folder = await openProcessFolder();
  stop = new AbortController();
  watching = [];
});
afterEach(async () => {
  stop.abort();
  await Promise.all(watching);
  await folder.close();
});

/** Everything that this driver's watch tells, in one growing list. */
function watched(driver: Driver): Observation[] {
  const seen: Observation[] = [];
  const stream = driver.watch?.({ hostId: brandId("host", runtime.entropy.uuid()), signal: stop.signal });
  if (stream === undefined) throw new Error("the driver can watch");
  const follow = async (): Promise<void> => {
    for await (const batch of stream) seen.push(...batch);
  };
  watching.push(follow());
  return seen;
}

async function started(node: DriverNode): Promise<number> {
  return Number((await valueOf(folder.driver.create([node], callContext()))).physicalId);
}

describe("watch", () => {
  test("kill -9 of a member → told at once, without a sweep, to the worker that started it and to the other", async () => {
    const far = { sweepMs: 3_600_000 };
    const lists = [watched(folder.another(far)), watched(folder.another(far))];
    const node = folder.node(shellSpec("echo working; sleep 1000"));
    const pid = await started(node);
    await until(async () => (await folder.driver.readLog?.(node, 1))?.[0] === "working", "it works");
    process.kill(pid, "SIGKILL");
    for (const seen of lists) {
      await until(() => seen.length > 0, "the death is told");
      const message = "exit code 137 (SIGKILL); last lines: working";
      expect(seen[0]).toMatchObject({ nodeId: node.id, epoch: 1, subject: "WORKLOAD", status: "UNHEALTHY", reason: "EXITED", message });
    }
  });

  test("SIGTERM that it does not catch → told with its name", async () => {
    const seen = watched(folder.driver);
    process.kill(await started(folder.node(sleeperSpec)), "SIGTERM");
    await until(() => seen.length > 0, "the death is told");
    expect(seen[0]?.message).toBe("exit code 143 (SIGTERM); it printed nothing");
  });

  test("the system has no notifications left → looked for instead, as long as need be", async () => {
    const watchFolder = (): never => {
      throw new Error("ENOSPC: no more watches");
    };
    const seen = watched(folder.another({ sweepMs: 3_600_000, watchFolder }));
    process.kill(await started(folder.node(sleeperSpec)), "SIGKILL");
    await until(() => seen.length > 0, "the death is told");
  });

  test("kill -9 of its whole group, SIGINT, an exit of its own → told with the code", async () => {
    const seen = watched(folder.driver);
    const group = folder.node(shellSpec("sleep 1000 & wait"));
    const interrupted = folder.node(sleeperSpec);
    const done = folder.node(shellSpec("read line < wake; exit 9", { cwd: folder.dataDir }));
    process.kill(-(await started(group)), "SIGKILL");
    process.kill(await started(interrupted), "SIGINT");
    await until(() => seen.length >= 2, "two are told");
    const codeOf = (node: DriverNode): string | undefined => seen.find(({ nodeId }) => nodeId === node.id)?.message?.split(";")[0];
    expect(codeOf(group)).toBe("exit code 137 (SIGKILL)");
    expect(codeOf(interrupted)).toBe("exit code 130 (SIGINT)");
    // There is nothing to read: this one ends by itself.
    await folder.driver.create([done], callContext())[Symbol.asyncIterator]().next();
    await until(() => codeOf(done) !== undefined, "the third is told");
    expect(codeOf(done)).toMatch(/^exit code \d+$/);
  });

  test("it dies while nobody watches → told when somebody does", async () => {
    const node = folder.node(sleeperSpec);
    process.kill(await started(node), "SIGKILL");
    await until(() => exits().length === 1, "the code is written");
    const seen = watched(folder.another());
    await until(() => seen.length > 0, "the death is told");
    expect(seen[0]).toMatchObject({ nodeId: node.id, reason: "EXITED" });
  });

  test("nobody deals with it → told again; it is deleted → not any more", async () => {
    const seen = watched(folder.driver);
    const node = folder.node(sleeperSpec);
    process.kill(await started(node), "SIGKILL");
    await until(() => seen.length >= 2, "it is told twice");
    await valueOf(folder.driver.delete([node], callContext()));
    await until(() => exits().length === 0, "the code is forgotten");
    const told = seen.length;
    const other = folder.node(sleeperSpec);
    process.kill(await started(other), "SIGKILL");
    await until(() => seen.length > told, "the other's is told");
    expect(seen.slice(told).every(({ nodeId }) => nodeId === other.id)).toBe(true);
  });

  test("its shim is killed first → the sweep sees its death, and what it left behind is killed", async () => {
    const seen = watched(folder.driver);
    const node = folder.node(shellSpec("sleep 1000 & echo $!; sleep 1000"));
    const pid = await started(node);
    await until(async () => (await folder.driver.readLog?.(node, 1))?.length === 1, "its child is told");
    const child = Number((await folder.driver.readLog?.(node, 1))?.[0]);
    process.kill(processSight(pid)?.parent ?? 0, "SIGKILL");
    expect(await valueOf(folder.driver.inspect([node], callContext()))).toMatchObject({ presence: "running" });
    process.kill(pid, "SIGKILL");
    await until(() => seen.length > 0, "the death is told");
    expect(seen[0]?.message).toMatch(/^ended, and nobody saw how/);
    await until(() => processSight(child) === null, "its child is gone");
  });

  test("the machine is started anew → every member of before is told dead", async () => {
    const node = folder.node(sleeperSpec);
    const pid = await started(node);
    const seen = watched(folder.another({ hostIncarnation: "another-boot.1" }));
    await until(() => seen.length > 0, "the death is told");
    expect(seen[0]).toMatchObject({ nodeId: node.id, reason: "EXITED" });
    // Nobody but the test knows that it is the same machine.
    process.kill(pid, "SIGKILL");
  });

  test("strange files in the folder of exits → passed over", async () => {
    const seen = watched(folder.driver);
    for (const name of ["x", ".1", "nonsense.5", `${runtime.entropy.uuid()}.x`]) writeFileSync(join(folder.dataDir, "process", "exits", name), "1\n");
    const node = folder.node(sleeperSpec);
    process.kill(await started(node), "SIGKILL");
    await until(() => seen.length > 0, "the death is told");
    expect(seen.every(({ nodeId }) => nodeId === node.id)).toBe(true);
  });

  test("close → the watch ends, the members live on", async () => {
    watched(folder.driver);
    const pid = await started(folder.node(sleeperSpec));
    await folder.driver.close?.();
    await Promise.all(watching);
    expect(processSight(pid)).not.toBeNull();
  });
});

function exits(): readonly string[] {
  return readdirSync(join(folder.dataDir, "process", "exits"));
}
