/**
 * Outcomes as they come: the one way in which drivers turn work on single nodes, or on small groups of them, into the stream that
 * the contract asks for. Keeps the deadline, listens to the signal, and never lets one sick node end the others' stream.
 */
import { setMaxListeners } from "node:events";
import { safeText } from "../core/json.ts";
import type { Clock, Timers } from "../core/runtime.ts";
import type { CallContext, DriverError, DriverNode, Outcome } from "./driver.ts";

export interface Waiting {
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Thrown inside a driver where a call fails for a reason that it can name. */
export class CallFailed extends Error {
  override readonly name = "CallFailed";
  readonly error: DriverError;
  constructor(error: DriverError) {
    super(error.message);
    this.error = error;
  }
}

/** What a thrown value says about a call. What nobody foresaw is `unknown`: it may have taken effect. */
export function errorOf(thrown: unknown): DriverError {
  if (thrown instanceof CallFailed) return thrown.error;
  return { class: "unknown", code: "DRIVER_FAILED", message: safeText(thrown instanceof Error ? thrown.message : String(thrown)) };
}

const lateError: DriverError = { class: "unknown", code: "DEADLINE", message: "no answer came before the deadline" };
const abortedError: DriverError = { class: "unknown", code: "ABORTED", message: "the worker let go of the call" };

/** Made once: without a reason, each abort makes an exception with a stack, which was a tenth of a worker's time where every node has its call. */
const callOver = new Error("the driver's call is over");

/** Aborted by the call's own signal and by its deadline. `end` must be called when nobody waits any more. */
export interface CallEnd {
  readonly signal: AbortSignal;
  /** Why it was aborted; for nodes that have no outcome yet. */
  reason(): DriverError;
  end(): void;
}

export function endOf(context: CallContext, deps: Waiting): CallEnd {
  const over = new AbortController();
  // Every node of a batch, and every call of a worker, listens: that is no leak.
  setMaxListeners(0, over.signal, context.signal);
  const onAbort = (): void => over.abort(callOver);
  if (context.signal.aborted) over.abort(callOver);
  else context.signal.addEventListener("abort", onAbort, { once: true });
  const untilDeadline = context.deadlineMs - deps.clock.monotonicMs();
  if (untilDeadline <= 0) over.abort(callOver);
  else void deps.timers.wait(untilDeadline, over.signal).then(onAbort);
  return {
    signal: over.signal,
    reason: () => (context.signal.aborted ? abortedError : lateError),
    end: () => {
      context.signal.removeEventListener("abort", onAbort);
      over.abort(callOver);
    },
  };
}

/**
 * Runs `work` on every node at once and yields each outcome when it is there. When the deadline passes or the signal is aborted,
 * the rest is answered as unknown: `work` gets the same signal and is expected to stop.
 */
export async function* outcomesAsTheyCome<T>(
  nodes: readonly DriverNode[],
  context: CallContext,
  deps: Waiting,
  work: (node: DriverNode, signal: AbortSignal) => Promise<T>,
): AsyncGenerator<Outcome<T>> {
  const call = endOf(context, deps);
  const open = new Set(nodes);
  const done: Outcome<T>[] = [];
  let wake = (): void => undefined;
  const settle = (node: DriverNode, outcome: Outcome<T>): void => {
    if (open.delete(node)) done.push(outcome);
    wake();
  };
  call.signal.addEventListener("abort", () => wake(), { once: true });
  try {
    if (!call.signal.aborted) {
      for (const node of nodes) {
        work(node, call.signal).then(
          (value) => settle(node, { nodeId: node.id, ok: true, value }),
          (thrown: unknown) => settle(node, { nodeId: node.id, ok: false, error: errorOf(thrown) }),
        );
      }
    }
    while (open.size > 0 || done.length > 0) {
      const next = done.shift();
      if (next !== undefined) {
        yield next;
      } else if (call.signal.aborted) {
        const error = call.reason();
        for (const node of open) done.push({ nodeId: node.id, ok: false, error });
        open.clear();
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    call.end();
  }
}
