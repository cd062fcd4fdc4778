/**
 * Live streams as subscriptions read them. An async generator that waits inside cannot be ended from outside: its `return()` queues up
 * behind the wait. So every stream gets a signal of its own, which `return()` pulls first: a client's `complete` stops the work at once.
 */
import { LiveError } from "../live/live-error.ts";
import { liveProblem } from "./problem.ts";

/**
 * @param outer ends the stream from outside: the request's signal
 * @param start makes the stream; whatever it waits for must end with the signal it is given
 */
export function liveStream<T>(outer: AbortSignal, start: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>): AsyncIterableIterator<T> {
  const inner = new AbortController();
  const source = start(AbortSignal.any([outer, inner.signal]));
  const stop = async (): Promise<IteratorResult<T>> => {
    inner.abort();
    await source.return();
    return { done: true, value: undefined };
  };
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: async () => {
      try {
        return await source.next();
      } catch (error) {
        inner.abort();
        throw error instanceof LiveError ? liveProblem(error) : error;
      }
    },
    return: stop,
    throw: stop,
  };
}
