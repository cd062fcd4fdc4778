/**
 * graphql-transport-ws on the same path as HTTP. graphql-ws speaks the protocol; what is ours: who may connect, that a bad document
 * fails alone, that a client's `complete` stops a fast stream at once, and that a client who does not read costs no memory.
 *
 * Back-pressure: a frame is handed on only when the socket has taken the former one of its stream, so a stream waits upstream,
 * where its buffer is bounded. Answers that are no stream are bounded by not reading on while too much waits to be sent.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type Context, GRAPHQL_TRANSPORT_WS_PROTOCOL, makeServer } from "graphql-ws";
import { type WebSocket, WebSocketServer } from "ws";
import { operationalProblem } from "../api/problem.ts";
import { tooManyFailures } from "./auth.ts";
import type { Authenticator, Login } from "./authenticate.ts";
import { ended } from "./exchange.ts";
import type { Presence } from "./presence.ts";
import { type OperationOptions, SocketOperations, type SocketState } from "./socket-operation.ts";
import { SocketSender } from "./socket-sender.ts";

/** Close codes, see CONTRACT: WebSocket. */
const closeCodes = { unauthenticated: 4401, internal: 1011, shutdown: 1012, overload: 1013 } as const;

/** A client that answers no ping within this is gone. Below the 30 s after which proxies drop a silent connection. */
const pingEveryMs = 12_000;

export interface WebSocketOptions extends OperationOptions {
  readonly authenticator: Authenticator;
  readonly presence: Presence;
}

type InitPayload = Record<string, unknown>;

/** One socket. */
interface Connection extends SocketState {
  readonly socket: WebSocket;
  readonly upgrade: IncomingMessage;
  left: (() => void) | null;
}

export class WebSocketDoor {
  private readonly options: WebSocketOptions;
  private readonly sockets: WebSocketServer;
  private readonly protocol: ReturnType<typeof makeServer<InitPayload, Connection>>;
  private closing = false;

  constructor(options: WebSocketOptions) {
    this.options = options;
    this.sockets = new WebSocketServer({
      noServer: true,
      clientTracking: true,
      maxPayload: options.limits.bodyBytes,
      handleProtocols: (offered) => (offered.has(GRAPHQL_TRANSPORT_WS_PROTOCOL) ? GRAPHQL_TRANSPORT_WS_PROTOCOL : false),
    });
    const operations = new SocketOperations(options);
    this.protocol = makeServer<InitPayload, Connection>({ ...operations.hooks(), onConnect: (context) => this.connect(context) });
  }

  /** Takes over a connection whose upgrade request has been found good. */
  accept(request: IncomingMessage, duplex: Duplex, head: Buffer): void {
    this.sockets.handleUpgrade(request, duplex, head, (socket) => this.open(socket, request));
  }

  /** Says goodbye to everybody; the answer comes when all are gone. */
  async close(): Promise<void> {
    this.closing = true;
    const gone = [...this.sockets.clients].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    for (const socket of this.sockets.clients) socket.close(closeCodes.shutdown, "The server is shutting down");
    const patience = new AbortController();
    await Promise.race([Promise.all(gone), this.options.runtime.timers.wait(1_000, patience.signal)]);
    patience.abort();
    for (const socket of this.sockets.clients) socket.terminate();
    this.sockets.close();
  }

  private open(socket: WebSocket, upgrade: IncomingMessage): void {
    const connection: Connection = {
      socket,
      upgrade,
      address: upgrade.socket.remoteAddress ?? "",
      exchanges: new Map(),
      principal: null,
      left: null,
    };
    if (this.closing) {
      socket.close(closeCodes.shutdown, "The server is shutting down");
      return;
    }
    const { metrics, limits, logger } = this.options;
    metrics.sockets.inc();
    const sender = new SocketSender(socket, limits.streamBytes);
    const tellBug = (error: unknown): void =>
      logger.error(
        { reason: error instanceof Error ? error.message : String(error), stack: error instanceof Error ? error.stack : undefined },
        "a WebSocket met a bug",
      );
    const pinging = new AbortController();
    void this.ping(socket, sender, pinging.signal);
    const closed = this.protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => sender.send(text),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (handle) => {
          socket.on("message", (data) => {
            handle(String(data)).catch((error: unknown) => {
              tellBug(error);
              socket.close(closeCodes.internal, "Something went wrong here");
            });
          });
        },
      },
      connection,
    );
    // A broken connection: `close` follows.
    socket.on("error", () => undefined);
    socket.once("close", (code, reason) => {
      pinging.abort();
      metrics.sockets.dec();
      connection.left?.();
      for (const exchange of connection.exchanges.values()) exchange.abort.abort(ended);
      void Promise.resolve(closed(code, String(reason))).catch(tellBug);
    });
  }

  private async ping(socket: WebSocket, sender: SocketSender, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.options.runtime.timers.wait(pingEveryMs, signal);
      if (signal.aborted) return;
      if (!sender.tookProgress()) return socket.terminate();
      socket.ping();
    }
  }

  private async connect({ connectionParams, extra }: Context<InitPayload, Connection>): Promise<boolean> {
    const { socket } = extra;
    const login = await this.login(credentialsOf(connectionParams) ?? extra.upgrade.headers.authorization ?? null, extra.address);
    if (socket.readyState !== socket.OPEN) return false;
    if (login.kind === "refused") return refuse(socket, closeCodes.unauthenticated, login.message);
    if (login.kind === "slowed") return refuse(socket, closeCodes.overload, tooManyFailures);
    if (login.kind === "unavailable") return refuse(socket, closeCodes.overload, "The database is away just now");
    extra.left = this.options.presence.enter(login.principal, () =>
      refuse(socket, closeCodes.unauthenticated, "The token has been revoked or has expired"),
    );
    if (extra.left === null) return refuse(socket, closeCodes.overload, "This token has too many connections open");
    extra.principal = login.principal;
    return true;
  }

  private async login(credentials: string | null, address: string): Promise<Login | { readonly kind: "unavailable" }> {
    try {
      return await this.options.authenticator.authenticate(credentials, address);
    } catch (error) {
      if (operationalProblem(error) !== null) return { kind: "unavailable" };
      throw error;
    }
  }
}

/** `{"authorization": "Bearer …"}`, as the header is called; its case does not matter there either. */
function credentialsOf(payload: InitPayload | undefined): string | null {
  for (const [name, value] of Object.entries(payload ?? {})) {
    if (name.toLowerCase() === "authorization" && typeof value === "string") return value;
  }
  return null;
}

/** graphql-ws closes with 4403 when it hears false; this code comes first and stays. */
function refuse(socket: WebSocket, code: number, reason: string): false {
  socket.close(code, reason);
  return false;
}
