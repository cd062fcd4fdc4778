/** The cleaner: keeps tables from growing; the ledger's own retention is the sequencer's. One worker does it at a time: the owner of lane 0. */
import type { Logger } from "../../core/runtime.ts";
import { purgeKeys } from "../../store/idempotency.ts";
import type { Store } from "../../store/transaction.ts";
import type { LaneBook } from "../lane-book.ts";
import { startLoop } from "../loop.ts";

/** Between rounds, ms. */
const roundMs = 60_000;
const purgeLimit = 5_000;

export function startCleaner(deps: { readonly store: Store; readonly lanes: LaneBook; readonly logger: Logger }): { stop(): Promise<void> } {
  return startLoop({ name: "cleaner", timers: deps.store.runtime.timers, logger: deps.logger }, async () => {
    if (!deps.lanes.held.has(0)) return roundMs;
    const { db } = deps.store;
    const keys = await purgeKeys(db, purgeLimit);
    return keys === purgeLimit ? 0 : roundMs;
  });
}
