/** Server-sent events: frames, cursors, resuming, ending, and readers that do not read. */
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { createClient } from "graphql-sse";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startTestServer, type TestServer } from "./support.ts";

interface Frame {
  readonly event: string;
  readonly id: string | null;
  readonly data: unknown;
}

/** One stream, read by hand. */
class Stream {
  readonly frames: Frame[] = [];
  response: IncomingMessage | null = null;
  comments = 0;
  ended = false;
  private readonly outgoing: ClientRequest;
  private text = "";
  private waiting: (() => void)[] = [];

  constructor(url: string, token: string, query: string, headers: Record<string, string> = {}, variables: unknown = {}) {
    this.outgoing = request(`${url}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream", authorization: `Bearer ${token}`, ...headers },
    });
    this.outgoing.on("response", (response) => {
      this.response = response;
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => this.take(chunk));
      response.on("close", () => {
        this.ended = true;
        this.wake();
      });
      response.on("error", () => undefined);
      this.wake();
    });
    this.outgoing.on("error", () => {
      this.ended = true;
      this.wake();
    });
    this.outgoing.end(JSON.stringify({ query, variables }));
  }

  private take(chunk: string): void {
    this.text += chunk;
    for (let end = this.text.indexOf("\n\n"); end >= 0; end = this.text.indexOf("\n\n")) {
      const lines = this.text.slice(0, end).split("\n");
      this.text = this.text.slice(end + 2);
      const value = (name: string): string | null =>
        lines
          .find((line) => line.startsWith(`${name}:`))
          ?.slice(name.length + 1)
          .trim() ?? null;
      const event = value("event");
      if (event === null) this.comments++;
      else this.frames.push({ event, id: value("id"), data: value("data") === "" ? null : JSON.parse(value("data") ?? "null") });
    }
    this.wake();
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.ended) throw new Error(`the stream ended before: ${JSON.stringify(this.frames.slice(-3))}`);
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  async end(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  leave(): void {
    this.outgoing.destroy();
  }
}

let server: TestServer;
const streams: Stream[] = [];

function open(query: string, options: { token?: string; headers?: Record<string, string>; variables?: unknown } = {}): Stream {
  const stream = new Stream(server.url, options.token ?? server.token, query, options.headers, options.variables);
  streams.push(stream);
  return stream;
}

async function* numbers(from: number, count: number): AsyncGenerator<{ cursor: string; number: number }, void, void> {
  for (let i = from; i < from + count; i++) yield { cursor: `c${i}`, number: i };
}

async function* silence(signal: AbortSignal): AsyncGenerator<never, void, void> {
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
}

beforeEach(async () => {
  server = await startTestServer();
});
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.leave();
  await server.close();
});

const ticks = "subscription { ticks { number } }";

describe("frames", () => {
  test("a subscription → next frames in order, complete, and the end", async () => {
    server.probe.source = () => numbers(1, 3);
    const stream = open(ticks);
    await stream.end();
    expect(stream.response?.statusCode).toBe(200);
    expect(stream.response?.headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    expect(stream.frames.map(({ event, data }) => [event, data])).toEqual([
      ...[1, 2, 3].map((number) => ["next", { data: { ticks: { number } } }]),
      ["complete", null],
    ]);
  });

  test("before anything happens → a comment at once", async () => {
    server.probe.source = (_field, _args, signal) => silence(signal);
    const stream = open(ticks);
    await stream.until(() => stream.comments > 0);
  });

  test("a query → one next frame and complete", async () => {
    const stream = open("{ hello }");
    await stream.end();
    expect(stream.frames).toMatchObject([{ event: "next", data: { data: { hello: "hello world" } } }, { event: "complete" }]);
  });

  test("graphql-sse's own client → reads it", async () => {
    server.probe.source = () => numbers(1, 3);
    const client = createClient({ url: `${server.url}/graphql`, headers: { authorization: `Bearer ${server.token}` } });
    const got: unknown[] = [];
    for await (const result of client.iterate({ query: ticks })) got.push(result);
    expect(got).toEqual([1, 2, 3].map((number) => ({ data: { ticks: { number } } })));
    client.dispose();
  });

  test("GET → the same", async () => {
    server.probe.source = () => numbers(1, 1);
    const response = await fetch(`${server.url}/graphql?query=${encodeURIComponent(ticks)}`, {
      headers: { accept: "text/event-stream", authorization: `Bearer ${server.token}` },
    });
    expect(await response.text()).toContain('id: c1\ndata: {"data":{"ticks":{"number":1}}}');
  });

  test("a subscription without Accept: text/event-stream → 400 that says what to send", async () => {
    server.probe.source = () => numbers(1, 3);
    const response = await server.ask(ticks);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("Accept: text/event-stream");
  });
});

describe("cursors", () => {
  test.each([
    ["asked for", "subscription { ticks { cursor number } }"],
    ["not asked for", ticks],
    ["under an alias", "subscription { t: ticks { c: cursor n: number } }"],
    ["through fragments", "subscription { ...F } fragment F on Subscription { ticks { ...G } } fragment G on Tick { number }"],
    ["of a batch", "subscription { batches { ticks { number } } }"],
  ])("a stream with cursors, %s → each frame carries it as id, and nothing more than was asked for", async (_case, query) => {
    server.probe.source = async function* (field: string) {
      for (let i = 1; i <= 2; i++)
        yield field === "batches" ? { cursor: `c${i}`, ticks: [{ cursor: "x", number: i }] } : { cursor: `c${i}`, number: i };
    };
    const stream = open(query);
    await stream.end();
    expect(stream.frames.map(({ id }) => id)).toEqual(["c1", "c2", null]);
    expect(JSON.stringify(stream.frames)).not.toContain("__muster");
  });

  test("a stream without cursors → no id", async () => {
    server.probe.source = async function* () {
      yield 7;
    };
    const stream = open("subscription { plain }");
    await stream.end();
    expect(stream.frames[0]).toEqual({ event: "next", id: null, data: { data: { plain: 7 } } });
  });

  test("Last-Event-ID → becomes `after`, in the place of the client's own", async () => {
    const asked: unknown[] = [];
    server.probe.source = (_field, args) => {
      asked.push(args["after"]);
      return numbers(1, 1);
    };
    await open(ticks, { headers: { "last-event-id": "c41" } }).end();
    await open('subscription { ticks(after: "c1", big: false) { number } }', { headers: { "last-event-id": "c42" } }).end();
    await open("subscription($a: String) { ticks(after: $a) { number } }", { headers: { "last-event-id": "c43" }, variables: { a: "c1" } }).end();
    await open('subscription { ticks(after: "c1") { number } }').end();
    expect(asked).toEqual(["c41", "c42", "c43", "c1"]);
  });

  test("Last-Event-ID for a stream that cannot resume → ignored", async () => {
    server.probe.source = async function* () {
      yield 7;
    };
    const stream = open("subscription { plain }", { headers: { "last-event-id": "c41" } });
    await stream.end();
    expect(stream.frames[0]).toMatchObject({ data: { data: { plain: 7 } } });
  });
});

describe("ending", () => {
  test("the client leaves → the source is told", async () => {
    const told = new Promise<void>((resolve) => {
      server.probe.source = (_field, _args, signal) => {
        signal.addEventListener("abort", () => resolve());
        return silence(signal);
      };
    });
    const stream = open(ticks);
    await stream.until(() => stream.comments > 0);
    stream.leave();
    await told;
  });

  test("the token is revoked → a last frame UNAUTHENTICATED and complete", async () => {
    server.probe.source = (_field, _args, signal) => silence(signal);
    const stream = open(ticks);
    await stream.until(() => stream.comments > 0);
    server.tokens.revoke(server.token);
    await stream.end();
    expect(stream.frames).toMatchObject([{ event: "next", data: { errors: [{ extensions: { code: "UNAUTHENTICATED" } }] } }, { event: "complete" }]);
  });

  test("a source that fails → a last frame with a masked error, and complete", async () => {
    server.probe.source = async function* () {
      yield { cursor: "c1", number: 1 };
      throw new Error("boom in the engine room");
    };
    const stream = open(ticks);
    await stream.end();
    expect(stream.frames.slice(1)).toMatchObject([
      { event: "next", data: { errors: [{ extensions: { code: "INTERNAL_SERVER_ERROR" } }] } },
      { event: "complete" },
    ]);
    expect(JSON.stringify(stream.frames)).not.toContain("boom");
  });

  test("the server stops → the stream breaks off without complete, so that its client comes back", async () => {
    server.probe.source = (_field, _args, signal) => silence(signal);
    const stream = open(ticks);
    await stream.until(() => stream.comments > 0);
    await server.close();
    await stream.end();
    expect(stream.frames).toEqual([]);
  });

  test("n streams of a token → live, the next → RATE_LIMITED", async () => {
    await server.close();
    server = await startTestServer({ limits: { tokenSockets: 2 } });
    server.probe.source = (_field, _args, signal) => silence(signal);
    const open2 = [open(ticks), open(ticks)];
    for (const stream of open2) await stream.until(() => stream.comments > 0);
    const extra = open(ticks);
    await extra.end();
    expect(extra.frames[0]).toMatchObject({ data: { errors: [{ extensions: { code: "RATE_LIMITED" } }] } });
  });

  test.each(["expired", "revoked"] as const)("a token that is %s → 401, no stream", async (state) => {
    const stream = open(ticks, { token: server.tokens.mint(server.runtime, "ADMIN", state) });
    await stream.end();
    expect(stream.response?.statusCode).toBe(401);
  });

  test.each([
    ["a syntax error", "subscription {", "BAD_USER_INPUT"],
    [
      "too many objects",
      "subscription { batches(maxSize: 1000) { ticks { number } } state { things(first: 1000) { nodes { things(first: 1000) { nodes { id } } } } } }",
      "BAD_USER_INPUT",
    ],
    ["too costly a frame", "subscription { state { things(first: 1000) { nodes { things(first: 1000) { nodes { id } } } } } }", "COST_EXCEEDED"],
  ])("%s → one frame with the error, and complete", async (_case, query, code) => {
    const stream = open(query);
    await stream.end();
    expect(stream.frames).toMatchObject([{ event: "next", data: { errors: [{ extensions: { code } }] } }, { event: "complete" }]);
  });
});

describe("back-pressure", () => {
  test("a client that does not read → the source is not pulled on; once it reads, it goes on without a gap", async () => {
    let pulled = 0;
    const text = "x".repeat(100_000);
    server.probe.source = async function* (_field: string, _args: unknown, signal: AbortSignal) {
      while (!signal.aborted) yield { cursor: `c${++pulled}`, number: pulled, text };
    };
    const stream = open("subscription { ticks { number text } }");
    await stream.until(() => stream.frames.length > 0);
    stream.response?.pause();
    let before = -1;
    while (before !== pulled) {
      before = pulled;
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(pulled * text.length).toBeLessThan(50_000_000);
    const stoodAt = pulled;
    stream.response?.resume();
    await stream.until(() => stream.frames.length > stoodAt);
    expect(stream.frames.map(({ id }) => id)).toEqual(stream.frames.map((_, i) => `c${i + 1}`));
  });

  test("a fast stream of one client → another's query is answered", async () => {
    server.probe.source = async function* (_field: string, _args: unknown, signal: AbortSignal) {
      for (let i = 1; !signal.aborted; i++) yield { cursor: `c${i}`, number: i };
    };
    const stream = open(ticks);
    await stream.until(() => stream.frames.length > 0);
    expect((await server.ask("{ hello }")).status).toBe(200);
  });
});
