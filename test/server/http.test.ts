/** The HTTP door: who gets in, what is refused, and how it is said. */
import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConnectionLost } from "../../src/store/failure.ts";
import { answer, startTestServer, type TestServer } from "./support.ts";

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer();
});
afterEach(() => server.close());

/** A request with headers that fetch would not let us set. */
function raw(options: {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string;
}): Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `${server.url}${options.path ?? "/graphql"}`,
      { method: options.method ?? "POST", headers: { "content-type": "application/json", ...options.headers } },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(options.body ?? JSON.stringify({ query: "{ hello }" }));
  });
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

describe("authentication", () => {
  test("a good token: a query → its answer with a request id", async () => {
    const response = await server.ask("{ hello }");
    expect(response.status).toBe(200);
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(await answer(response)).toMatchObject({ data: { hello: "hello world" } });
  });

  test.each([
    ["no header", {}, "needed"],
    ["an empty one", { authorization: "" }, "needed"],
    ["another scheme", { authorization: "Basic YTpi" }, "not one of ours"],
    ["a mistyped token", { authorization: "Bearer muster_00000000000000000000000000000000000000" }, "not one of ours"],
    ["junk", { authorization: "Bearer \u00ff\u00fe drop table" }, "not one of ours"],
  ])("%s → 401 with WWW-Authenticate and UNAUTHENTICATED", async (_case, headers, message) => {
    const response = await raw({ headers });
    expect(response.status).toBe(401);
    expect(response.headers["www-authenticate"]).toBe('Bearer realm="muster"');
    const { errors } = JSON.parse(response.body);
    expect(errors[0].extensions.code).toBe("UNAUTHENTICATED");
    expect(errors[0].extensions.requestId).toBe(response.headers["x-request-id"]);
    expect(errors[0].message).toContain(message);
  });

  test.each(["expired", "revoked"] as const)("a token that is %s → 401 that says so in words", async (state) => {
    const token = server.tokens.mint(server.runtime, "ADMIN", state);
    const response = await server.ask("{ hello }", { token });
    expect(response.status).toBe(401);
    expect((await answer(response)).errors?.[0]?.message).toMatch(/revoked|end, which has passed/);
  });

  test("a token in the query string: ignored → 401", async () => {
    const response = await raw({
      method: "GET",
      path: `/graphql?query={hello}&token=${server.token}&authorization=Bearer%20${server.token}`,
      headers: { accept: "application/json" },
      body: "",
    });
    expect(response.status).toBe(401);
  });

  test("a revoked token: within a second → 401, however often it was used", async () => {
    expect((await server.ask("{ hello }")).status).toBe(200);
    server.tokens.revoke(server.token);
    server.runtime.advance(1_000);
    expect((await server.ask("{ hello }")).status).toBe(401);
  });

  test("many requests at once with one token → one look-up", async () => {
    server.runtime.freeze();
    const responses = await Promise.all(Array.from({ length: 50 }, () => server.ask("{ hello }")));
    expect(responses.every((response) => response.status === 200)).toBe(true);
    expect(server.tokens.lookups.length).toBe(1);
  });

  test("the database is away → 503 UNAVAILABLE, the server lives", async () => {
    server.tokens.failure = new ConnectionLost(new Error("gone"));
    const response = await server.ask("{ hello }");
    expect(response.status).toBe(503);
    expect((await answer(response)).errors?.[0]?.extensions["code"]).toBe("UNAVAILABLE");
    server.tokens.failure = null;
    expect((await server.ask("{ hello }")).status).toBe(200);
  });
});

describe("failed logins", () => {
  test("n of an address → 401, the next → 429 with Retry-After, and later 401 again", async () => {
    const wrong = { token: "muster_wrong" };
    for (let i = 0; i < server.options.limits.failedLoginsPerMinute; i++) expect((await server.ask("{ hello }", wrong)).status).toBe(401);
    const slowed = await server.ask("{ hello }", wrong);
    expect(slowed.status).toBe(429);
    expect(Number(slowed.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await answer(slowed)).errors?.[0]?.extensions["code"]).toBe("RATE_LIMITED");
    server.runtime.advance(60_000);
    expect((await server.ask("{ hello }", wrong)).status).toBe(401);
  });

  test("another's failures from the same address: a good token → still let in", async () => {
    for (let i = 0; i < 100; i++) await server.ask("{ hello }", { token: "muster_wrong" });
    expect((await server.ask("{ hello }")).status).toBe(200);
    expect((await server.ask("{ hello }", { token: server.tokens.mint(server.runtime) })).status).toBe(200);
  });
});

describe("the rate of a token", () => {
  test("n requests at once → answered, the next → 429 with Retry-After; another token is not touched", async () => {
    await server.close();
    server = await startTestServer({ limits: { tokenRequestsPerSecond: 20 } });
    server.runtime.freeze();
    for (let i = 0; i < 20; i++) expect((await server.ask("{ hello }")).status).toBe(200);
    const refused = await server.ask("{ hello }");
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await answer(refused)).errors?.[0]?.extensions).toMatchObject({ code: "RATE_LIMITED", retryAfterMs: 50 });
    expect((await server.ask("{ hello }", { token: server.tokens.mint(server.runtime) })).status).toBe(200);
    server.runtime.advance(50);
    expect((await server.ask("{ hello }")).status).toBe(200);
  });
});

describe("names and origins", () => {
  test.each(["localhost", "127.0.0.1:4000", "[::1]:4000", "10.1.2.3", "muster.localhost"])("Host %s → answered", async (host) => {
    expect((await raw({ headers: { host, ...bearer(server.token) } })).status).toBe(200);
  });

  test.each(["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4000", "a b"])(
    "Host %s → 421, or refused by HTTP itself",
    async (host) => {
      expect([400, 421]).toContain((await raw({ headers: { host, ...bearer(server.token) } })).status);
    },
  );

  test("a configured name → answered", async () => {
    await server.close();
    server = await startTestServer({ hosts: ["muster.example"] });
    expect((await raw({ headers: { host: "Muster.Example:4000", ...bearer(server.token) } })).status).toBe(200);
  });

  test("probes are answered under any name", async () => {
    expect((await raw({ method: "GET", path: "/healthz", headers: { host: "evil.example" }, body: "" })).status).toBe(200);
  });

  test.each(["http://localhost:5173", "http://127.0.0.1:80", "https://console.example"])(
    "Origin %s → answered, with CORS headers and no cookies",
    async (origin) => {
      const response = await raw({ headers: { origin, ...bearer(server.token) } });
      expect(response.status).toBe(200);
      expect(response.headers["access-control-allow-origin"]).toBe(origin);
      expect(response.headers["access-control-allow-credentials"]).toBeUndefined();
      expect(response.headers["set-cookie"]).toBeUndefined();
    },
  );

  test.each(["https://evil.example", "http://localhost.evil.example", "https://console.example.evil", "null", "http://console.example"])(
    "Origin %s → 403, no CORS headers",
    async (origin) => {
      const response = await raw({ headers: { origin, ...bearer(server.token) } });
      expect(response.status).toBe(403);
      expect(response.headers["access-control-allow-origin"]).toBeUndefined();
    },
  );

  test("a preflight of an allowed origin → 204 that allows Authorization", async () => {
    const headers = {
      origin: "https://console.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    };
    const response = await raw({ method: "OPTIONS", headers, body: "" });
    expect(response.status).toBe(204);
    expect(response.headers["access-control-allow-headers"]).toContain("authorization");
  });
});

describe("bad requests", () => {
  const post = (body: string, headers: Record<string, string> = {}) => raw({ body, headers: { ...bearer(server.token), ...headers } });

  test("a body of 10 MB → 413 in GraphQL's shape", async () => {
    const response = await post(JSON.stringify({ query: `{ hello } #${"x".repeat(10_000_000)}` }));
    expect(response.status).toBe(413);
    expect(JSON.parse(response.body).errors[0].extensions).toMatchObject({ code: "BAD_USER_INPUT" });
  });

  test("a chunked body past the limit → 413, at the limit → answered", async () => {
    const limit = server.options.limits.bodyBytes;
    const fitting = JSON.stringify({ query: "{ hello }", variables: { pad: "" } });
    const padded = (bytes: number): string => fitting.replace('"pad":""', `"pad":"${"x".repeat(bytes - fitting.length)}"`);
    expect((await post(padded(limit))).status).toBe(200);
    expect((await post(padded(limit + 1))).status).toBe(413);
    expect((await post(padded(limit + 1), { "transfer-encoding": "chunked" })).status).toBe(413);
  });

  test.each([
    ["invalid JSON", "{", 400],
    ["a number", "7", 400],
    ["null", "null", 400],
    ["an empty list (batching)", "[]", 400],
    ["a batch", '[{"query":"{ hello }"}]', 400],
    ["no query", "{}", 400],
    ["a query of another type", '{"query": {}}', 400],
    ["variables of another type", '{"query": "{ hello }", "variables": "x"}', 400],
    ["an unknown parameter", '{"query": "{ hello }", "token": "x"}', 400],
    ["a NUL in the query", '{"query": "{ \\u0000 }"}', 400],
    ["an unknown field", '{"query": "{ nope }"}', 400],
    ["an operation that is not there", '{"query": "{ hello }", "operationName": "X"}', 400],
    ["a variable of the wrong type", '{"query": "query($n: Int!) { count(n: $n) }", "variables": {"n": "x"}}', 400],
    ["a missing variable", '{"query": "query($n: Int!) { count(n: $n) }"}', 400],
  ])("%s → 400 BAD_USER_INPUT, and no line in the log", async (_case, body, status) => {
    const response = await post(body, { accept: "application/graphql-response+json" });
    expect(response.status).toBe(status);
    const { errors } = JSON.parse(response.body);
    expect(errors[0].extensions).toMatchObject({ code: "BAD_USER_INPUT", requestId: expect.any(String) });
    expect(server.logger.lines.filter((line) => line.level === "error")).toEqual([]);
  });

  test.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql", "application/jsonx", ""])(
    "the content type %j → 415",
    async (type) => {
      const response = await post("query=%7Bhello%7D", { "content-type": type });
      expect(response.status).toBe(415);
      expect(JSON.parse(response.body).errors[0].extensions.code).toBe("BAD_USER_INPUT");
    },
  );

  test("a body that breaks off → the server lives", async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${server.token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"query":`,
    );
    await new Promise<void>((resolve) => socket.end(resolve));
    await new Promise<void>((resolve) => socket.on("close", () => resolve()).resume());
    expect((await server.ask("{ hello }")).status).toBe(200);
    expect(server.logger.lines.filter((line) => line.level === "error")).toEqual([]);
  });

  test("another method → 405", async () => {
    expect((await raw({ method: "PUT", headers: bearer(server.token) })).status).toBe(405);
  });

  test("GET runs a query, and no mutation", async () => {
    const headers = { ...bearer(server.token), accept: "application/graphql-response+json" };
    expect((await raw({ method: "GET", path: "/graphql?query={hello}", headers, body: "" })).status).toBe(200);
    const mutation = await raw({ method: "GET", path: "/graphql?query=mutation{bump}", headers, body: "" });
    expect(mutation.status).toBe(405);
    expect(mutation.headers["allow"]).toBe("POST");
  });

  test("a path that is not there → 404", async () => {
    expect((await raw({ method: "GET", path: "/etc/passwd", body: "" })).status).toBe(404);
  });
});

describe("errors", () => {
  test("a bug → INTERNAL_SERVER_ERROR with the request's id; the log has the reason, the client has not, and variables are in neither", async () => {
    server.probe.act = () => {
      throw new Error("boom in the engine room");
    };
    const response = await server.ask("query($v: String) { act hello(name: $v) }", { variables: { v: "canary-in-variables" } });
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({
      data: { act: null },
      errors: [{ path: ["act"], extensions: { code: "INTERNAL_SERVER_ERROR", requestId: response.headers.get("x-request-id") } }],
    });
    expect(text).not.toContain("boom");
    const [line] = server.logger.lines.filter(({ level }) => level === "error");
    expect(line?.fields).toMatchObject({ requestId: response.headers.get("x-request-id"), reason: "boom in the engine room" });
    expect(JSON.stringify(server.logger.lines)).not.toContain("canary-in-variables");
  });

  test("a value of ours that cannot be serialised → a bug, not the client's mistake", async () => {
    const response = await server.ask("{ count(n: 1) thing { id } act }");
    expect((await answer(response)).data).toBeTruthy();
    server.probe.act = () => ({ not: "a string" });
    expect((await answer(await server.ask("{ act }"))).errors?.[0]?.extensions["code"]).toBe("INTERNAL_SERVER_ERROR");
  });

  test("the database is lost while executing → UNAVAILABLE", async () => {
    server.probe.act = () => {
      throw new ConnectionLost(new Error("ECONNRESET"));
    };
    expect((await answer(await server.ask("{ act }"))).errors?.[0]?.extensions["code"]).toBe("UNAVAILABLE");
    expect(server.logger.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("an execution that takes too long → UNAVAILABLE, and its signal is aborted", async () => {
    await server.close();
    server = await startTestServer({ limits: { executionMs: 100 } });
    const aborted = new Promise<void>((resolve) => {
      server.probe.act = (signal) =>
        new Promise(() => {
          signal.addEventListener("abort", () => resolve());
        });
    });
    const response = await server.ask("{ act }");
    await aborted;
    expect(response.status).toBe(503);
    expect((await answer(response)).errors?.[0]).toMatchObject({ message: expect.stringContaining("100 ms"), extensions: { code: "UNAVAILABLE" } });
  });

  test("several mutations, and time is up in the first → the others are not run", async () => {
    await server.close();
    server = await startTestServer({ limits: { executionMs: 100 } });
    let begun = 0;
    server.probe.act = (signal) => {
      begun++;
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve("late")));
    };
    const response = await server.ask("mutation { a: act b: act c: act }");
    expect((await answer(response)).errors?.[0]?.extensions["code"]).toBe("UNAVAILABLE");
    await server.ask("{ hello }");
    expect(begun).toBe(1);
    expect(server.logger.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("a client that leaves → its signal is aborted", async () => {
    const leaving = new AbortController();
    const aborted = new Promise<void>((resolve) => {
      server.probe.act = (signal) =>
        new Promise(() => {
          signal.addEventListener("abort", () => resolve());
          leaving.abort();
        });
    });
    await expect(
      fetch(`${server.url}/graphql`, {
        method: "POST",
        signal: leaving.signal,
        headers: { "content-type": "application/json", ...bearer(server.token) },
        body: JSON.stringify({ query: "{ act }" }),
      }),
    ).rejects.toThrow();
    await aborted;
  });
});

describe("beside GraphQL", () => {
  test("/readyz: not following yet → 503, then 200", async () => {
    await server.close();
    let ready = false;
    server = await startTestServer({ ready: () => ready });
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    ready = true;
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });

  test("/metrics: counts by the schema's names, never by the client's", async () => {
    await server.ask("query EvilName { evilAlias: hello }");
    await server.ask("{ nope }");
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toContain('muster_graphql_operations_total{type="query",field="hello",outcome="ok",transport="http"} 1');
    expect(text).not.toMatch(/Evil|evil/);
    expect(text).not.toContain(server.token);
  });

  test("/metrics beyond loopback: no token → 401, an ADMIN → 403, an OPERATOR → 200", async () => {
    await server.close();
    server = await startTestServer({ host: "0.0.0.0" });
    const url = server.url.replace("0.0.0.0", "127.0.0.1");
    const status = async (headers: Record<string, string>): Promise<number> => (await fetch(`${url}/metrics`, { headers })).status;
    expect(await status({})).toBe(401);
    expect(await status(bearer(server.token))).toBe(403);
    expect(await status(bearer(server.tokens.mint(server.runtime, "OPERATOR")))).toBe(200);
  });
});
