/** "Something about this object changed": at once, then after changes, coalesced, at most ten times a second. */
import type { Runtime } from "../core/runtime.ts";
import type { LedgerFilter } from "../store/ledger-event.ts";
import type { Bus } from "./bus.ts";

/** At least this long between two of them, ms. */
const pauseMs = 100;

/** `onRestart` is told a function to call when lines may have been missed: then it may have changed. */
export async function* changes(
  runtime: Runtime,
  bus: Bus,
  filters: readonly LedgerFilter[],
  restarts: Set<() => void>,
  signal: AbortSignal,
): AsyncGenerator<"changed", void, undefined> {
  let changed = true;
  let wake: (() => void) | null = null;
  const ring = (): void => {
    changed = true;
    wake?.();
  };
  const removals = filters.map((filter) => bus.add({ filter, offer: ring }));
  restarts.add(ring);
  const stop = (): void => wake?.();
  signal.addEventListener("abort", stop, { once: true });
  try {
    while (!signal.aborted) {
      if (!changed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = null;
        continue;
      }
      changed = false;
      yield "changed";
      await runtime.timers.wait(pauseMs, signal);
    }
  } finally {
    signal.removeEventListener("abort", stop);
    restarts.delete(ring);
    for (const remove of removals) remove();
  }
}
