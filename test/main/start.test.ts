import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Answer,
  ask,
  askUntil,
  clearFolder,
  find,
  killAllIn,
  pidOf,
  runningIn,
  startFolder,
  startMuster,
  type TestInstallation,
  until,
} from "../support/installation.ts";
import { builtRoot, spawnMuster } from "../support/spawn.ts";

const viewer = "{ viewer { role project { name } } }";
const asOperator = { viewer: { role: "OPERATOR", project: { name: "default" } } };

// Building takes longer than a test may.
beforeAll(() => void builtRoot(), 300_000);

describe("muster start", () => {
  const folder = startFolder();
  let at: TestInstallation;
  beforeAll(async () => {
    at = await startMuster(folder);
  });
  afterAll(() => clearFolder(folder));

  test("an empty folder → PostgreSQL, an API process and a worker, each with its title; the token in its file works", async () => {
    expect(runningIn(folder).map(({ title }) => title)).toEqual(expect.arrayContaining(["muster start", "muster api", "muster worker 1"]));
    expect(find(folder, /bin\/postgres /)).toBeDefined();
    expect((await ask(at, viewer)).data).toEqual(asOperator);
    expect((await fetch(`${at.url}/readyz`)).status).toBe(200);
  });

  test("secrets at rest → files that only their owner reads", () => {
    for (const file of ["admin-token", "secret-key", "postgres.json"]) expect(statSync(join(folder, ".muster", file)).mode & 0o777).toBe(0o600);
  });

  test("secrets in memory → stand in nobody's environment or arguments", () => {
    const { password }: { password: string } = JSON.parse(readFileSync(join(folder, ".muster/postgres.json"), "utf8"));
    const secrets = [password, at.token, readFileSync(join(folder, ".muster/secret-key"), "utf8").trim()];
    for (const { pid, title } of runningIn(folder)) {
      const text = readFileSync(`/proc/${pid}/environ`, "utf8") + title;
      for (const secret of secrets) expect(text).not.toContain(secret);
    }
  });

  test("a second start on the folder → says who holds it, and ends with 1", async () => {
    const second = spawnMuster({ args: ["start"], cwd: folder, env: { MUSTER_PORT: "0" } });
    expect((await second.exited).code).toBe(1);
    expect(second.output()).toContain(`is in use: muster start (process ${at.muster.pid}`);
    expect(second.output()).not.toMatch(/^\s+at /m);
  });

  test("kill -9 of the worker → another one runs", async () => {
    const before = pidOf(folder, /^muster worker 1/);
    process.kill(before, "SIGKILL");
    expect(await until(() => runningIn(folder).find(({ title, pid }) => title === "muster worker 1" && pid !== before))).toBeDefined();
  });

  test("kill -9 of the API → another one answers at the same address", async () => {
    process.kill(pidOf(folder, /^muster api/), "SIGKILL");
    expect((await askUntil(at, viewer, (answer) => answer.data !== undefined)).data).toEqual(asOperator);
  });

  test("kill -9 of PostgreSQL → its owner starts it again, and the API answers", async () => {
    const before = pidOf(folder, /bin\/postgres /);
    process.kill(before, "SIGKILL");
    await until(() => runningIn(folder).find(({ title, pid }) => /bin\/postgres /.test(title) && pid !== before));
    expect((await askUntil(at, viewer, (answer) => answer.data?.["viewer"] !== undefined)).data).toEqual(asOperator);
  });

  test("the doctor, beside it → all is well", async () => {
    await until(async () => (await fetch(`${at.url}/readyz`)).status === 200);
    const doctor = spawnMuster({ args: ["doctor"], cwd: folder, env: { MUSTER_PORT: new URL(at.url).port } });
    const { code } = await doctor.exited;
    expect(`${code} ${doctor.output()}`).toMatch(/^0 .*Muster's API answers on .*All is well\.\n$/s);
  });

  test("the doctor in another folder → knows Muster's API on the port, and another program from it", async () => {
    const other = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const address = other.address();
    const taken = address !== null && typeof address === "object" ? String(address.port) : "";
    const doctorAt = async (port: string): Promise<string> => {
      const doctor = spawnMuster({ args: ["doctor"], cwd: folder, env: { MUSTER_PORT: port, MUSTER_DATA: "elsewhere" } });
      const { code } = await doctor.exited;
      return `${code} ${doctor.output()}`;
    };
    expect(await doctorAt(new URL(at.url).port)).toMatch(/^0 .*ok {4}port +Muster's API answers on /s);
    expect(await doctorAt(taken)).toMatch(/^1 .*WRONG port +the API cannot listen on /s);
    other.close();
  });

  test("a token made on the database → works", async () => {
    const made = spawnMuster({ args: ["token", "create", "--local", "--role", "READER"], cwd: folder });
    expect((await made.exited).code).toBe(0);
    expect((await ask({ url: at.url, token: made.output().trim() }, viewer)).data).toMatchObject({ viewer: { role: "READER" } });
  });

  test("kill -9 of everything, then a start → the same data, the same token", async () => {
    const made = await ask(
      at,
      `mutation { createProfile(input: { name: "kept", type: "sim", spec: {} }) { ... on CreateProfilePayload { profile { name } } ... on Error { message } } }`,
    );
    expect(made.data).toEqual({ createProfile: { profile: { name: "kept" } } });
    killAllIn(folder);
    await at.muster.exited;
    at = await startMuster(folder);
    expect((await ask(at, `{ profile(by: { name: "kept" }) { name } }`)).data).toEqual({ profile: { name: "kept" } });
  });

  test("kill -9 of the supervisor → its children end, PostgreSQL lives on and is adopted by the next start", async () => {
    const postgres = pidOf(folder, /bin\/postgres /);
    at.muster.kill("SIGKILL");
    await at.muster.exited;
    await until(() => find(folder, /^muster /) === undefined);
    at = await startMuster(folder);
    expect(pidOf(folder, /bin\/postgres /)).toBe(postgres);
  });

  test("a database that cannot be made → a sentence, 1, and no PostgreSQL is left", async () => {
    const broken = startFolder();
    const first = await startMuster(broken);
    first.muster.kill("SIGKILL");
    await first.muster.exited;
    await until(() => find(broken, /^muster /) === undefined);
    const { port, password }: { port: number; password: string } = JSON.parse(readFileSync(join(broken, ".muster/postgres.json"), "utf8"));
    const client = new pg.Client({ host: "127.0.0.1", port, user: "postgres", password, database: "postgres" });
    await client.connect();
    await client.query("drop database muster with (force)");
    await client.query("alter role postgres set default_transaction_read_only = on");
    await client.end();
    const second = spawnMuster({ args: ["start"], cwd: broken, env: { MUSTER_PORT: "0" } });
    expect((await second.exited).code).toBe(1);
    expect(second.output()).toMatch(/muster: Muster's database cannot be made in .*: cannot execute CREATE DATABASE/);
    expect(runningIn(broken)).toEqual([]);
    clearFolder(broken);
  });

  test("stopped and started → its members lived on and are found again; one that died meanwhile is replaced", async () => {
    const { data } = await ask(
      at,
      `mutation($spec: JSONObject!) {
        createProfile(input: { name: "web", type: "process", spec: $spec }) { __typename }
        createCluster(input: { name: "web", profile: { name: "web" }, desiredCapacity: 3 }) { __typename }
      }`,
      { spec: { command: ["sleep", "3600"] } },
    );
    expect(data).toEqual({ createProfile: { __typename: "CreateProfilePayload" }, createCluster: { __typename: "CreateClusterPayload" } });
    const query = `{ cluster(by: { name: "web" }) { status nodeCounts { active } nodes(first: 9) { nodes { physicalId } } } }`;
    const settled = (answer: Answer): boolean => /"status":"ACTIVE","nodeCounts":\{"active":3\}/.test(JSON.stringify(answer));
    await askUntil(at, query, settled);
    const members = (): number[] => runningIn(folder).flatMap(({ title, pid }) => (title === "sleep 3600" ? [pid] : []));
    const [victim, ...others] = members();
    expect(others).toHaveLength(2);
    at.muster.kill("SIGINT");
    expect((await at.muster.exited).code).toBe(0);
    expect(members()).toEqual([victim, ...others]);
    process.kill(victim ?? Number.NaN, "SIGKILL");
    at = await startMuster(folder);
    await until(() => members().length === 3);
    await askUntil(at, query, settled);
    expect(members()).toEqual(expect.arrayContaining(others));
    await ask(at, `mutation { deleteCluster(input: { cluster: { name: "web" } }) { __typename } }`);
    await until(() => members().length === 0);
  });

  test("Ctrl-C → ends with 0, and nothing is left running", async () => {
    at.muster.kill("SIGINT");
    expect((await at.muster.exited).code).toBe(0);
    expect(runningIn(folder)).toEqual([]);
  });
});

describe("muster start, where something is wrong", () => {
  const folder = startFolder();
  afterAll(() => clearFolder(folder));

  test("the port is taken → a sentence, no stack, 1, and nothing is left running", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const address = other.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    const muster = spawnMuster({ args: ["start"], cwd: folder, env: { MUSTER_PORT: String(port) } });
    expect((await muster.exited).code).toBe(1);
    expect(muster.output()).toBe(
      `muster: Port ${port} on 127.0.0.1 is taken: another program listens there. Choose another one with MUSTER_PORT, or 0 for any that is free.\n`,
    );
    const asked = spawnMuster({ args: ["start"], cwd: folder, env: { MUSTER_PORT: "0", MUSTER_POSTGRES_PORT: String(port) } });
    expect((await asked.exited).code).toBe(1);
    expect(asked.output()).toContain(`Port ${port} (MUSTER_POSTGRES_PORT) is taken`);
    expect(runningIn(folder)).toEqual([]);
    other.close();
  });

  test("settings are wrong → all at once, 1", async () => {
    const muster = spawnMuster({ args: ["start"], cwd: folder, env: { MUSTER_PORT: "x", MUSTER_WORKERS: "-1" } });
    expect((await muster.exited).code).toBe(1);
    expect(muster.output()).toMatch(/^muster: 2 settings are wrong:\n {2}MUSTER_PORT .*\n {2}MUSTER_WORKERS .*\n$/);
  });

  test("a file stands in the place of the data folder → a sentence, 1", async () => {
    const muster = spawnMuster({ args: ["start"], cwd: folder, env: { MUSTER_DATA: "/dev/null/muster" } });
    expect((await muster.exited).code).toBe(1);
    expect(muster.output()).toMatch(/^muster: MUSTER_DATA is \/dev\/null\/muster, which cannot be a folder: a file stands in its way\.\n$/);
  });
});
