/**
 * Hands resolvers the API's own context, as it is: it has state of its own (its loaders are renewed), which merging it into yoga's
 * context would copy and lose.
 */
import type { Plugin } from "graphql-yoga";
import type { Principal } from "../core/principal.ts";
import type { Exchange, ServerContext } from "./exchange.ts";

/** Makes the context of one operation. */
export type ContextFor = (principal: Principal, requestId: string, signal: AbortSignal) => object;

function contextOf(contextFor: ContextFor, exchange: Exchange): object {
  if (exchange.principal === null) throw new Error("an operation has reached execution without a principal");
  return contextFor(exchange.principal, exchange.id, exchange.abort.signal);
}

export function useApiContext(contextFor: ContextFor): Plugin<ServerContext, ServerContext> {
  return {
    onExecute({ args, executeFn, setExecuteFn }) {
      const contextValue = contextOf(contextFor, args.contextValue.exchange);
      setExecuteFn((given) => executeFn({ ...given, contextValue }));
    },
    onSubscribe({ args, subscribeFn, setSubscribeFn }) {
      const contextValue = contextOf(contextFor, args.contextValue.exchange);
      setSubscribeFn((given) => subscribeFn({ ...given, contextValue }));
    },
  };
}
