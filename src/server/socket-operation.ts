/**
 * One operation on a WebSocket: the same parsing, limits and context as over HTTP. Whatever is wrong with it ends it alone, with an
 * `error` message; the socket and its other operations go on.
 */
import { type DocumentNode, type ExecutionArgs, GraphQLError, type GraphQLFormattedError } from "graphql";
import type { Context, ExecutionResult, OperationResult, ServerOptions, SubscribePayload } from "graphql-ws";
import { problem } from "../api/problem.ts";
import type { Limits } from "../core/limits.ts";
import type { Principal } from "../core/principal.ts";
import type { Logger, Runtime } from "../core/runtime.ts";
import { tooManyRequests } from "./auth.ts";
import type { Buckets } from "./bucket.ts";
import { type Exchange, ended } from "./exchange.ts";
import { type Masker, wireError } from "./masking.ts";
import { type Metrics, noteStream } from "./metrics.ts";
import { PacedStream } from "./paced-stream.ts";
import type { Yoga } from "./yoga.ts";

export interface OperationOptions {
  readonly yoga: Yoga;
  readonly limits: Limits;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly masker: Masker;
  /** Requests by token. */
  readonly rate: Buckets;
}

/** What a socket's operations need to know of it. */
export interface SocketState {
  readonly address: string;
  /** Operations under way, by the client's id. */
  readonly exchanges: Map<string, Exchange>;
  /** null until connection_init was found good. */
  principal: Principal | null;
}

type Init = Record<string, unknown>;
type Enveloped = ReturnType<Yoga["getEnveloped"]>;
type Hooks<S> = Pick<ServerOptions<Init, S>, "onSubscribe" | "execute" | "subscribe" | "onOperation" | "onNext" | "onError" | "onComplete">;

/** Errors of one request as one, for a place that takes a single error. */
class RequestErrors extends AggregateError {
  override readonly name = "RequestErrors";
}

export class SocketOperations {
  private readonly options: OperationOptions;
  /** How to run what was prepared; graphql-ws hands the very same object back. */
  private readonly runners = new WeakMap<object, Enveloped>();
  private readonly masked = new WeakSet<GraphQLError>();

  constructor(options: OperationOptions) {
    this.options = options;
  }

  hooks<S extends SocketState>(): Hooks<S> {
    return {
      onSubscribe: (context, id, payload) => this.prepare(context, id, payload),
      execute: (args) => this.run(args, "execute"),
      subscribe: (args) => this.run(args, "subscribe"),
      onOperation: async (context, id, _payload, _args, result) => this.pace(context.extra, id, await result),
      onNext: (context, id, _payload, _args, result) => {
        if (result.errors === undefined) return undefined;
        const { data, extensions, errors } = result;
        return {
          ...(data === undefined ? {} : { data }),
          ...(extensions === undefined ? {} : { extensions }),
          errors: this.show(context.extra, id, errors),
        };
      },
      onError: (context, id, _payload, errors) => this.show(context.extra, id, errors),
      onComplete: (context, id) => finish(context.extra, id),
    };
  }

  private async prepare<S extends SocketState>(
    context: Context<Init, S>,
    id: string,
    payload: SubscribePayload,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const { runtime, rate, limits, metrics } = this.options;
    const { address, principal, exchanges } = context.extra;
    const exchange: Exchange = { id: runtime.entropy.uuid(), transport: "ws", address, abort: new AbortController(), principal };
    const refuse = (...errors: readonly unknown[]): readonly GraphQLError[] => {
      const shown = this.options.masker.maskAll(errors, exchange);
      for (const error of shown) {
        this.masked.add(error);
        metrics.refused.inc({ reason: String(error.extensions["code"]) });
      }
      return shown;
    };
    if (principal === null) return refuse(problem("UNAUTHENTICATED", "The socket has no principal."));
    const retryAfterMs = rate.take(principal.tokenId);
    if (retryAfterMs > 0) return refuse(problem("RATE_LIMITED", tooManyRequests, { retryAfterMs }));
    if (Object.keys(context.subscriptions).length > limits.socketSubscriptions) {
      return refuse(
        problem("RATE_LIMITED", `A socket has at most ${limits.socketSubscriptions} operations at a time: complete one first.`, {
          retryAfterMs: 1_000,
        }),
      );
    }
    try {
      const enveloped = this.options.yoga.getEnveloped({ exchange, incoming: null, params: payload });
      const document: DocumentNode = enveloped.parse(payload.query);
      const errors = enveloped.validate(enveloped.schema, document);
      if (errors.length > 0) return refuse(...errors);
      const args: ExecutionArgs = {
        schema: enveloped.schema,
        document,
        operationName: payload.operationName,
        variableValues: payload.variables,
        contextValue: await enveloped.contextFactory(),
      };
      this.runners.set(args, enveloped);
      exchanges.set(id, exchange);
      return args;
    } catch (error) {
      return refuse(error);
    }
  }

  private async run(args: ExecutionArgs, how: "execute" | "subscribe"): Promise<Awaited<OperationResult>> {
    try {
      const enveloped = this.runners.get(args);
      if (enveloped === undefined) throw new Error("an operation was never prepared");
      return await enveloped[how](args);
    } catch (error) {
      return {
        errors: [
          error instanceof GraphQLError
            ? error
            : new GraphQLError("failed", { originalError: error instanceof Error ? error : new Error(String(error)) }),
        ],
      };
    }
  }

  private pace(socket: SocketState, id: string, result: Awaited<OperationResult>): Awaited<OperationResult> {
    const exchange = socket.exchanges.get(id);
    if (Symbol.asyncIterator in result) {
      const { metrics } = this.options;
      const gone = noteStream(metrics, "ws");
      exchange?.abort.signal.addEventListener("abort", gone, { once: true });
      return new PacedStream(
        result,
        () => metrics.frames.inc({ transport: "ws" }),
        () => exchange?.abort.abort(ended),
      );
    }
    // What was refused before anything ran is an `error` message; a `next` would promise data.
    return result.errors !== undefined && !("data" in result) ? failing(new RequestErrors(result.errors)) : result;
  }

  private show(socket: SocketState, id: string, errors: readonly GraphQLError[]): GraphQLFormattedError[] {
    const requestId = socket.exchanges.get(id)?.id ?? this.options.runtime.entropy.uuid();
    return errors.flatMap((error) => {
      if (this.masked.has(error)) return [wireError(error)];
      const causes: readonly unknown[] = error.originalError instanceof RequestErrors ? error.originalError.errors : [error];
      return this.options.masker.maskAll(causes, { id: requestId }).map(wireError);
    });
  }
}

/** The operation has ended, whoever ended it: nothing may go on working for it. */
function finish(socket: SocketState, id: string): void {
  socket.exchanges.get(id)?.abort.abort(ended);
  socket.exchanges.delete(id);
}

/** A stream that ends with an error before it began: graphql-ws turns that into an `error` message. */
function failing(error: Error): AsyncIterable<ExecutionResult> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
}
