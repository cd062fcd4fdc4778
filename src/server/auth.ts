/** Over HTTP: who asks, and whether this token may ask so much. Both are settled before the body is read. */
import type { Plugin } from "graphql-yoga";
import { operationalProblem } from "../api/problem.ts";
import type { Authenticator } from "./authenticate.ts";
import type { Buckets } from "./bucket.ts";
import type { ServerContext } from "./exchange.ts";
import type { Metrics } from "./metrics.ts";
import { type Refused, refusal } from "./refusal.ts";

export interface AuthOptions {
  readonly authenticator: Authenticator;
  /** Requests by token. */
  readonly rate: Buckets;
  readonly metrics: Metrics;
}

export function useAuthentication(options: AuthOptions): Plugin<Record<never, never>, ServerContext> {
  return {
    async onRequest({ request, serverContext, fetchAPI, endResponse }) {
      const { exchange } = serverContext;
      const refuse = (refused: Omit<Refused, "requestId">): void => {
        options.metrics.refused.inc({ reason: refused.code });
        const { status, headers, body } = refusal({ ...refused, requestId: exchange.id }, request.headers.get("accept"));
        endResponse(new fetchAPI.Response(body, { status, headers }));
      };
      try {
        const login = await options.authenticator.authenticate(request.headers.get("authorization"), exchange.address);
        if (login.kind === "refused") return refuse({ status: 401, code: "UNAUTHENTICATED", message: login.message });
        if (login.kind === "slowed") return refuse({ status: 429, code: "RATE_LIMITED", message: tooManyFailures, retryAfterMs: login.retryAfterMs });
        exchange.principal = login.principal;
      } catch (error) {
        const problem = operationalProblem(error);
        if (problem === null) throw error;
        return refuse({ status: 503, code: "UNAVAILABLE", message: problem.message });
      }
      const retryAfterMs = options.rate.take(exchange.principal.tokenId);
      if (retryAfterMs > 0) refuse({ status: 429, code: "RATE_LIMITED", message: tooManyRequests, retryAfterMs });
    },
  };
}

export const tooManyFailures = "Too many logins have failed from this address. Wait a moment.";
export const tooManyRequests = "This token asks too often. Wait a moment.";
