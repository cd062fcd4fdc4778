/** How long the oldest transaction on the database has lasted, whoever's: read now and then, so that whoever asks for metrics never waits for the database. */
import type { Registry } from "prom-client";
import type { Logger, Runtime } from "../core/runtime.ts";
import type { Database } from "../store/database.ts";
import { readOpenTransactions } from "../store/server.ts";
import { addGauge } from "./metrics.ts";

/** What matters lasts minutes, ms. */
const readEveryMs = 15_000;

/** Measures until the signal. What could not be read just now is NaN. */
export async function measureTransactions(
  deps: { readonly registry: Registry; readonly db: Database; readonly runtime: Pick<Runtime, "clock" | "timers">; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { registry, db, runtime, logger } = deps;
  const { clock, timers } = runtime;
  let seconds = Number.NaN;
  addGauge(
    registry,
    "muster_database_oldest_transaction_seconds",
    "Age of the oldest transaction on this database, whoever's. It delays nothing but vacuum, which leaves alone what it might still see.",
    () => seconds,
  );
  /** Since when each is known here: PostgreSQL tells the age of another role's to its like only. */
  let known = new Map<string, number>();
  while (!signal.aborted) {
    try {
      const open = await readOpenTransactions(db);
      const nowMs = clock.monotonicMs();
      known = new Map(open.map(({ id, ms }) => [id, ms === null ? (known.get(id) ?? nowMs) : nowMs - ms]));
      seconds = Math.max(0, ...[...known.values()].map((sinceMs) => nowMs - sinceMs)) / 1_000;
    } catch (error) {
      logger.debug({ reason: String(error) }, "open transactions were not looked at");
      seconds = Number.NaN;
    }
    await timers.wait(readEveryMs, signal);
  }
}
