/**
 * One request as every plugin sees it: an HTTP request, or one operation of a WebSocket. It is made before anything is known of
 * the caller and travels in yoga's server context.
 */
import type { IncomingMessage } from "node:http";
import type { Principal } from "../core/principal.ts";

export type Transport = "http" | "sse" | "ws";

export interface Exchange {
  /** In every error and log line of this request, and in the header X-Request-Id. */
  readonly id: string;
  readonly transport: Transport;
  /** Of the peer. Behind a proxy that is the proxy. */
  readonly address: string;
  /** Aborted when the client has left, time is up, the token died or the server stops. */
  readonly abort: AbortController;
  /** null until the caller has been authenticated. */
  principal: Principal | null;
}

/** What yoga carries along; resolvers get it beside the API's own context. */
export interface ServerContext {
  readonly exchange: Exchange;
  /** The HTTP request itself, whose body has not been read; null on a WebSocket. */
  readonly incoming: IncomingMessage | null;
}

/** Why an exchange is over when nothing went wrong. One for all: a reason of its own for each would cost a stack trace. */
export const ended: Error = new Error("the request has ended");
