/** Subscriptions (and anything else) answered as server-sent events, where the client accepts `text/event-stream`. */
import { getOperationAST } from "graphql";
import type { Plugin } from "graphql-yoga";
import { problem } from "../api/problem.ts";
import type { Timers } from "../core/runtime.ts";
import { ended, type ServerContext } from "./exchange.ts";
import type { Masker } from "./masking.ts";
import { type Metrics, noteStream } from "./metrics.ts";
import type { Presence } from "./presence.ts";
import { StreamEnd, sseFrames } from "./sse.ts";
import { type CursorStream, withCursor } from "./stream-cursor.ts";

export interface SseTransportOptions {
  readonly timers: Timers;
  readonly masker: Masker;
  readonly metrics: Metrics;
  readonly presence: Presence;
}

export function useServerSentEvents(options: SseTransportOptions): Plugin<ServerContext, ServerContext> {
  const cursors = new WeakMap<object, CursorStream>();
  return {
    onSubscribe({ args, subscribeFn, setSubscribeFn, setResultAndStopExecution }) {
      const { exchange, request } = args.contextValue;
      if (exchange.transport === "http") {
        const refused = problem(
          "BAD_USER_INPUT",
          "A subscription is answered over WebSocket, or as server-sent events: send the header Accept: text/event-stream.",
        );
        setResultAndStopExecution({ errors: [refused] });
        return;
      }
      if (exchange.transport !== "sse" || exchange.principal === null) return;
      const dead = (): void => exchange.abort.abort(new StreamEnd(problem("UNAUTHENTICATED", "The token has been revoked or has expired.")));
      const left = options.presence.enter(exchange.principal, dead);
      if (left === null) {
        setResultAndStopExecution({ errors: [problem("RATE_LIMITED", "This token has too many streams open.", { retryAfterMs: 1_000 })] });
        return;
      }
      const gone = noteStream(options.metrics, "sse");
      exchange.abort.signal.addEventListener(
        "abort",
        () => {
          left();
          gone();
        },
        { once: true },
      );
      const lastEventId = request.headers.get("last-event-id");
      const operation = getOperationAST(args.document, args.operationName ?? undefined);
      const stream = operation === null || operation === undefined ? null : withCursor(args.schema, args.document, operation, lastEventId !== null);
      if (stream === null) return;
      cursors.set(exchange, stream);
      const resumed = lastEventId === null ? {} : stream.resume(lastEventId);
      setSubscribeFn((given) => subscribeFn({ ...given, document: stream.document, variableValues: { ...given.variableValues, ...resumed } }));
    },
    onResultProcess({ request, result, setResultProcessor, serverContext }) {
      const { exchange } = serverContext;
      const accept = request.headers.get("accept");
      if (!acceptsStream(accept)) return;
      // Clients that can do both (urql) list both: a single result is plain JSON for them, a stream is for what streams.
      if (!isStream(result) && acceptsJson(accept)) return;
      setResultProcessor((result, fetchAPI) => {
        if (Array.isArray(result)) throw new Error("batches are refused before they are executed");
        const frames = sseFrames(result, {
          requestId: exchange.id,
          signal: exchange.abort.signal,
          timers: options.timers,
          masker: options.masker,
          takeCursor: cursors.get(exchange)?.takeCursor ?? null,
          onFrame: () => options.metrics.frames.inc({ transport: "sse" }),
        });
        const body = new fetchAPI.ReadableStream<Uint8Array>({
          pull: async (controller) => {
            const frame = await frames.next();
            if (frame.done === true) controller.close();
            else controller.enqueue(encoder.encode(frame.value));
          },
          cancel: () => exchange.abort.abort(ended),
        });
        return new fetchAPI.Response(body, { status: 200, headers: streamHeaders });
      }, "text/event-stream");
    },
  };
}

const encoder = new TextEncoder();

const streamHeaders = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  // nginx would otherwise collect frames until its buffer is full.
  "x-accel-buffering": "no",
} as const;

function isStream(result: unknown): boolean {
  return typeof result === "object" && result !== null && Symbol.asyncIterator in result;
}

function acceptsJson(accept: string | null): boolean {
  return accept !== null && /application\/(?:graphql-response\+)?json/i.test(accept);
}

export function acceptsStream(accept: string | null | undefined): boolean {
  return accept?.toLowerCase().includes("text/event-stream") === true;
}
