/** How much room the ledger has ahead: read now and then, so that whoever asks for metrics never waits for the database. */
import type { Registry } from "prom-client";
import type { Logger, Timers } from "../core/runtime.ts";
import type { Database } from "../store/database.ts";
import { countPartitionsAhead } from "../store/ledger-partition.ts";
import { addGauge } from "./metrics.ts";

/** A partition lasts hours at least, ms. */
const readEveryMs = 15_000;

/** Measures until the signal. What could not be read just now is NaN: nothing is known, and nothing is wrong for that alone. */
export async function measureLedger(
  deps: { readonly registry: Registry; readonly db: Database; readonly timers: Timers; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { registry, db, timers, logger } = deps;
  let ahead = Number.NaN;
  addGauge(
    registry,
    "muster_ledger_partitions_ahead",
    "Partitions of the ledger that wait to be filled; fewer than 3 for long: nobody makes new ones.",
    () => ahead,
  );
  while (!signal.aborted) {
    ahead = await countPartitionsAhead(db).catch((error: unknown) => {
      logger.debug({ reason: String(error) }, "the ledger's partitions were not counted");
      return Number.NaN;
    });
    await timers.wait(readEveryMs, signal);
  }
}
