/** GraphQL over HTTP: yoga, with one small plugin per concern. What runs on WebSockets passes the same plugins (`websocket.ts`). */
import type { DocumentNode, GraphQLSchema } from "graphql";
import { createYoga, type YogaServerInstance } from "graphql-yoga";
import type { Limits } from "../core/limits.ts";
import type { Logger, Runtime } from "../core/runtime.ts";
import { type ContextFor, useApiContext } from "./api-context.ts";
import { useAuthentication } from "./auth.ts";
import type { Authenticator } from "./authenticate.ts";
import { useJsonBody } from "./body.ts";
import type { Buckets } from "./bucket.ts";
import { DocumentCache } from "./document-cache.ts";
import type { ServerContext } from "./exchange.ts";
import { useMaskedResults } from "./http-result.ts";
import { useCostLimit } from "./limits/cost-limit.ts";
import { useShapeLimits } from "./limits/shape.ts";
import { useTokenLimit } from "./limits/tokens.ts";
import type { Masker } from "./masking.ts";
import type { Metrics } from "./metrics.ts";
import { useOperationMetrics } from "./operation-metrics.ts";
import { isAllowedOrigin } from "./origin.ts";
import type { Presence } from "./presence.ts";
import { useRequestId } from "./request-id.ts";
import { useServerSentEvents } from "./sse-transport.ts";
import { useTimeout } from "./timeout.ts";

export const graphqlPath = "/graphql";

export interface YogaOptions {
  readonly schema: GraphQLSchema;
  readonly contextFor: ContextFor;
  readonly limits: Limits;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly masker: Masker;
  readonly authenticator: Authenticator;
  readonly rate: Buckets;
  readonly presence: Presence;
  readonly origins: readonly string[];
}

export type Yoga = YogaServerInstance<ServerContext, Record<never, never>>;

export function createGraphqlServer(options: YogaOptions): Yoga {
  const { schema, limits, runtime, metrics, masker } = options;
  return createYoga<ServerContext>({
    schema,
    graphqlEndpoint: graphqlPath,
    // Served beside it (`graphiql.ts`, `endpoints.ts`).
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    // `masking.ts` does it at the one place that all answers pass.
    maskedErrors: false,
    logging: yogaLogger(options.logger),
    // `body.ts` reads it, with the limit.
    maxRequestBodySize: false,
    parserAndValidationCache: { documentCache: new DocumentCache<DocumentNode>(), errorCache: new DocumentCache<Error>() },
    cors: (request) => {
      const origin = request.headers.get("origin");
      const allowed = origin !== null && isAllowedOrigin(origin, request.headers.get("host") ?? undefined, options.origins);
      // `Access-Control-Allow-Credentials` stays away: there are no cookies, and a token is sent by the page itself.
      return allowed
        ? { origin: [origin], credentials: false, methods: ["GET", "POST"], exposedHeaders: ["x-request-id", "retry-after"], maxAge: 600 }
        : false;
    },
    plugins: [
      useRequestId(),
      useAuthentication(options),
      useJsonBody(limits),
      useTokenLimit(limits),
      useShapeLimits(limits),
      useCostLimit(limits),
      useOperationMetrics(metrics, runtime.clock),
      useTimeout(limits, runtime.clock, runtime.timers),
      useServerSentEvents({ timers: runtime.timers, masker, metrics, presence: options.presence }),
      useApiContext(options.contextFor),
      useMaskedResults(masker),
    ],
  });
}

/** What yoga says goes where our own lines go; its arguments may hold anything and are not taken along. */
function yogaLogger(logger: Logger): { debug(): void; info(): void; warn(): void; error(...args: readonly unknown[]): void } {
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (...args) => {
      const [error] = args;
      logger.error({ reason: error instanceof Error ? error.message : "unknown" }, "yoga met an error");
    },
  };
}
