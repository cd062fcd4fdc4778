/**
 * After a restore or a fail-over the tables may be older than the world. Until every member has been read back from its driver, nothing
 * is made, removed or healed. Every worker asks whether it must hold still; the owner of lane 0 does the asking for checks, in windows.
 */
import type { Logger } from "../../core/runtime.ts";
import { ensureLedger } from "../../store/ledger.ts";
import { askNextChecks, checksLeft, endReadBack, readBackState } from "../../store/read-back.ts";
import type { Store } from "../../store/transaction.ts";
import type { LaneBook } from "../lane-book.ts";
import { startLoop } from "../loop.ts";

export interface ReadBack {
  /** Why nothing may be made, removed or healed just now; null: it may. */
  held(): string | null;
  /** The connection was lost: it may be another server that answers now. Holds still until that is known. */
  doubt(): void;
  stop(): Promise<void>;
}

const lookMs = 1_000;
/** Hosts that are away for longer are not waited for, ms. */
const patienceMs = 10_000;
const window = 2_500;

export function startReadBack(deps: {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly logger: Logger;
  readonly onReleased: () => void;
}): ReadBack {
  const { store, lanes, logger } = deps;
  let held: string | null = "it is not yet known whether the database was restored";
  let asked = false;

  const loop = startLoop({ name: "read back", timers: store.runtime.timers, logger }, async () => {
    await ensureLedger(store.db);
    const state = await readBackState(store.db);
    if (!state.pending) {
      const released = held !== null;
      held = null;
      asked = false;
      if (released) deps.onReleased();
      return lookMs;
    }
    held = "the database was restored or failed over: every member is being read back first";
    if (!lanes.held.has(0)) return lookMs;
    if (!asked) {
      asked = (await askNextChecks(store.db, state.after, window)) < window;
      store.wake.work();
      return 0;
    }
    if (await checksLeft(store.db, patienceMs)) return lookMs / 4;
    await endReadBack(store.db, state.incarnation);
    logger.warn({ incarnation: state.incarnation }, "every member has been read back");
    return 0;
  });
  return {
    held: () => held,
    doubt: () => {
      held ??= "it is not yet known whether the database was restored";
      loop.bell.ring();
    },
    stop: () => loop.stop(),
  };
}
