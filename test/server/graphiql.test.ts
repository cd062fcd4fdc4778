/** GraphiQL as it is served: nothing from elsewhere, nothing inline, tabs that the schema accepts. */
import { parse, validate } from "graphql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildSchema } from "../../src/api/schema.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import { graphiqlTabs } from "../../src/server/graphiql-tab.ts";
import { shapeProblem } from "../../src/server/limits/shape.ts";
import { startTestServer, type TestServer } from "./support.ts";

describe("GraphiQL's tabs", () => {
  const schema = buildSchema();
  test.each(graphiqlTabs)("%s", (query) => {
    const document = parse(query);
    expect(validate(schema, document)).toEqual([]);
    expect(shapeProblem(document, defaultLimits)).toBe(null);
  });
});

describe("GraphiQL's page", () => {
  let server: TestServer;
  let page: Response;
  let html: string;
  beforeAll(async () => {
    server = await startTestServer();
    page = await fetch(`${server.url}/graphiql`, { headers: { accept: "text/html" } });
    html = await page.text();
  });
  afterAll(() => server.close());

  test("its policy: scripts and workers from here only, none inline, no other host", () => {
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toMatch(/script-src 'self'(;|$)/);
    expect(policy).toContain(`connect-src 'self' ws://${new URL(server.url).host}`);
    expect(policy).not.toMatch(/https?:/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(page.headers.get("referrer-policy")).toBe("no-referrer");
  });

  test("its files: all from here, each there, with the right type, cached by their content", async () => {
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? "");
    expect(links.length).toBe(4);
    expect(html).not.toMatch(/<script>|<style>|https?:\/\//);
    for (const path of [...links, "/graphiql/worker/graphql.js", "/graphiql/worker/json.js", "/graphiql/worker/editorWorkerService.js"]) {
      expect(path).toMatch(/^\/graphiql\//);
      const file = await fetch(`${server.url}${path}`);
      expect([path, file.status]).toEqual([path, 200]);
      expect((await file.arrayBuffer()).byteLength).toBeGreaterThan(100);
      const again = await fetch(`${server.url}${path}`, { headers: { "if-none-match": file.headers.get("etag") ?? "" } });
      expect(again.status).toBe(304);
    }
  });

  test("a client without compression → the plain file", async () => {
    const file = await fetch(`${server.url}/graphiql/start.js`, { headers: { "accept-encoding": "identity" } });
    expect(file.headers.get("content-encoding")).toBe(null);
    expect(await file.text()).toContain("sessionStorage");
  });

  test("the endpoint, opened in a browser → sends there; a file that is not there → 404", async () => {
    const opened = await fetch(`${server.url}/graphql`, { headers: { accept: "text/html,*/*" }, redirect: "manual" });
    expect([opened.status, opened.headers.get("location")]).toEqual([302, "/graphiql"]);
    expect((await fetch(`${server.url}/graphiql/../../etc/passwd`)).status).toBe(404);
    expect((await fetch(`${server.url}/graphiql/nope.js`)).status).toBe(404);
  });

  test("switched off → nothing of it is there", async () => {
    const off = await startTestServer({ graphiql: false });
    expect((await fetch(`${off.url}/graphiql`)).status).toBe(404);
    expect((await fetch(`${off.url}/graphiql/start.js`)).status).toBe(404);
    expect((await fetch(`${off.url}/graphql`, { headers: { accept: "text/html" }, redirect: "manual" })).status).toBe(401);
    await off.close();
  });
});
