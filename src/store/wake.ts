/**
 * Wake-ups: NOTIFY with an empty payload, outside of any transaction, coalesced. Losing one costs latency,
 * never correctness: whoever listens also polls, slowly. So a wake-up that cannot be sent is dropped.
 */
import { sql } from "kysely";
import type { Runtime } from "../core/runtime.ts";
import type { Database } from "./database.ts";
import type { Channel } from "./session.ts";
import { unforced } from "./unforced.ts";

export interface Wake {
  /** Something became due: a cluster to plan, tasks to carry out. */
  work(): void;
  /** A cluster is to be planned, and no task became due: nobody need look for any. */
  plan(): void;
  /** A marker was committed: the sequencer has something to give a position to. */
  ledger(): void;
}

/** For where nobody listens, e.g. tests of a single statement. */
export const silentWake: Wake = { work: () => undefined, plan: () => undefined, ledger: () => undefined };

/** At least this long between two NOTIFYs of one process: each takes a database-wide lock at its commit, ms. */
const pauseMs = 5;

/** The first wake-up goes out at once, those that follow within 5 ms together. `close` waits for what is under way. */
export function createWake(db: Database, runtime: Runtime): Wake & { close(): Promise<void> } {
  const pending = new Set<Channel>();
  const closing = new AbortController();
  let running: Promise<void> | null = null;

  const drain = async (): Promise<void> => {
    while (pending.size > 0 && !closing.signal.aborted) {
      const channels = [...pending];
      pending.clear();
      await sql`/* wake.notify */ select pg_notify(channel, '') from unnest(${channels}::text[]) as channel where ${unforced}`
        .execute(db)
        .catch(drop);
      await runtime.timers.wait(pauseMs, closing.signal);
    }
    running = null;
  };
  const request = (channel: Channel): void => {
    if (closing.signal.aborted) return;
    pending.add(channel);
    running ??= drain();
  };
  return {
    work: () => request("muster_work"),
    plan: () => request("muster_plan"),
    ledger: () => request("muster_ledger"),
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

/** The slow poll of whoever listens makes up for it, whatever the reason was. */
function drop(): void {
  return;
}
