import { type StdioOptions, spawnSync } from "node:child_process";
import { mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { safeJson } from "../../src/core/json.ts";
import type { Made } from "../../src/drivers/driver.ts";
import { stopAllMembers } from "../../src/drivers/process/index.ts";
import { driverContract } from "../contracts/driver.contract.ts";
import { callContext, errorOf, outcomesOf, runtime, valueOf } from "../support/driver-node.ts";
import {
  environmentOf,
  membersOf,
  openProcessFolder,
  type ProcessFolder,
  processSight,
  shellSpec,
  sleeperSpec,
  until,
  webSpec,
} from "../support/process-world.ts";

driverContract({
  name: "process",
  open: async () => {
    const folder = await openProcessFolder();
    return {
      driver: folder.driver,
      other: folder.another(),
      spec: sleeperSpec,
      existing: async (id) => membersOf(id).length,
      kill: (_node, made) => killed(Number(made.physicalId)),
      close: () => folder.close(),
    };
  },
  wrong: [
    { spec: {}, paths: ["command"] },
    { spec: { command: [], env: { "1x": "y", OK: 5 }, port: ["http"] }, paths: ["command", "env.1x", "env.OK", "port"] },
    { spec: { command: ["", "a\0"], publicEnv: { PPID: "1" }, cwd: "" }, paths: ["command.0", "command.1", "publicEnv.PPID", "cwd"] },
    { spec: { ...webSpec, ports: ["http", "http"], health: { http: { port: "admin" } } }, paths: ["ports.1", "health.http.port"] },
    { spec: { command: ["x", "{{ports.http}}"], env: { A: "{{node.nam}}" } }, paths: ["command.1", "env.A"] },
    {
      spec: { command: ["x"], health: { tcp: { port: "http" }, command: ["y"], intervalMs: 1 } },
      paths: ["health", "health.intervalMs", "health.tcp.port"],
    },
    { spec: { command: ["x"], health: {}, stop: { signal: "SIGSTOP", graceMs: -1 } }, paths: ["health", "stop.signal", "stop.graceMs"] },
    { spec: { command: [], health: { http: { port: "no" } }, env: { A: 5, B: "{{x}}" } }, paths: ["command", "health.http.port", "env.A", "env.B"] },
    { spec: { command: ["x"], env: { A: "1" }, publicEnv: { A: "2" } }, paths: ["publicEnv.A"] },
  ],
  secret: (canary) => ({ command: ["true"], env: { PASSWORD: canary } }),
});

describe("process", () => {
  let folder: ProcessFolder;
  beforeEach(async () => {
    folder = await openProcessFolder();
  });
  afterEach(async () => {
    await folder.close();
  });
  const create = (...given: Parameters<ProcessFolder["node"]>): Promise<Made> =>
    valueOf(folder.driver.create([folder.node(...given)], callContext()));

  test("create: ports → handed out, told, and put into command and environment", async () => {
    const node = folder.node({ ...webSpec, command: [...listOf(webSpec["command"]), "--port={{ports.http}}", "{{node.name}} of {{cluster.name}}"] });
    const made = await valueOf(folder.driver.create([node], callContext()));
    const [address] = made.addresses;
    expect(made.addresses).toEqual([{ name: "http", host: "127.0.0.1", port: expect.any(Number) }]);
    const args = processSight(Number(made.physicalId))?.args ?? [];
    expect(args.slice(2)).toEqual([`--port=${address?.port}`, `${node.name} of web`]);
    await until(() => answers(address?.port ?? 0), "the server listens");
    const response = await fetch(`http://127.0.0.1:${address?.port}/`);
    expect(await response.json()).toMatchObject({ name: node.name, pid: Number(made.physicalId) });
  });

  test("create: its environment → PATH, HOME, LANG, TMPDIR and the spec's, nothing else", async () => {
    process.env["MUSTER_SECRET_KEY"] = "must not be handed on";
    const odd = 'it\'s $HOME `id` \\n "quoted"\n two lines ünïcode 🙂';
    const made = await create({ ...sleeperSpec, env: { ODD: odd, LANG: "de_DE.UTF-8" }, publicEnv: {} });
    delete process.env["MUSTER_SECRET_KEY"];
    const { PATH, HOME, TMPDIR } = folder.options.environment;
    expect(Object.fromEntries(environmentOf(Number(made.physicalId)))).toEqual({ PATH, HOME, TMPDIR, LANG: "de_DE.UTF-8", ODD: odd });
  });

  test("create: its descriptors → nothing read, output to its log, no other", async () => {
    const made = await create(sleeperSpec);
    const at = `/proc/${made.physicalId}/fd`;
    const open = Object.fromEntries(readdirSync(at).map((fd) => [fd, readlinkSync(join(at, fd))]));
    expect(open).toEqual({ 0: "/dev/null", 1: expect.stringMatching(/log-1$/), 2: expect.stringMatching(/log-1$/) });
  });

  test("descriptors that were open when Muster was started → closed, so that no child gets them", () => {
    const module = new URL("../../src/drivers/process/descriptors.ts", import.meta.url).href;
    const code = `import { closeInherited } from ${JSON.stringify(module)};
      import { spawnSync } from "node:child_process";
      const open = () => spawnSync("ls", ["/proc/self/fd"], { encoding: "utf8" }).stdout.trim().split("\\n").map(Number);
      const before = open(); closeInherited(); console.log(JSON.stringify([before.includes(30), open().includes(30)]));`;
    const leak: StdioOptions = ["ignore", "pipe", "inherit", ...Array.from({ length: 27 }, () => "ignore" as const), openSync("/dev/null", "r")];
    const { stdout } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], { stdio: leak, encoding: "utf8" });
    expect(JSON.parse(stdout)).toEqual([true, false]);
  });

  test("create: its signals → none ignored, none blocked", async () => {
    const made = await create(sleeperSpec);
    const status = readFileSync(`/proc/${made.physicalId}/status`, "utf8");
    for (const kind of ["SigIgn", "SigBlk"]) expect(status).toMatch(new RegExp(`^${kind}:\\s*0+$`, "m"));
  });

  test("create: its place among processes → a session and group of its own; no argument of the shim tells command or secret", async () => {
    const made = await create({ ...sleeperSpec, env: { PASSWORD: "canary-9d1" } });
    const pid = Number(made.physicalId);
    const member = processSight(pid);
    expect(member).toMatchObject({ group: pid, session: pid, args: ["sleep", "1000"] });
    const shim = processSight(member?.parent ?? 0);
    expect(shim?.session).not.toBe(pid);
    expect(shim?.args.join(" ")).toMatch(/muster-member node_[0-9a-z]{26} 1$/);
    expect([...environmentOf(shim?.pid ?? 0).keys()]).toEqual(["PATH"]);
    for (const file of readdirSync(join(folder.dataDir, "process"), { recursive: true, withFileTypes: true })) {
      if (file.isFile()) expect(readFileSync(join(file.parentPath, file.name), "utf8")).not.toContain("canary-9d1");
    }
  });

  test("create: cwd of the spec, or none → there, or where Muster was started", async () => {
    mkdirSync(join(folder.dataDir, "it's here"));
    const there = await create({ ...sleeperSpec, cwd: join(folder.dataDir, "it's here") });
    expect(readlinkSync(`/proc/${there.physicalId}/cwd`)).toBe(join(folder.dataDir, "it's here"));
    const relative = await create({ ...sleeperSpec, cwd: "it's here" });
    expect(readlinkSync(`/proc/${relative.physicalId}/cwd`)).toBe(join(folder.dataDir, "it's here"));
    const nowhere = await create(sleeperSpec);
    expect(readlinkSync(`/proc/${nowhere.physicalId}/cwd`)).toBe(folder.dataDir);
  });

  test.each([
    ["a command that does not exist", { command: ["no-such-program"] }, { class: "permanent", code: "COMMAND_NOT_FOUND" }],
    ["a file that is no program", { command: ["/etc/passwd"] }, { class: "permanent", code: "COMMAND_NOT_FOUND" }],
    ["a folder that is not there", { ...sleeperSpec, cwd: "/no/such/folder" }, { class: "permanent", code: "CWD_NOT_FOUND" }],
    [
      "a shell that does not find its command",
      shellSpec("no-such-program"),
      { class: "permanent", code: "EXITED", epochClosed: true, message: expect.stringContaining("exit code 127") },
    ],
    [
      "an end at once",
      shellSpec("echo one; echo two >&2; exit 3"),
      { class: "transient", code: "EXITED", epochClosed: true, message: "exit code 3; last lines: one ⏎ two" },
    ],
    [
      "a silent end at once",
      shellSpec("exit 0"),
      { class: "transient", code: "EXITED", epochClosed: true, message: "exit code 0; it printed nothing" },
    ],
    [
      "a death by signal",
      shellSpec("kill -SEGV $$"),
      { class: "transient", code: "EXITED", message: expect.stringContaining("exit code 139 (SIGSEGV)") },
    ],
  ])("create: %s → told with its reason", async (_what, spec, expected) => {
    const node = folder.node(spec);
    expect(await errorOf(folder.driver.create([node], callContext()))).toMatchObject(expected);
    // The same key brings the same answer.
    expect(await errorOf(folder.another().create([node], callContext()))).toMatchObject(expected);
    expect(membersOf(node.id)).toEqual([]);
  });

  test("create: a member that prints NUL, broken UTF-8 and endless lines → a message that can be stored", async () => {
    const node = folder.node(shellSpec("printf 'a\\000b \\377\\376 \\355\\240\\200\\n'; head -c 100000 /dev/zero | tr '\\000' x; exit 1"));
    const error = await errorOf(folder.driver.create([node], callContext()));
    expect(safeJson({ ...error })).toEqual(error);
    expect(error.message.length).toBeLessThan(2_000);
    const lines = await folder.driver.readLog?.(node, 10);
    expect(safeJson(lines)).toEqual(lines);
  });

  test("create: a member that prints its secrets → they are in no message and no log line", async () => {
    const secret = "hunter2 and more";
    const node = folder.node(
      shellSpec('echo "first $PASS last"; echo "$KEY"; exit 1', { env: { PASS: secret, KEY: "line one\nline two", PORT: "80" } }),
    );
    const error = await errorOf(folder.driver.create([node], callContext()));
    expect(error.message).toBe("exit code 1; last lines: first [secret] last ⏎ [secret] ⏎ [secret]");
    const lines = ["first [secret] last", "[secret]", "[secret]"];
    expect(await folder.another().readLog?.(node, 10)).toEqual(lines);
    // Nor when the next life's log is asked for and this one's is shown before it, nor after a deletion.
    await errorOf(folder.driver.create([{ ...node, epoch: 2 }], callContext()));
    expect(await folder.driver.readLog?.({ ...node, epoch: 2 }, 10)).toEqual([...lines, ...lines]);
    await valueOf(folder.driver.delete([{ ...node, epoch: 2 }], callContext()));
    expect(JSON.stringify(await folder.driver.readLog?.({ ...node, epoch: 2 }, 10))).not.toMatch(/hunter2|line one/);
  });

  test("create: the next life → whatever the one before left is gone", async () => {
    const node = folder.node(sleeperSpec);
    const first = await valueOf(folder.driver.create([node], callContext()));
    const second = await valueOf(folder.driver.create([{ ...node, epoch: 2 }], callContext()));
    expect(second.physicalId).not.toBe(first.physicalId);
    expect(membersOf(node.id)).toEqual([Number(second.physicalId)]);
  });

  test("ports: handed out by two workers at once → none twice; deleted → free again", async () => {
    const spec = { ...sleeperSpec, ports: ["a", "b", "c"] };
    const other = folder.another();
    const nodes = Array.from({ length: 12 }, () => folder.node(spec));
    const outcomes = await Promise.all([
      outcomesOf(folder.driver.create(nodes.slice(0, 6), callContext())),
      outcomesOf(other.create(nodes.slice(6), callContext())),
    ]);
    const ports = outcomes
      .flatMap((map) => [...map.values()])
      .flatMap((outcome) => (outcome.ok ? outcome.value.addresses.map(({ port }) => port) : []));
    expect(ports).toHaveLength(36);
    expect(new Set(ports).size).toBe(36);
    const claims = join(folder.dataDir, "process", "ports");
    expect(readdirSync(claims)).toHaveLength(36);
    await outcomesOf(folder.driver.delete(nodes, callContext()));
    expect(readdirSync(claims)).toEqual([]);
  });

  test("delete: a member that ends when asked → its own signal, its own last word", async () => {
    const node = folder.node(
      shellSpec("trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.01; done", { stop: { signal: "SIGINT", graceMs: 20_000 } }),
    );
    await valueOf(folder.driver.create([node], callContext()));
    await until(async () => (await folder.driver.readLog?.(node, 1))?.[0] === "ready", "the trap is set");
    await valueOf(folder.driver.delete([node], callContext()));
    expect(await folder.driver.readLog?.(node, 5)).toEqual(["ready", "bye"]);
  });

  test("delete: a member that will not end → killed after its grace, with all that it started", async () => {
    const node = folder.node(
      shellSpec("trap '' TERM; sleep 1000 & setsid -w sh -c : ; echo ready; while :; do sleep 0.01; done", { stop: { graceMs: 150 } }),
    );
    const made = await valueOf(folder.driver.create([node], callContext()));
    await until(async () => (await folder.driver.readLog?.(node, 1))?.[0] === "ready", "the trap is set");
    const before = runtime.clock.monotonicMs();
    await valueOf(folder.driver.delete([node], callContext()));
    expect(runtime.clock.monotonicMs() - before).toBeGreaterThanOrEqual(150);
    expect(sessionOf(Number(made.physicalId))).toEqual([]);
  });

  test("delete: aborted within the grace → the member is not killed, and the next call ends it", async () => {
    const node = folder.node(shellSpec("trap '' TERM; echo ready; while :; do sleep 0.01; done", { stop: { graceMs: 60_000 } }));
    await valueOf(folder.driver.create([node], callContext()));
    await until(async () => (await folder.driver.readLog?.(node, 1))?.[0] === "ready", "the trap is set");
    expect(await errorOf(folder.driver.delete([node], callContext({ withinMs: 100 })))).toMatchObject({ code: "DEADLINE" });
    expect(membersOf(node.id)).toHaveLength(1);
    const { spec } = folder.node(shellSpec("x", { stop: { signal: "SIGKILL" } }));
    await valueOf(folder.driver.delete([{ ...node, spec }], callContext()));
    expect(membersOf(node.id)).toEqual([]);
  });

  test("exit: the leader ends, its children would live on → they end with it", async () => {
    const node = folder.node(shellSpec("sleep 1000 & sleep 1000 & echo ready; read never < /dev/tty || sleep 1000"));
    const made = await valueOf(folder.driver.create([node], callContext()));
    await killed(Number(made.physicalId));
    expect(await valueOf(folder.driver.inspect([node], callContext()))).toMatchObject({ presence: "dead" });
    await until(() => sessionOf(Number(made.physicalId)).length === 0, "its children are gone");
  });

  test("identity: the pid is another process's by now → dead, and that one is left alone", async () => {
    const stranger = Number((await create(sleeperSpec)).physicalId);
    const node = folder.node(sleeperSpec);
    await valueOf(folder.driver.create([node], callContext()));
    const record = readFileSync(folder.file(node.id, "epoch-1"), "utf8").split(" ");
    const own = Number(record[1]);
    // Its shim is dead as well, else it would have said how the member ended.
    await killed(processSight(own)?.parent ?? 0);
    await killed(own);
    writeFileSync(folder.file(node.id, "epoch-1"), record.with(1, String(stranger)).join(" "));
    expect(await valueOf(folder.driver.inspect([node], callContext()))).toMatchObject({ presence: "dead" });
    await valueOf(folder.driver.delete([node], callContext()));
    expect(processSight(stranger)).not.toBeNull();
  });

  test("identity: the machine was started anew → dead for certain, and whoever has the pid now is left alone", async () => {
    const node = folder.node(sleeperSpec);
    const made = await valueOf(folder.driver.create([node], callContext()));
    const next = folder.another({ hostIncarnation: "another-boot.1" });
    expect(await valueOf(next.inspect([node], callContext()))).toMatchObject({ presence: "dead", reason: "HOST_RESTARTED" });
    await valueOf(next.delete([node], callContext()));
    expect(processSight(Number(made.physicalId))).not.toBeNull();
    process.kill(Number(made.physicalId), "SIGKILL");
  });

  test("probe: commands → their exit decides, their output is told, their time is limited", async () => {
    const node = folder.node({ ...webSpec, env: { PORT: "{{ports.http}}", PASS: "canary-77" } });
    const made = await valueOf(folder.driver.create([node], callContext()));
    const port = made.addresses[0]?.port;
    const probe = (...command: string[]) => folder.driver.runProbe?.(node, command, 5_000);
    expect(await probe("sh", "-c", "echo $PORT is {{ports.http}}")).toEqual({ ok: true, message: `exit code 0: ${port} is ${port}` });
    expect(await probe("sh", "-c", "echo $PASS >&2; exit 4")).toEqual({ ok: false, message: "exit code 4: [secret]" });
    expect(await probe("no-such-program")).toEqual({ ok: false, message: expect.stringMatching(/^the probe could not be run \((ENOENT|EACCES)\)$/) });
    expect(await folder.driver.runProbe?.(node, ["sh", "-c", "sleep 1000 & sleep 1000"], 50)).toEqual({
      ok: false,
      message: "no answer within 50 ms",
    });
    expect(await folder.driver.runProbe?.(folder.node(webSpec), ["true"], 50)).toMatchObject({ ok: false });
  });

  test("50 members by two workers → exactly 50 processes; all stopped → none", async () => {
    const nodes = Array.from({ length: 50 }, () => folder.node(sleeperSpec));
    const other = folder.another();
    // Both are asked for all: that is a takeover of each.
    await Promise.all([outcomesOf(folder.driver.create(nodes, callContext())), outcomesOf(other.create(nodes, callContext()))]);
    expect(nodes.flatMap(({ id }) => membersOf(id))).toHaveLength(50);
    expect(await stopAllMembers(folder.options, new AbortController().signal)).toBe(50);
    expect(nodes.flatMap(({ id }) => membersOf(id))).toEqual([]);
  });
});

/** SIGKILL is carried out a moment after it is sent. */
async function killed(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until(() => processSight(pid) === null, `process ${pid} is gone`);
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** Everything in the member's session that still runs. */
function sessionOf(pid: number): readonly number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((other) => Number.isInteger(other) && processSight(other)?.session === pid);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
