/**
 * GraphiQL, served by ourselves: the page, its script and its workers come from the package `@graphql-yoga/render-graphiql`, nothing
 * from another host, so it works with the network cut off. The policy allows no inline script; the editor's inline styles it must.
 *
 * The token comes in the URL's fragment, which no browser sends to a server, is moved to sessionStorage, and is sent as a header over
 * HTTP and in connection_init over WebSocket. Nothing here knows a token.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { graphiqlTabs } from "./graphiql-tab.ts";
import type { PlainAnswer } from "./refusal.ts";
import { graphqlPath } from "./yoga.ts";

export const graphiqlPath = "/graphiql";

interface Asset {
  readonly type: string;
  readonly etag: string;
  readonly gzipped: Buffer;
}

const script = "text/javascript; charset=utf-8";

export class Graphiql {
  private loading: Promise<ReadonlyMap<string, Asset>> | null = null;

  /** The page. @param host the Host header, which has been found good */
  page(host: string): PlainAnswer {
    return {
      status: 200,
      headers: { ...pageHeaders(host), "content-type": "text/html; charset=utf-8", "cache-control": "no-cache" },
      body: pageHtml,
    };
  }

  /** A file of the page, compressed; null where there is none of that path. */
  async asset(path: string): Promise<Asset | null> {
    this.loading ??= loadAssets();
    return (await this.loading).get(path) ?? null;
  }
}

function pageHeaders(host: string): Readonly<Record<string, string>> {
  // WebSockets are spelled out: not every browser counts them as 'self'.
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    `connect-src 'self' ws://${host} wss://${host}`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    "content-security-policy": policy.join("; "),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
  };
}

/** Nine megabytes of source: read when somebody first opens the page, and kept compressed. */
async function loadAssets(): Promise<ReadonlyMap<string, Asset>> {
  const graphiql = await import("@graphql-yoga/render-graphiql/graphiql");
  const sources: readonly (readonly [string, string, string])[] = [
    ["graphiql.js", script, graphiql.js],
    ["graphiql.css", "text/css; charset=utf-8", graphiql.css],
    ["start.js", script, startScript],
    ["icon.svg", "image/svg+xml", icon],
    ["worker/editorWorkerService.js", script, graphiql.editorWorkerService],
    ["worker/json.js", script, graphiql.jsonWorker],
    ["worker/graphql.js", script, graphiql.graphqlWorker],
  ];
  const compress = promisify(gzip);
  const assets = new Map<string, Asset>();
  for (const [path, type, source] of sources) {
    const etag = `"${createHash("sha256").update(source).digest("base64url").slice(0, 22)}"`;
    assets.set(`${graphiqlPath}/${path}`, { type, etag, gzipped: await compress(source) });
  }
  return assets;
}

const pageHtml = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Muster · GraphiQL</title>
    <meta name="robots" content="noindex" />
    <link rel="icon" href="${graphiqlPath}/icon.svg" />
    <link rel="stylesheet" href="${graphiqlPath}/graphiql.css" />
  </head>
  <body id="body" class="no-focus-outline">
    <noscript>GraphiQL needs JavaScript.</noscript>
    <div id="root"></div>
    <script src="${graphiqlPath}/graphiql.js"></script>
    <script src="${graphiqlPath}/start.js"></script>
  </body>
</html>
`;

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#2f6f5e"><circle cx="8" cy="3" r="2"/><circle cx="3" cy="11" r="2"/><circle cx="13" cy="11" r="2"/><circle cx="8" cy="9" r="2"/></g></svg>`;

/** Runs in the browser. Tabs that a user has changed are kept by GraphiQL; the token is not among what it keeps. */
const startScript = `"use strict";
(() => {
  const key = "muster.token";
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("token");
  if (given !== null) sessionStorage.setItem(key, given);
  if (location.hash !== "") history.replaceState(null, "", location.pathname + location.search);
  const root = document.getElementById("root");
  const token = sessionStorage.getItem(key);
  if (token === null) {
    const input = document.createElement("input");
    input.type = "password";
    input.placeholder = "muster_…";
    input.size = 50;
    input.setAttribute("aria-label", "API token");
    input.addEventListener("change", () => {
      sessionStorage.setItem(key, input.value.trim());
      location.reload();
    });
    root.append("An API token is needed. Paste one and press Enter: ", input);
    root.style.padding = "2em";
    return;
  }
  const authorization = "Bearer " + token;
  self.MonacoEnvironment = {
    globalAPI: false,
    getWorkerUrl: (_module, label) => "${graphiqlPath}/worker/" + label + ".js",
  };
  YogaGraphiQL.renderYogaGraphiQL(root, {
    title: "Muster",
    endpoint: "${graphqlPath}",
    subscriptionsProtocol: "WS",
    subscriptionsEndpoint: location.origin.replace(/^http/, "ws") + "${graphqlPath}",
    additionalHeaders: { authorization },
    connectionParams: { authorization },
    shouldPersistHeaders: false,
    onEditQuery: () => undefined,
    defaultTabs: ${JSON.stringify(graphiqlTabs.map((query) => ({ query }))).replaceAll("</", "<\\/")},
  });
})();
`;
