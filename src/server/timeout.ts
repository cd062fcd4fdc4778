/**
 * Ends a query or mutation that takes too long. Its signal is aborted, so that what it waits for can stop; the answer does not wait
 * for that. A mutation may have been committed all the same: the message says how to find out.
 */
import type { ExecutionResult } from "graphql";
import { isPromise, type Plugin } from "graphql-yoga";
import { problem } from "../api/problem.ts";
import type { Limits } from "../core/limits.ts";
import type { Clock, Timers } from "../core/runtime.ts";
import { Deadlines } from "./deadline.ts";
import type { ServerContext } from "./exchange.ts";

export function useTimeout(
  limits: Pick<Limits, "executionMs">,
  clock: Pick<Clock, "monotonicMs">,
  timers: Timers,
): Plugin<ServerContext, ServerContext> {
  const deadlines = new Deadlines(clock, timers, limits.executionMs);
  return {
    onExecute({ args, executeFn, setExecuteFn }) {
      const { abort } = args.contextValue.exchange;
      setExecuteFn((given) => {
        const execution = executeFn(given);
        if (!isPromise(execution)) return execution;
        return new Promise((resolve, reject) => {
          const met = deadlines.start(() => {
            const late = tooLong(limits.executionMs);
            abort.abort(late);
            // What the execution still answers or throws goes nowhere: this promise is settled.
            resolve({ errors: [late] } satisfies ExecutionResult);
          });
          Promise.resolve(execution).then(resolve, reject).finally(met);
        });
      });
    },
  };
}

function tooLong(ms: number): ReturnType<typeof problem> {
  return problem(
    "UNAVAILABLE",
    `This took longer than ${ms} ms and was ended. A mutation may have taken effect: repeat it with the same idempotencyKey.`,
  );
}
