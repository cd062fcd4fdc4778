/** The secret key is changed under a Muster that runs, by the command, as a user does it. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runningEmbedded } from "../../src/main/postgres.ts";
import { readState } from "../../src/main/postgres-place.ts";
import { createVault } from "../../src/store/vault.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { type Answer, ask, askUntil, clearFolder, runningIn, startFolder, startMuster, type TestInstallation } from "../support/installation.ts";
import { builtRoot, spawnMuster } from "../support/spawn.ts";

// Building takes longer than a test may.
beforeAll(() => void builtRoot(), 300_000);

describe("muster secrets rotate, beside muster start", () => {
  const folder = startFolder();
  const file = join(folder, ".muster/secret-key");
  const keys = (): string[] => readFileSync(file, "utf8").trim().split("\n");
  const idOf = (key: string): string => createVault([Buffer.from(key, "hex")]).keyIds()[0] ?? "";
  let at: TestInstallation;
  let said = "";
  beforeAll(async () => {
    at = await startMuster(folder);
  });
  afterAll(() => clearFolder(folder));

  const rotate = async (): Promise<number | null> => {
    const command = spawnMuster({ args: ["secrets", "rotate"], cwd: folder });
    const { code } = await command.exited;
    said += command.output();
    return code;
  };
  const make = (name: string): Promise<Answer> =>
    ask(
      at,
      `mutation($name: String!, $spec: JSONObject!) {
        createProfile(input: { name: $name, type: "process", spec: $spec }) { __typename }
        createCluster(input: { name: $name, profile: { name: $name }, desiredCapacity: 2 }) { __typename }
      }`,
      { name, spec: { command: ["sh", "-c", 'test "$TOKEN" = the-secret && exec sleep 3600'], env: { TOKEN: "the-secret" } } },
    );
  const settled = (name: string, active: number): Promise<Answer> =>
    askUntil(at, `{ cluster(by: { name: "${name}" }) { status nodeCounts { active } } }`, (answer) =>
      JSON.stringify(answer).includes(`"status":"ACTIVE","nodeCounts":{"active":${active}}`),
    );
  const resize = (name: string, to: number): Promise<Answer> =>
    ask(at, `mutation { resizeCluster(input: { cluster: { name: "${name}" }, capacity: { exactly: ${to} } }) { __typename } }`);
  /** Every row of every table, as text. */
  const dump = async (): Promise<string> => {
    const client = new pg.Client({ connectionString: runningEmbedded(readState(join(folder, ".muster"))) ?? "" });
    await client.connect();
    try {
      const { rows } = await client.query<{ name: string }>(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'muster'",
      );
      const texts: string[] = [];
      for (const { name } of rows)
        texts.push(...(await client.query<{ text: string }>(`select t::text as text from ${name} t`)).rows.map(({ text }) => text));
      return texts.join("\n");
    } finally {
      await client.end();
    }
  };
  const doctor = async (): Promise<string> => {
    const command = spawnMuster({ args: ["doctor"], cwd: folder, env: { MUSTER_PORT: new URL(at.url).port } });
    return `${(await command.exited).code} ${command.output()}`;
  };

  test("one command → a key more in the file, and nothing in the database names the former one", async () => {
    await make("before");
    await settled("before", 2);
    const [first = ""] = keys();
    expect(await dump()).toContain(idOf(first));
    expect(await rotate()).toBe(0);
    expect(keys()).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), first]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(said).toContain("1 value of 1 profile was sealed anew, none is left under a former key");
    const after = await dump();
    expect(after).toContain(idOf(keys()[0] ?? ""));
    expect(after).not.toContain(idOf(first));
  });

  test("the processes that ran before → go on: members of former and of new profiles, and what they seal, they seal with the new key", async () => {
    await resize("before", 3);
    await settled("before", 3);
    await make("after");
    await settled("after", 2);
    expect(await dump()).not.toContain(idOf(keys()[1] ?? ""));
    expect(await doctor()).toMatch(/^0 .*opens this database's secrets; one more is known here.*All is well\.\n$/s);
  });

  test("two commands at once, killed and run again → every key that anything is sealed with is in the file", async () => {
    const one = spawnMuster({ args: ["secrets", "rotate"], cwd: folder });
    const other = spawnMuster({ args: ["secrets", "rotate"], cwd: folder });
    await Promise.race([one.exited, other.exited]);
    for (const command of [one, other]) command.kill("SIGKILL");
    await Promise.all([one.exited, other.exited]);
    expect(await rotate()).toBe(0);
    const [current = "", ...former] = keys();
    const after = await dump();
    expect(after).toContain(idOf(current));
    for (const key of former) expect(after).not.toContain(idOf(key));
    await resize("before", 4);
    await settled("before", 4);
  });

  test("the former keys taken away, everything started again → works with the new one alone, and the doctor finds nothing", async () => {
    const [current = "", ...former] = keys();
    writeFileSync(file, `${current}\n`);
    at.muster.kill("SIGINT");
    expect((await at.muster.exited).code).toBe(0);
    const before = at.muster.output();
    at = await startMuster(folder);
    await resize("before", 5);
    await settled("before", 5);
    await resize("after", 3);
    await settled("after", 3);
    expect(await doctor()).toMatch(/^0 .*opens this database's secrets\n.*All is well\.\n$/s);
    for (const key of [current, ...former]) expect(before + at.muster.output() + said).not.toContain(key);
    for (const { pid, title } of runningIn(folder)) {
      const text = readFileSync(`/proc/${pid}/environ`, "utf8") + title;
      for (const key of [current, ...former]) expect(text).not.toContain(key);
    }
  });
});

describe("muster secrets rotate, with a PostgreSQL that was given", () => {
  const folder = startFolder();
  const [first, second] = ["ab".repeat(32), "cd".repeat(32)];
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(async () => {
    clearFolder(folder);
    await database.drop();
  });
  const run = async (args: readonly string[], key: string): Promise<string> => {
    const muster = spawnMuster({ args, cwd: folder, env: { DATABASE_URL: database.url, MUSTER_PORT: "0", MUSTER_SECRET_KEY: key } });
    return `${(await muster.exited).code} ${muster.output()}`;
  };

  test("one key for all → says what to do first; two → goes over to the first; the former one alone → no start", async () => {
    expect(await run(["secrets", "rotate"], first)).toMatch(/^1 muster: .*put a new one .* in front of it for every process/);
    expect(await run(["secrets", "rotate"], `${second}, ${first}`)).toMatch(/^0 .*none is left under a former key/);
    expect(await run(["worker"], first)).toMatch(/^1 muster: The secrets in the database .* were sealed with another key/);
  });

  test("a rotation that was not finished → the doctor says so, and nothing starts without the former key; run again → it may go", async () => {
    const former = createVault([Buffer.from(first, "hex")]).seal("muster", "installation");
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query("update muster.installation set secret_check = secret_check || jsonb_build_object('former', jsonb_build_array($1::jsonb))", [
      JSON.stringify(former),
    ]);
    await client.end();
    expect(await run(["doctor"], `${second}\n${first}`)).toMatch(/note {2}secret key +was changed, and values may still be sealed with a former one/);
    expect(await run(["worker"], second)).toMatch(/^1 muster: Some secrets in the database .* may still be sealed with a former key/);
    expect(await run(["secrets", "rotate"], `${second},${first}`)).toMatch(/^0 /);
    expect(await run(["doctor"], second)).not.toMatch(/(?:note |WRONG) secret key/);
  });
});
