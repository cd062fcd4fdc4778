/** "Something about this object changed": at once, then after changes, coalesced, at most ten times a second. */
import type { Runtime } from "../core/runtime.ts";
import type { LedgerFilter } from "../store/ledger-event.ts";
import type { Bus } from "./bus.ts";
import type { Interest } from "./interest.ts";

/** At least this long between two of them, ms. */
const pauseMs = 100;

/** What it needs of the feed. */
export interface Watched {
  readonly runtime: Runtime;
  readonly bus: Bus;
  readonly interest: Pick<Interest, "add">;
  /** Rung when lines may have been missed, so that anything may have changed, and when the feed ends. */
  readonly rings: Set<() => void>;
  isClosed(): boolean;
}

export async function* changes(feed: Watched, filters: readonly LedgerFilter[], signal: AbortSignal): AsyncGenerator<"changed", void, undefined> {
  const { runtime, bus, interest, rings } = feed;
  let changed = true;
  let wake: (() => void) | null = null;
  const ring = (): void => {
    changed = true;
    wake?.();
  };
  const removals = filters.flatMap((filter) => [interest.add(filter), bus.add({ filter, offer: ring })]);
  rings.add(ring);
  const stop = (): void => wake?.();
  signal.addEventListener("abort", stop, { once: true });
  try {
    while (!signal.aborted && !feed.isClosed()) {
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
    rings.delete(ring);
    for (const remove of removals) remove();
  }
}
