/**
 * What is served beside GraphQL: `/healthz` (this process answers), `/readyz` (it is migrated and follows the ledger), `/metrics`
 * (Prometheus; for an OPERATOR's token, or for anybody where only this machine can reach us), and GraphiQL's files.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { gunzipSync } from "node:zlib";
import { mayAct } from "../core/principal.ts";
import type { Authenticator } from "./authenticate.ts";
import { type Graphiql, graphiqlPath } from "./graphiql.ts";
import type { Metrics } from "./metrics.ts";
import { type PlainAnswer, refusal } from "./refusal.ts";

export interface EndpointOptions {
  readonly ready: () => boolean;
  readonly metrics: Metrics;
  readonly authenticator: Authenticator;
  /** Only this machine can reach us. */
  readonly loopback: boolean;
  /** null: switched off. */
  readonly graphiql: Graphiql | null;
}

export interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly requestId: string;
}

/** Health is asked by load balancers under any name. */
export function isProbe(path: string): boolean {
  return path === "/healthz" || path === "/readyz";
}

/** Answers what is not GraphQL. */
export async function serveEndpoint(visit: Visit, options: EndpointOptions): Promise<void> {
  const { request, response, path, requestId } = visit;
  if (request.method !== "GET" && request.method !== "HEAD") return send(visit, plain(405, "Only GET is answered here.\n", { allow: "GET, HEAD" }));
  if (path === "/healthz") return send(visit, plain(200, "ok\n"));
  if (path === "/readyz")
    return send(
      visit,
      options.ready()
        ? plain(200, "ready\n")
        : plain(503, "not ready: the database is away or the ledger is not being followed yet\n", { "retry-after": "1" }),
    );
  if (path === "/metrics") return send(visit, await metricsAnswer(visit, options));
  if (options.graphiql !== null && (path === "/" || path === graphiqlPath)) {
    if (path === "/") return send(visit, plain(302, "", { location: graphiqlPath }));
    return send(visit, options.graphiql.page(request.headers.host ?? ""));
  }
  const asset = path.startsWith(`${graphiqlPath}/`) ? await options.graphiql?.asset(path) : null;
  if (asset === null || asset === undefined) {
    return send(
      visit,
      refusal(
        { status: 404, code: "BAD_USER_INPUT", message: "There is nothing at this path; GraphQL is at /graphql.", requestId },
        request.headers.accept ?? null,
      ),
    );
  }
  const headers = {
    "content-type": asset.type,
    etag: asset.etag,
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    vary: "accept-encoding",
  };
  if (request.headers["if-none-match"] === asset.etag) return void response.writeHead(304, headers).end();
  const compressed = String(request.headers["accept-encoding"] ?? "").includes("gzip");
  response.writeHead(200, compressed ? { ...headers, "content-encoding": "gzip" } : headers);
  response.end(compressed ? asset.gzipped : gunzipSync(asset.gzipped));
}

async function metricsAnswer({ request, requestId }: Visit, options: EndpointOptions): Promise<PlainAnswer> {
  if (!options.loopback) {
    const login = await options.authenticator.authenticate(request.headers.authorization ?? null, request.socket.remoteAddress ?? "");
    const accept = request.headers.accept ?? null;
    if (login.kind === "slowed")
      return refusal(
        { status: 429, code: "RATE_LIMITED", message: "Too many logins have failed from this address.", requestId, retryAfterMs: login.retryAfterMs },
        accept,
      );
    if (login.kind === "refused") return refusal({ status: 401, code: "UNAUTHENTICATED", message: login.message, requestId }, accept);
    if (!mayAct(login.principal.role, "OPERATOR"))
      return refusal({ status: 403, code: "FORBIDDEN", message: "Metrics need the role OPERATOR.", requestId }, accept);
  }
  return {
    status: 200,
    headers: { "content-type": options.metrics.registry.contentType, "cache-control": "no-store" },
    body: await options.metrics.registry.metrics(),
  };
}

function plain(status: number, body: string, headers: Readonly<Record<string, string>> = {}): PlainAnswer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers }, body };
}

export function send({ request, response }: Pick<Visit, "request" | "response">, answer: PlainAnswer): void {
  response.writeHead(answer.status, { ...answer.headers });
  response.end(request.method === "HEAD" ? undefined : answer.body);
}
