/** Looks at the lanes while everything happens: epochs never go back, and how long the lanes of whoever was struck stay without another owner. */
import { sql } from "kysely";
import type { Runtime } from "../../src/core/runtime.ts";
import type { Database } from "../../src/store/database.ts";
import { isAbsence } from "../../src/store/failure.ts";

export interface Takeover {
  readonly kind: string;
  readonly ms: number;
}

export interface Watcher {
  /** A worker was struck: its lanes are to come to others. */
  struck(name: string | null, kind: string): void;
  /** It is back before anybody took its lanes. */
  back(name: string | null): void;
  /** Something else went wrong: what is being waited for may rightly take longer. */
  disturbed(): void;
  readonly takeovers: readonly Takeover[];
  readonly breaches: readonly string[];
  stop(): Promise<void>;
}

const everyMs = 50;

interface Lane {
  readonly id: number;
  readonly epoch: bigint;
  readonly owner: string | null;
}

export function watchLanes(db: Database, { clock, timers }: Runtime): Watcher {
  const ending = new AbortController();
  const highest = new Map<number, bigint>();
  const waiting = new Map<string, { readonly kind: string; readonly sinceMs: number; readonly lanes: readonly number[] }>();
  const takeovers: Takeover[] = [];
  const breaches: string[] = [];
  let last: readonly Lane[] = [];
  const look = async (): Promise<void> => {
    const { rows } = await sql<Lane>`
      /* chaos.lanes */
      select l.id, l.epoch, w.application_name as owner from muster.lane l left join muster.worker w on w.id = l.owner where l.host_id is null`.execute(
      db,
    );
    const nowMs = clock.monotonicMs();
    last = rows;
    for (const { id, epoch } of rows) {
      const before = highest.get(id) ?? 0n;
      if (epoch < before) breaches.push(`lane ${id}: its epoch went back from ${before} to ${epoch}`);
      highest.set(id, epoch);
    }
    const owners = new Map(rows.map((lane) => [lane.id, lane.owner]));
    for (const [name, { kind, sinceMs, lanes }] of waiting) {
      const taken = lanes.every((lane) => {
        const owner = owners.get(lane) ?? null;
        return owner !== null && owner !== name;
      });
      if (!taken) continue;
      waiting.delete(name);
      takeovers.push({ kind, ms: nowMs - sinceMs });
    }
  };
  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        await look();
      } catch (error) {
        if (!isAbsence(error)) throw error;
      }
      await timers.wait(everyMs, ending.signal);
    }
  };
  const running = run();
  return {
    struck: (name, kind) => {
      const lanes = last.filter((lane) => lane.owner === name).map((lane) => lane.id);
      if (name !== null && lanes.length > 0) waiting.set(name, { kind, sinceMs: clock.monotonicMs(), lanes });
    },
    back: (name) => {
      if (name !== null) waiting.delete(name);
    },
    disturbed: () => waiting.clear(),
    takeovers,
    breaches,
    stop: async () => {
      ending.abort();
      await running;
    },
  };
}
