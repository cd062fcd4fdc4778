/**
 * A canary in every writeOnly field, a life that touches everything (made, printed by the member itself, failed, revised, retried under a key, healed,
 * deleted), and then a search for it in everything that leaves the process or rests in the database.
 */
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../../src/core/json.ts";
import { openProcessFolder, type ProcessFolder, shellSpec } from "../support/process-world.ts";
import { type LiveApi, startLiveApi } from "./live-api.ts";

const canary = "canary-7f3a9c51e2d84b06";
/** The same secret as it might slip out: as it is, in base64, in hexadecimal, in a JSON text. */
const shapes = [canary, Buffer.from(canary).toString("base64").slice(0, 24), Buffer.from(canary).toString("hex")];

function leaks(where: string, text: string): string[] {
  return shapes
    .filter((shape) => text.includes(shape))
    .map((shape) => `${where}: …${text.slice(Math.max(0, text.indexOf(shape) - 80), text.indexOf(shape) + 40)}…`);
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function writeOnlyPaths(schema: Json, path: string): string[] {
  if (!isObject(schema)) return [];
  const here = schema["writeOnly"] === true ? [path] : [];
  const properties = schema["properties"];
  if (properties === undefined || !isObject(properties)) return here;
  return [...here, ...Object.entries(properties).flatMap(([name, child]) => writeOnlyPaths(child, path === "" ? name : `${path}.${name}`))];
}

describe("secrets", () => {
  let folder: ProcessFolder;
  let api: LiveApi;
  let admin: string;
  const answers: string[] = [];
  const frames: string[] = [];
  const leaving = new AbortController();
  let listening: Promise<void>;

  const ask = async (query: string, variables: JsonObject = {}): Promise<string> => {
    const text = await (await api.ask(admin, query, variables)).text();
    answers.push(text);
    return text;
  };
  const createProfile = (name: string, spec: JsonObject, idempotencyKey: string | null = null): Promise<string> =>
    ask(
      `mutation ($name: String!, $spec: JSONObject!, $key: String) { createProfile(input: {name: $name, type: "process", spec: $spec, idempotencyKey: $key}) {
         __typename ... on CreateProfilePayload { profile { spec } } ... on InvalidInput { issues { path message } } ... on Error { message } } }`,
      { name, spec, key: idempotencyKey },
    );

  beforeAll(async () => {
    folder = await openProcessFolder({ settleMs: 50 });
    api = await startLiveApi({ workers: 1, drivers: [folder.driver] });
    admin = (await api.mint("OPERATOR")).secret;
    const stream = await api.stream(admin, "subscription { events { type message data } }", { signal: leaving.signal });
    const decoder = new TextDecoder();
    listening = (async () => {
      for await (const chunk of stream.body ?? []) frames.push(decoder.decode(chunk, { stream: true }));
    })().catch(() => undefined);

    const secret = { TOKEN: canary, URL: `https://user:${canary}@example.org/` };
    await createProfile("talks", shellSpec('echo "it is $TOKEN at $URL" >&2; exec sleep 1000', { env: secret }), "key-1");
    await createProfile("talks", shellSpec('echo "it is $TOKEN at $URL" >&2; exec sleep 1000', { env: secret }), "key-1");
    await createProfile("dies", shellSpec('echo "dying with $TOKEN"; exit 3', { env: secret }));
    await createProfile("wrong", { command: "not a list", env: { ...secret, BAD: 7 }, ports: [{ [canary]: 1 }] });
    await createProfile("wronger", { command: ["sh"], env: `${canary}` });
    const misplaced: Json[] = [
      canary,
      { spec: canary },
      { name: "x", type: "process", spec: canary },
      { type: "process", spec: { env: { A: canary } } },
    ];
    for (const input of misplaced)
      await ask("mutation ($input: CreateProfileInput!) { createProfile(input: $input) { __typename ... on Error { message } } }", { input });
    await ask(`mutation { createProfile(input: {name: "x", type: "process", spec: "${canary}"}) { __typename } }`);
    await ask(
      `mutation ($spec: JSONObject!) { reviseProfile(input: {profile: {name: "talks"}, spec: $spec}) { ... on ReviseProfilePayload { profile { spec } } ... on Error { message } } }`,
      { spec: shellSpec("exec sleep 1000", { env: { TOKEN: `${canary}-revised` } }) },
    );
    for (const profile of ["talks", "dies"]) {
      await ask(
        `mutation { createCluster(input: {name: "${profile}", profile: {name: "${profile}"}, desiredCapacity: 1}) { __typename ... on Error { message } } }`,
      );
    }
    await api.world.until("one lives and one has failed", async () => {
      const facts = await ask(`{ clusterNodes { nodes { name status statusReason } } }`);
      return facts.includes("ACTIVE") && facts.includes("dying with");
    });
    await ask(`{
      profiles { nodes { name spec } } profileTypes { name specSchema }
      clusters { nodes { name conditions { message } nodes { nodes { name status statusReason metadata addresses { host port } health { message signals { message } } } } } }
      actions { nodes { kind statusReason inputs outputs } } events(last: 200) { nodes { message data } } }`);
    await ask(`{ profile(by: {name: "talks"}) { spec(`);
    await ask(`mutation { deleteCluster(input: {cluster: {name: "talks"}}) { __typename } }`);
    await api.world.until("it is gone", async () => (await ask(`{ cluster(by: {name: "talks"}) { id } }`)).includes(`"cluster":null`));
  }, 60_000);
  afterAll(async () => {
    leaving.abort();
    await listening;
    await api.stop();
    await folder.close();
  });

  test("every writeOnly field of every profile type → has a canary here", () => {
    const fields = [...api.world.drivers.values()].flatMap((driver) => writeOnlyPaths(driver.specSchema, driver.type));
    expect(fields).toEqual(["process.env"]);
  });

  test("answers and errors → do not hold it", () => {
    expect(answers.join("").length).toBeGreaterThan(1_000);
    expect(answers.flatMap((text) => leaks("answer", text))).toEqual([]);
  });

  test("frames of streams → do not hold it", () => {
    expect(frames.join("")).toContain("node.status.changed");
    expect(leaks("stream", frames.join(""))).toEqual([]);
  });

  test("the database, every row of every table → does not hold it", async () => {
    const { db } = api.world.database;
    const tables = await sql<{
      name: string;
    }>`select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'muster'`.execute(db);
    const found: string[] = [];
    for (const { name } of tables.rows) {
      const { rows } = await sql<{ text: string }>`select t::text as text from ${sql.raw(name)} t`.execute(db);
      for (const { text } of rows) found.push(...leaks(name, text));
    }
    expect(tables.rows.length).toBeGreaterThan(20);
    expect(found).toEqual([]);
  });

  test("log lines → do not hold it", () => {
    const { lines } = api.world.log;
    expect(lines.length).toBeGreaterThan(0);
    expect(
      leaks(
        "log",
        lines
          .map(
            (line) => `${line.message} ${JSON.stringify(line.fields, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value))}`,
          )
          .join("\n"),
      ),
    ).toEqual([]);
  });

  test("metrics → do not hold it", async () => {
    const response = await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${admin}` } });
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(leaks("metrics", text)).toEqual([]);
  });
});
