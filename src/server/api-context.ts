/**
 * Hands resolvers the API's own context, as it is: it has state of its own (its loaders are renewed), which merging it into yoga's
 * context would copy and lose.
 */
import type { ExecutionArgs } from "graphql";
import type { Plugin } from "graphql-yoga";
import type { Principal } from "../core/principal.ts";
import type { Exchange, ServerContext } from "./exchange.ts";
import { SharedFrames } from "./shared-frames.ts";

/** Makes the context of one operation. */
export type ContextFor = (principal: Principal, requestId: string, signal: AbortSignal) => object;

function contextOf(contextFor: ContextFor, exchange: Exchange): object {
  if (exchange.principal === null) throw new Error("an operation has reached execution without a principal");
  return contextFor(exchange.principal, exchange.id, exchange.abort.signal);
}

export function useApiContext(contextFor: ContextFor): Plugin<ServerContext, ServerContext> {
  const frames = new SharedFrames();
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
      const { exchange } = args.contextValue;
      const contextValue = contextOf(contextFor, exchange);
      const { principal, transport } = exchange;
      // Over SSE each stream has a document of its own, with its cursor.
      const shared = transport === "ws" && principal !== null;
      setSubscribeFn((given) => (shared ? frames.subscribe({ ...given, contextValue }, principal) : subscribeFn({ ...given, contextValue })));
    },
  };
}
