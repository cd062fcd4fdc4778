/** graphql-transport-ws, spoken by hand, so that every frame is seen. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConnectionLost } from "../../src/store/failure.ts";
import { SocketClient } from "./socket-client.ts";
import { startTestServer, type TestServer } from "./support.ts";

let server: TestServer;
const clients: SocketClient[] = [];

function connect(options: { headers?: Record<string, string>; protocol?: string } = {}): SocketClient {
  const client = new SocketClient(server.ws, options);
  clients.push(client);
  return client;
}

async function* numbers(count: number): AsyncGenerator<{ cursor: string; number: number }, void, void> {
  for (let i = 1; i <= count; i++) yield { cursor: `c${i}`, number: i };
}

/** Never says anything; ends with its signal. */
async function* silence(signal: AbortSignal): AsyncGenerator<never, void, void> {
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
}

beforeEach(async () => {
  server = await startTestServer();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.terminate();
  await server.close();
});

describe("connecting", () => {
  test("a token in connection_init → acknowledged", async () => {
    await connect().greet(server.token);
  });

  test("a token in the upgrade's header → acknowledged", async () => {
    const client = await connect({ headers: { authorization: `Bearer ${server.token}` } }).opened();
    client.send({ type: "connection_init" });
    await client.until((message) => message.type === "connection_ack");
  });

  test.each([
    ["no payload", undefined],
    ["null", null],
    ["an empty one", {}],
    ["a number as token", { authorization: 7 }],
    ["junk", { authorization: "Bearer nope" }],
  ])("connection_init with %s → 4401", async (_case, payload) => {
    const client = await connect().opened();
    client.send({ type: "connection_init", payload });
    expect((await client.closed).code).toBe(4401);
  });

  test.each(["expired", "revoked"] as const)("a token that is %s → 4401", async (state) => {
    const client = await connect().opened();
    client.send({ type: "connection_init", payload: { authorization: `Bearer ${server.tokens.mint(server.runtime, "ADMIN", state)}` } });
    expect(await client.closed).toMatchObject({ code: 4401 });
  });

  test("the database is away → 1013: come again", async () => {
    server.tokens.failure = new ConnectionLost(new Error("gone"));
    const client = await connect().opened();
    client.send({ type: "connection_init", payload: { authorization: `Bearer ${server.token}` } });
    expect((await client.closed).code).toBe(1013);
  });

  test("a subscribe before connection_init → 4401; a second connection_init → 4429", async () => {
    const eager = await connect().opened();
    eager.subscribe("1", "{ hello }");
    expect((await eager.closed).code).toBe(4401);
    const twice = await connect().greet(server.token);
    twice.send({ type: "connection_init", payload: {} });
    expect((await twice.closed).code).toBe(4429);
  });

  test.each(["graphql-ws", "junk"])("the protocol %s → refused", async (protocol) => {
    const client = connect({ protocol });
    await expect(client.opened().then(async () => (await client.closed).code)).rejects.toThrow();
  });

  test.each([
    ["a foreign Origin", { origin: "https://evil.example" }],
    ["a foreign Host", { host: "evil.example" }],
  ])("an upgrade with %s → refused before it is one", async (_case, headers) => {
    await expect(connect({ headers }).opened()).rejects.toThrow(/403|421/);
  });

  test("an allowed Origin → acknowledged", async () => {
    await connect({ headers: { origin: "https://console.example" } }).greet(server.token);
  });

  test("another path → 404", async () => {
    const client = new SocketClient(`${server.ws}/other`);
    clients.push(client);
    await expect(client.opened()).rejects.toThrow("404");
  });

  test("n sockets of a token → open, the next → 1013", async () => {
    await server.close();
    server = await startTestServer({ limits: { tokenSockets: 3 } });
    for (let i = 0; i < 3; i++) await connect().greet(server.token);
    const extra = await connect().opened();
    extra.send({ type: "connection_init", payload: { authorization: `Bearer ${server.token}` } });
    expect((await extra.closed).code).toBe(1013);
    clients[0]?.socket.close();
    await clients[0]?.closed;
    await connect().greet(server.token);
  });

  test("a token is revoked while connected → 4401", async () => {
    const client = await connect().greet(server.token);
    server.tokens.revoke(server.token);
    expect((await client.closed).code).toBe(4401);
  });

  test("the server stops → 1012", async () => {
    const client = await connect().greet(server.token);
    await server.close();
    expect((await client.closed).code).toBe(1012);
  });
});

describe("operations", () => {
  test("a query → next and complete, with its cost", async () => {
    const client = await connect().greet(server.token);
    client.subscribe("q", "{ hello thing { name } }");
    const next = await client.until((message) => message.type === "next");
    expect(next).toMatchObject({ id: "q", payload: { data: { hello: "hello world" }, extensions: { cost: { requested: 1, actual: 1 } } } });
    await client.until((message) => message.type === "complete" && message.id === "q");
  });

  test("a mutation → runs", async () => {
    const client = await connect().greet(server.token);
    client.subscribe("m", "mutation { bump }");
    expect(await client.until((message) => message.type === "next")).toMatchObject({ payload: { data: { bump: 1 } } });
  });

  test("a subscription → its frames in order, then complete", async () => {
    server.probe.source = () => numbers(3);
    const client = await connect().greet(server.token);
    client.subscribe("s", "subscription { ticks { number } }");
    await client.until((message) => message.type === "complete");
    expect(client.messages.filter(({ type }) => type === "next").map(({ payload }) => payload)).toEqual(
      [1, 2, 3].map((number) => ({ data: { ticks: { number } } })),
    );
  });

  test.each([
    ["a syntax error", "subscription {"],
    ["an unknown field", "{ nope }"],
    ["no operation", "fragment F on Query { hello }"],
    ["a NUL", "{ \u0000 }"],
    ["an empty document", ""],
    ["too many tokens", `{ ${"hello ".repeat(10_000)} }`],
    ["too deep a document", `{ ${"thing { parent { ".repeat(11)} id ${"} }".repeat(11)} }`],
    ["a missing variable", "query($n: Int!) { count(n: $n) }"],
  ])("%s → an error message; the socket stays", async (_case, query) => {
    const client = await connect().greet(server.token);
    client.subscribe("bad", query);
    const error = await client.until((message) => message.type === "error" && message.id === "bad");
    expect(error.payload).toMatchObject([{ message: expect.any(String), extensions: { code: "BAD_USER_INPUT", requestId: expect.any(String) } }]);
    client.subscribe("good", "{ hello }");
    await client.until((message) => message.type === "complete" && message.id === "good");
  });

  test("too costly an operation → an error message with cost and limit", async () => {
    const client = await connect().greet(server.token);
    client.subscribe("c", "{ things(first: 1000) { nodes { things(first: 1000) { nodes { id } } } } }");
    const error = await client.until((message) => message.type === "error");
    expect(error.payload).toMatchObject([{ extensions: { code: "COST_EXCEEDED", cost: 1_001_000, limit: 20_000 } }]);
  });

  test("a source that fails while it runs → an error message for it alone, masked", async () => {
    server.probe.source = async function* () {
      yield { cursor: "c1", number: 1 };
      throw new Error("boom in the engine room");
    };
    const client = await connect().greet(server.token);
    client.subscribe("s", "subscription { ticks { number } }");
    const error = await client.until((message) => message.type === "error");
    expect(error).toMatchObject({ id: "s", payload: [{ extensions: { code: "INTERNAL_SERVER_ERROR" } }] });
    expect(JSON.stringify(client.messages)).not.toContain("boom");
    client.subscribe("good", "{ hello }");
    await client.until((message) => message.type === "complete" && message.id === "good");
  });

  test.each([
    "",
    "junk",
    "7",
    "null",
    "[]",
    "{}",
    '{"type":"nope"}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","id":"1"}',
    '{"type":"subscribe","id":"1","payload":{"query":7}}',
  ])("the message %j → 4400, and the server lives", async (text) => {
    const client = await connect().greet(server.token);
    client.send(text);
    expect((await client.closed).code).toBe(4400);
    await connect().greet(server.token);
  });

  test("a message past the limit → 1009", async () => {
    const client = await connect().greet(server.token);
    client.send("x".repeat(server.options.limits.bodyBytes + 1));
    expect((await client.closed).code).toBe(1009);
  });

  test("the same id twice → 4409", async () => {
    server.probe.source = (_field, _args, signal) => silence(signal);
    const client = await connect().greet(server.token);
    client.subscribe("s", "subscription { ticks { number } }");
    client.subscribe("s", "subscription { ticks { number } }");
    expect((await client.closed).code).toBe(4409);
  });

  test("n subscriptions of a socket → live, the next → RATE_LIMITED alone, and there is room again after a complete", async () => {
    await server.close();
    server = await startTestServer({ limits: { socketSubscriptions: 5 } });
    server.probe.source = (_field, _args, signal) => silence(signal);
    const client = await connect().greet(server.token);
    for (let i = 1; i <= 6; i++) client.subscribe(`s${i}`, "subscription { ticks { number } }");
    const error = await client.until((message) => message.type === "error");
    expect(error).toMatchObject({ id: "s6", payload: [{ extensions: { code: "RATE_LIMITED" } }] });
    client.send({ type: "complete", id: "s1" });
    client.subscribe("q", "{ hello }");
    await client.until((message) => message.type === "complete" && message.id === "q");
  });

  test("operations past the token's rate → RATE_LIMITED alone", async () => {
    await server.close();
    server = await startTestServer({ limits: { tokenRequestsPerSecond: 3 } });
    server.runtime.freeze();
    const client = await connect().greet(server.token);
    for (let i = 1; i <= 4; i++) client.subscribe(`q${i}`, "{ hello }");
    expect(await client.until((message) => message.type === "error")).toMatchObject({
      id: "q4",
      payload: [{ extensions: { code: "RATE_LIMITED", retryAfterMs: 334 } }],
    });
  });
});

describe("ending", () => {
  test("a client's complete → the source is told at once, also while it waits", async () => {
    const told = new Promise<void>((resolve) => {
      server.probe.source = (_field, _args, signal) => {
        signal.addEventListener("abort", () => resolve());
        queueMicrotask(() => server.probe.note("subscribed"));
        return silence(signal);
      };
    });
    const subscribed = new Promise<void>((resolve) => {
      server.probe.note = () => resolve();
    });
    const client = await connect().greet(server.token);
    client.subscribe("s", "subscription { ticks { number } }");
    await subscribed;
    client.send({ type: "complete", id: "s" });
    await told;
  });

  test("a client's complete in an endless, fast stream → it stops, and the socket answers the next query", async () => {
    let pulled = 0;
    server.probe.source = async function* () {
      for (;;) yield { cursor: `c${++pulled}`, number: pulled };
    };
    const client = await connect().greet(server.token);
    client.subscribe("s", "subscription { ticks { number } }");
    await client.until((message) => message.type === "next");
    client.send({ type: "complete", id: "s" });
    client.subscribe("q", "{ hello }");
    await client.until((message) => message.type === "complete" && message.id === "q");
    const received = client.messages.length;
    client.subscribe("q2", "{ hello }");
    await client.until((message) => message.type === "complete" && message.id === "q2");
    expect(client.messages.slice(received).filter(({ id }) => id === "s")).toEqual([]);
    expect(pulled).toBeLessThan(20_000);
  });

  test("the socket closes → every source is told", async () => {
    let live = 0;
    const gone = new Promise<void>((resolve) => {
      server.probe.source = (_field, _args, signal) => {
        live++;
        signal.addEventListener("abort", () => {
          live--;
          if (live === 0) resolve();
        });
        if (live === 3) server.probe.note("all");
        return silence(signal);
      };
    });
    const all = new Promise<void>((resolve) => {
      server.probe.note = () => resolve();
    });
    const client = await connect().greet(server.token);
    for (const id of ["a", "b", "c"]) client.subscribe(id, "subscription { ticks { number } }");
    await all;
    client.socket.terminate();
    await gone;
  });

  test("a client that does not read → the stream waits for it, with a bounded number of frames in memory", async () => {
    let pulled = 0;
    let stalled: () => void = () => undefined;
    const text = "x".repeat(100_000);
    server.probe.source = async function* (_field: string, _args: unknown, signal: AbortSignal) {
      while (!signal.aborted) {
        pulled++;
        yield { cursor: `c${pulled}`, number: pulled, text };
        stalled();
      }
    };
    const client = await connect().greet(server.token);
    client.subscribe("s", "subscription { ticks { number text } }");
    await client.until((message) => message.type === "next");
    client.socket.pause();
    // Until the kernel's buffers are full, the stream goes on; then it must stand still while the loop turns.
    let before = -1;
    while (before !== pulled) {
      before = pulled;
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(pulled * text.length).toBeLessThan(50_000_000);
    const resumed = new Promise<void>((resolve) => {
      stalled = resolve;
    });
    client.socket.resume();
    await resumed;
  });
});
