/** Every answer says the request's id, so that a user's report and our log meet. */
import type { Plugin } from "graphql-yoga";
import type { ServerContext } from "./exchange.ts";

export function useRequestId(): Plugin<Record<never, never>, ServerContext> {
  return {
    onResponse({ response, serverContext }) {
      response.headers.set("x-request-id", serverContext.exchange.id);
    },
  };
}
