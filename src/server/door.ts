/**
 * The port: GraphQL over HTTP, SSE and WebSocket, GraphiQL, health and metrics. Every request passes the same gates in the same
 * order: host, origin, principal, rate, size, shape, cost, time. Everything it needs is handed in, the schema too.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { GraphQLSchema } from "graphql";
import { operationalProblem } from "../api/problem.ts";
import type { Limits } from "../core/limits.ts";
import type { Logger, Runtime } from "../core/runtime.ts";
import type { ContextFor } from "./api-context.ts";
import type { Authenticator } from "./authenticate.ts";
import { Buckets } from "./bucket.ts";
import { type EndpointOptions, isProbe, send, serveEndpoint } from "./endpoint.ts";
import { type Exchange, ended } from "./exchange.ts";
import { Graphiql, graphiqlPath } from "./graphiql.ts";
import { Masker } from "./masking.ts";
import { type Metrics, methodLabel } from "./metrics.ts";
import { isAllowedOrigin, isKnownHost, isLoopback } from "./origin.ts";
import { Presence } from "./presence.ts";
import { type Refused, refusal } from "./refusal.ts";
import { acceptsStream } from "./sse-transport.ts";
import { WebSocketDoor } from "./websocket.ts";
import { createGraphqlServer, graphqlPath, type Yoga } from "./yoga.ts";

export interface DoorOptions {
  readonly schema: GraphQLSchema;
  readonly contextFor: ContextFor;
  readonly authenticator: Authenticator;
  readonly runtime: Runtime;
  readonly limits: Limits;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Pages that may call us, beside our own; `origin.ts` says how they are written. */
  readonly origins: readonly string[];
  /** Names we answer to, beside loopback, addresses and `host`. */
  readonly hosts: readonly string[];
  readonly graphiql: boolean;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Migrated, and following the ledger. */
  readonly ready: () => boolean;
}

export interface RunningServer {
  readonly url: string;
  close(): Promise<void>;
}

/** How long requests under way may still take when the server stops, ms. */
const drainMs = 2_000;

/** How long an SSE client may take no byte; five heartbeats fit in. */
const stuckMs = 60_000;

/** Starts listening. Rejects where the port is taken (`EADDRINUSE`). */
export async function openDoor(options: DoorOptions): Promise<RunningServer> {
  const door = new Door(options);
  const address = await door.open();
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return { url: `http://${host}:${address.port}`, close: () => door.close() };
}

class Door {
  private readonly options: DoorOptions;
  private readonly names: readonly string[];
  private readonly yoga: Yoga;
  private readonly sockets: WebSocketDoor;
  private readonly server: Server;
  private readonly endpoints: EndpointOptions;
  private readonly presence: Presence;
  private readonly stopping = new AbortController();
  private readonly underway = new Set<Exchange>();
  /** Connections, with the number of requests that wait for an answer on each. */
  private readonly connections = new Map<Duplex, number>();

  constructor(options: DoorOptions) {
    this.options = options;
    const { runtime, limits, logger, metrics, authenticator } = options;
    this.names = [options.host, ...options.hosts];
    this.presence = new Presence(limits.tokenSockets);
    const shared = {
      limits,
      runtime,
      logger,
      metrics,
      authenticator,
      masker: new Masker(logger),
      presence: this.presence,
      rate: new Buckets(runtime.clock, limits.tokenRequestsPerSecond, limits.tokenRequestsPerSecond),
    };
    this.yoga = createGraphqlServer({ ...shared, schema: options.schema, contextFor: options.contextFor, origins: options.origins });
    this.sockets = new WebSocketDoor({ ...shared, yoga: this.yoga });
    this.endpoints = {
      ready: options.ready,
      metrics,
      authenticator,
      loopback: isLoopback(options.host),
      graphiql: options.graphiql ? new Graphiql() : null,
    };
    this.server = createServer(
      { keepAliveTimeout: 65_000, requestTimeout: 30_000, headersTimeout: 10_000 },
      (request, response) => void this.serve(request, response),
    );
    this.server.on("connection", (socket) => {
      this.connections.set(socket, 0);
      socket.once("close", () => this.connections.delete(socket));
    });
    this.server.on("upgrade", (request, duplex, head) => this.upgrade(request, duplex, head));
    this.server.on("clientError", (_error, socket) => {
      if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    });
  }

  open(): Promise<AddressInfo> {
    const { server, options } = this;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port: options.port, host: options.host, backlog: 1_024 }, () => {
        server.off("error", reject);
        const address = server.address();
        if (address === null || typeof address === "string") return reject(new Error("the server listens on no port"));
        void this.presence.watch(options.authenticator, options.runtime.timers, options.logger, this.stopping.signal);
        resolve(address);
      });
    });
  }

  async close(): Promise<void> {
    if (this.stopping.signal.aborted) return;
    this.stopping.abort();
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    // Streams break off: their clients come back with their last cursor. Plain requests may finish.
    for (const exchange of this.underway) if (exchange.transport === "sse") exchange.abort.abort(ended);
    await this.sockets.close();
    await this.drain(closed);
    for (const exchange of this.underway) exchange.abort.abort(ended);
    this.server.closeAllConnections();
    await closed;
    await this.yoga.dispose();
  }

  /**
   * Lets requests under way finish for a while; each connection is closed as soon as it has nothing to do. (Node's own
   * `closeIdleConnections` leaves those that never asked anything, and browsers and fetch open such ahead of need.)
   */
  private async drain(closed: Promise<void>): Promise<void> {
    const { clock, timers } = this.options.runtime;
    const until = clock.monotonicMs() + drainMs;
    const drained = new AbortController();
    void closed.then(() => drained.abort());
    while (!drained.signal.aborted && clock.monotonicMs() < until) {
      for (const [socket, waiting] of this.connections) if (waiting === 0) socket.destroy();
      await timers.wait(20, drained.signal);
    }
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = this.options.runtime.entropy.uuid();
    const path = pathOf(request);
    const { socket } = request;
    this.connections.set(socket, (this.connections.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const waiting = this.connections.get(socket);
      if (waiting !== undefined) this.connections.set(socket, waiting - 1);
      this.options.metrics.httpRequests.inc({ method: methodLabel(request.method), status: String(response.statusCode) });
    });
    try {
      const refused = isProbe(path) ? null : this.refuse(request, requestId);
      if (refused !== null) send({ request, response }, refusal(refused, request.headers.accept ?? null));
      else if (path !== graphqlPath) await serveEndpoint({ request, response, path, requestId }, this.endpoints);
      else if (this.wantsPage(request)) response.writeHead(302, { location: graphiqlPath, "cache-control": "no-store" }).end();
      else await this.graphql(request, response, requestId);
    } catch (error) {
      this.fail(request, response, requestId, error);
    }
  }

  /** A browser that opens the endpoint itself; the fragment with the token follows a redirect by itself. */
  private wantsPage(request: IncomingMessage): boolean {
    return this.options.graphiql && request.method === "GET" && request.headers.accept?.includes("text/html") === true;
  }

  private async graphql(request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> {
    const transport = acceptsStream(request.headers.accept) ? "sse" : "http";
    const exchange: Exchange = {
      id: requestId,
      transport,
      address: request.socket.remoteAddress ?? "",
      abort: new AbortController(),
      principal: null,
    };
    this.underway.add(exchange);
    // A stream whose client takes nothing for so long, not even heartbeats, holds a connection for nobody.
    if (transport === "sse") response.setTimeout(stuckMs, () => response.destroy());
    response.once("close", () => {
      this.underway.delete(exchange);
      // An answer that was sent whole has nobody left to tell; a stream's end is noted by its signal.
      if (transport === "sse" || !response.writableFinished) exchange.abort.abort(ended);
    });
    await this.yoga(request, response, { exchange, incoming: request });
  }

  /** Host and origin, before anything else is looked at. */
  private refuse(request: IncomingMessage, requestId: string): Refused | null {
    const { host, origin } = request.headers;
    if (!isKnownHost(host, this.names))
      return { status: 421, code: "FORBIDDEN", message: "This server does not answer to that name (MUSTER_HOSTS lists those it does).", requestId };
    if (!isAllowedOrigin(origin, host, this.options.origins))
      return {
        status: 403,
        code: "FORBIDDEN",
        message: "Pages of this origin may not call this server (MUSTER_CORS_ORIGINS lists those that may).",
        requestId,
      };
    return null;
  }

  private upgrade(request: IncomingMessage, duplex: Duplex, head: Buffer): void {
    // Until ws takes over nobody else listens for a connection that breaks.
    duplex.on("error", () => duplex.destroy());
    const requestId = this.options.runtime.entropy.uuid();
    const refused: Refused | null =
      pathOf(request) === graphqlPath
        ? this.refuse(request, requestId)
        : { status: 404, code: "BAD_USER_INPUT", message: "WebSockets are answered at /graphql.", requestId };
    if (refused === null && !this.stopping.signal.aborted) this.sockets.accept(request, duplex, head);
    else duplex.end(`HTTP/1.1 ${refused?.status ?? 503} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }

  private fail(request: IncomingMessage, response: ServerResponse, requestId: string, error: unknown): void {
    const absent = operationalProblem(error) !== null;
    if (!absent)
      this.options.logger.error(
        { requestId, reason: error instanceof Error ? error.message : String(error), stack: error instanceof Error ? error.stack : undefined },
        "a request met a bug",
      );
    if (response.headersSent) return void response.destroy();
    const refused: Refused = absent
      ? { status: 503, code: "UNAVAILABLE", message: "The database is away just now.", requestId }
      : { status: 500, code: "INTERNAL_SERVER_ERROR", message: "Something went wrong here.", requestId };
    send({ request, response }, refusal(refused, request.headers.accept ?? null));
  }
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? "/";
  const end = url.search(/[?#]/);
  return end < 0 ? url : url.slice(0, end);
}
