/**
 * Hands resolvers the API's own context, as it is: it has state of its own (its loaders are renewed), which merging it into yoga's
 * context would copy and lose.
 */
import type { ExecutionArgs } from "graphql";
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
      const { exchange } = args.contextValue;
      const contextValue = contextOf(contextFor, exchange);
      setExecuteFn((given) => {
        // The executor looks at the signal between fields: of several mutations, those not begun are not run.
        const stoppable: ExecutionArgs & { readonly signal: AbortSignal } = { ...given, contextValue, signal: exchange.abort.signal };
        return executeFn(stoppable);
      });
    },
    onSubscribe({ args, subscribeFn, setSubscribeFn }) {
      const contextValue = contextOf(contextFor, args.contextValue.exchange);
      setSubscribeFn((given) => subscribeFn({ ...given, contextValue }));
    },
  };
}
