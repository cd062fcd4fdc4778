/**
 * Pulls a stream one element at a time, by somebody who may have to stop waiting at any moment: the client said `complete`, the
 * token died, a heartbeat is due. (Racing each pull against one long-lived promise would keep a reaction per element for as long
 * as the stream lives.)
 */

export type Pulled<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "done" }
  | { readonly kind: "nudged" }
  | { readonly kind: "stopped" };

export class Pull<T> {
  private readonly iterator: AsyncIterator<T, unknown, unknown>;
  private pending: Promise<IteratorResult<T, unknown>> | null = null;
  private wake: ((pulled: Pulled<T>) => void) | null = null;
  private stopped = false;

  constructor(source: AsyncIterable<T>) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  /** The next element, or why there is none. After "nudged" the same element is still on its way. Rejects as the source does. */
  next(): Promise<Pulled<T>> {
    if (this.stopped) return Promise.resolve({ kind: "stopped" });
    this.pending ??= this.iterator.next();
    const { pending } = this;
    return new Promise((resolve, reject) => {
      this.wake = resolve;
      pending.then(
        (result) => {
          if (this.pending === pending) this.pending = null;
          resolve(result.done === true ? { kind: "done" } : { kind: "value", value: result.value });
        },
        (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))),
      );
    });
  }

  /** Lets a waiting `next` return with "nudged". */
  nudge(): void {
    this.wake?.({ kind: "nudged" });
  }

  /** Lets `next` return with "stopped" from now on, and ends the source without waiting for it: it may answer only when it wakes. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.wake?.({ kind: "stopped" });
    this.pending?.catch(ignoreLateError);
    Promise.resolve(this.iterator.return?.()).catch(ignoreLateError);
  }
}

/** Nobody is left to be told. What broke for a reason of its own breaks for the next who asks as well, and is told then. */
function ignoreLateError(): void {}
