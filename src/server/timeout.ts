/**
 * Ends a query or mutation that takes too long. Its signal is aborted, so that what it waits for can stop; the answer does not wait
 * for that. A mutation may have been committed all the same: the message says how to find out.
 */
import type { Plugin } from "graphql-yoga";
import { problem } from "../api/problem.ts";
import type { Limits } from "../core/limits.ts";
import type { Timers } from "../core/runtime.ts";
import type { ServerContext } from "./exchange.ts";

export function useTimeout(limits: Pick<Limits, "executionMs">, timers: Timers): Plugin<ServerContext, ServerContext> {
  return {
    onExecute({ args, executeFn, setExecuteFn }) {
      const { abort } = args.contextValue.exchange;
      setExecuteFn(async (given) => {
        const finished = new AbortController();
        const late = timers.wait(limits.executionMs, finished.signal).then(() => {
          const errors = [
            problem(
              "UNAVAILABLE",
              `This took longer than ${limits.executionMs} ms and was ended. A mutation may have taken effect: repeat it with the same idempotencyKey.`,
            ),
          ];
          if (!finished.signal.aborted) abort.abort(errors[0]);
          return { errors };
        });
        try {
          const execution = Promise.resolve(executeFn(given));
          // Once it is late, nobody waits for it any more; what it still throws belongs to the abort.
          execution.catch(() => undefined);
          return await Promise.race([execution, late]);
        } finally {
          finished.abort();
        }
      });
    },
  };
}
