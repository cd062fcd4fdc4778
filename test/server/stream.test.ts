/** The real API's streams over their transports: resuming without gap or repeat, slow readers, dead tokens, bad cursors. */
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import { readClock, transaction } from "../../src/store/transaction.ts";
import { firstFrame, type LiveApi, startLiveApi } from "./live-api.ts";
import { SocketClient } from "./socket-client.ts";

let api: LiveApi;
let token: string;
beforeAll(async () => {
  api = await startLiveApi({ limits: { tokenRequestsPerSecond: 100_000 } });
  token = (await api.mint("ADMIN")).secret;
});
afterAll(() => api.stop());

interface EventFrame {
  readonly data?: { readonly events: { readonly cursor: string; readonly nodeName: string } };
  readonly errors?: readonly { readonly extensions: Readonly<Record<string, unknown>> }[];
}

/** Writes one transaction with some events whose names are numbered by their writer. */
async function write(writer: string, from: number, count: number, text = ""): Promise<void> {
  const { store, projectId } = api.world;
  await transaction(store, async (tx) => {
    for (let i = from; i < from + count; i++) {
      tx.events.push({
        type: "node.signal.changed",
        projectId,
        nodeId: brandId("node", store.runtime.entropy.uuid()),
        nodeName: `${writer}-${i}`,
        data: { subject: "WORKLOAD", from: "UNKNOWN", to: "HEALTHY", reason: "TEST", verdict: "UNKNOWN", message: text },
      });
    }
  });
}

/** Twice what is asserted: the last transaction of a writer owes nothing for the time it takes itself. */
const offeredPerSecond = 1_000;

/** Events per second as the ledger tells them: how many there are, and how far the first and the last lie apart. */
async function paceOf(writer: string): Promise<number> {
  const { rows } = await sql<{ pace: number }>`
    select (count(*) / extract(epoch from max(occurred_at) - min(occurred_at)))::float8 as pace
      from muster.event where node_name like ${`${writer}%`}`.execute(api.world.database.db);
  return rows[0]?.pace ?? 0;
}

async function cursorNow(): Promise<string> {
  const body: { data: { feedCursor: string } } = await (await api.ask(token, "{ feedCursor }")).json();
  return body.data.feedCursor;
}

const query = 'subscription($after: String) { events(after: $after, filter: { types: ["node.signal."] }) { cursor nodeName } }';

/** Takes some frames over a connection of its own, then leaves at once. Answers the names and the last cursor. */
type Visit = (after: string, frames: number) => Promise<{ names: string[]; last: string }>;

const overSocket: Visit = async (after, frames) => {
  const client = await new SocketClient(`${api.url.replace("http", "ws")}/graphql`).greet(token);
  client.subscribe("s", query, { after });
  // Its own frames are counted, not the greeting: whoever waits for one more must not leave with none.
  await client.until(() => client.messages.filter(({ type }) => type === "next").length > frames);
  client.socket.terminate();
  // What had arrived by then is what a real client would have seen.
  const seen = client.messages
    .flatMap(({ payload }) => (payload === undefined ? [] : [(payload as EventFrame).data?.events]))
    .filter((event) => event !== undefined);
  return { names: seen.map(({ nodeName }) => nodeName), last: seen.at(-1)?.cursor ?? after };
};

const overSse: Visit = async (after, frames) => {
  const leaving = new AbortController();
  // The first argument is stale on purpose: Last-Event-ID wins.
  const response = await api.stream(token, query, { signal: leaving.signal, lastEventId: after, variables: { after: null } });
  if (response.body === null) throw new Error("the stream has no body");
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if ([...text.matchAll(/^event: next$/gm)].length > frames) break;
  }
  leaving.abort();
  const whole = text.split("\n\n").slice(0, -1);
  const ids = whole.flatMap((frame) => /^id: (.+)$/m.exec(frame)?.[1] ?? []);
  const names = whole.flatMap((frame) => /"nodeName":"([^"]+)"/.exec(frame)?.[1] ?? []);
  return { names, last: ids.at(-1) ?? after };
};

describe.each([
  ["WebSocket", overSocket],
  ["SSE", overSse],
] as const)("resuming over %s", (name, visit) => {
  test("a subscriber that leaves and comes back 100 times while four writers make more than 500 events/s → no event missing, none twice, each writer's in order", async () => {
    const writers = 4;
    const { db } = api.world.store;
    const begunAt = await readClock(db);
    /** What a writer owes the schedule by the database's clock: however slow the machine, the pace is kept with larger transactions. */
    const owed = async (done: number): Promise<number> => {
      const elapsedMs = (await readClock(db)).getTime() - begunAt.getTime();
      return Math.max(5, Math.ceil((elapsedMs * offeredPerSecond) / 1_000 / writers) - done);
    };
    const written = Array.from({ length: writers }, () => 0);
    let visits = 0;
    let after = await cursorNow();
    const writing = Promise.all(
      written.map(async (_, w) => {
        while (visits < 100) {
          const done = written[w] ?? 0;
          const count = await owed(done);
          await write(`${name}${w}`, done, count);
          written[w] = done + count;
        }
      }),
    );
    const names: string[] = [];
    const come = async (frames: number): Promise<void> => {
      const seen = await visit(after, frames);
      names.push(...seen.names);
      after = seen.last;
      visits++;
    };
    while (visits < 100) await come((visits * 7) % 23);
    await writing;
    expect(await paceOf(name)).toBeGreaterThan(500);
    const total = written.reduce((sum, count) => sum + count, 0);
    while (names.length < total) await come(Math.min(500, total - names.length - 1));
    expect(new Set(names).size).toBe(names.length);
    for (const [w, count] of written.entries()) {
      const own = names.filter((event) => event.startsWith(`${name}${w}-`));
      expect(own).toEqual(Array.from({ length: count }, (_, i) => `${name}${w}-${i}`));
    }
  });
});

describe("cursors", () => {
  test.each([
    ["junk", "junk"],
    ["nothing", ""],
    ["half of one", "1.zzz"],
    ["10,000 letters", "a".repeat(10_000)],
    ["one with a NUL", "1.0.0.0\u0000"],
  ])("`after`, %s → INVALID_CURSOR alone, over WebSocket and over SSE", async (_case, after) => {
    const client = await new SocketClient(`${api.url.replace("http", "ws")}/graphql`).greet(token);
    client.subscribe("s", query, { after });
    const error = await client.until(({ type }) => type === "error");
    expect(error.payload).toMatchObject([{ extensions: { code: "INVALID_CURSOR", requestId: expect.any(String) } }]);
    client.socket.terminate();
    const frame = await firstFrame(await api.stream(token, query, { variables: { after } }));
    expect(frame).toMatchObject({ errors: [{ extensions: { code: "INVALID_CURSOR" } }] });
  });

  test("a cursor of another ledger's life → CURSOR_EXPIRED with oldest", async () => {
    const [version, , ...rest] = (await cursorNow()).split(".");
    const frame = await firstFrame(await api.stream(token, query, { lastEventId: [version, "zz", ...rest].join(".") }));
    expect(frame).toMatchObject({ errors: [{ extensions: { code: "CURSOR_EXPIRED", oldest: expect.any(String) } }] });
  });
});

describe("dead tokens", () => {
  test("revoked while streaming → the socket closes with 4401, the SSE stream says UNAUTHENTICATED, and the next request gets 401", async () => {
    const { secret, tokenId } = await api.mint("READER");
    const client = await new SocketClient(`${api.url.replace("http", "ws")}/graphql`).greet(secret);
    client.subscribe("s", query);
    const frame = firstFrame(await api.stream(secret, query));
    await api.world.database.db.updateTable("muster.token").set({ revoked_at: new Date() }).where("id", "=", tokenId).execute();
    expect((await client.closed).code).toBe(4401);
    expect(await frame).toMatchObject({ errors: [{ extensions: { code: "UNAUTHENTICATED" } }] });
    expect((await api.ask(secret, "{ viewer { role } }")).status).toBe(401);
  });
});

describe("slow readers", () => {
  test("a socket that does not read → its stream alone ends with SLOW_CONSUMER and a cursor, from which nothing is missing", async () => {
    const endedBefore = api.feed.stats().slowEnded;
    const after = await cursorNow();
    const client = await new SocketClient(`${api.url.replace("http", "ws")}/graphql`).greet(token);
    client.subscribe(
      "slow",
      'subscription($after: String) { events(after: $after, filter: { types: ["node.signal."] }) { cursor nodeName data message } }',
      { after },
    );
    await write("slow", 0, 1);
    await client.until(({ type }) => type === "next");
    client.socket.pause();
    const text = "x".repeat(20_000);
    let written = 1;
    while (api.feed.stats().slowEnded === endedBefore) {
      await write("slow", written, 50, text);
      written += 50;
    }
    const metrics = await (await fetch(`${api.url}/metrics`)).text();
    expect(metrics).toContain(`muster_feed_slow_streams_ended ${endedBefore + 1}`);
    expect(metrics).toContain("muster_feed_ready 1");
    client.socket.resume();
    const error = await client.until(({ type }) => type === "error");
    expect(error).toMatchObject({ id: "slow", payload: [{ extensions: { code: "SLOW_CONSUMER", cursor: expect.any(String) } }] });
    const seen = client.messages.filter(({ type }) => type === "next").length;
    const cursor = String(Reflect.get(Object(Reflect.get(Object((error.payload as readonly object[])[0]), "extensions")), "cursor"));
    client.subscribe("again", query, { after: cursor });
    const next = await client.until(({ id, type }) => id === "again" && type === "next");
    expect(next.payload).toMatchObject({ data: { events: { nodeName: `slow-${seen}` } } });
    client.socket.terminate();
  });
});
