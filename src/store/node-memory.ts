/** What is remembered of a node beside its row: signals, deaths in a row, its probe. Rows exist only where there is something to say. */
import { sql } from "kysely";
import type { Signals } from "../core/health.ts";
import type { NodeId } from "../core/ids.ts";
import type { Deaths } from "../core/plan/ladder.ts";
import type { Database } from "./database.ts";

export interface NodeMemory {
  readonly signals: Signals;
  readonly crashes: (Deaths & { readonly lastAtMs: number }) | null;
  readonly certain: boolean;
}

export const noMemory: NodeMemory = { signals: {}, crashes: null, certain: true };

/** Reads it for locked nodes. */
export async function readMemory(db: Database, ids: readonly NodeId[]): Promise<Map<NodeId, NodeMemory>> {
  if (ids.length === 0) return new Map();
  const { rows } = await sql<{
    id: NodeId;
    signals: Signals | null;
    crashes: number | null;
    proven: boolean | null;
    last_at: Date | null;
    certain: boolean | null;
  }>`
    /* memory.read */
    select d.id, h.signals, c.crashes, c.proven, c.last_at, o.certain
      from unnest(${ids}::uuid[]) as d(id)
      left join muster.node_health h on h.node_id = d.id and h.node_id = any(${ids}::uuid[])
      left join muster.node_crash c on c.node_id = d.id and c.node_id = any(${ids}::uuid[])
      left join muster.notable o on o.node_id = d.id and o.node_id = any(${ids}::uuid[])`.execute(db);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        signals: row.signals ?? {},
        crashes:
          row.crashes === null || row.last_at === null
            ? null
            : { crashes: row.crashes, proven: row.proven ?? false, lastAtMs: row.last_at.getTime() },
        certain: row.certain ?? true,
      },
    ]),
  );
}

/** Saves signals with the verdict they led to. */
export async function saveSignals(
  db: Database,
  now: Date,
  rows: readonly {
    readonly id: NodeId;
    readonly reason: string;
    readonly message: string | null;
    readonly verdictChanged: boolean;
    readonly signals: Signals;
  }[],
): Promise<void> {
  if (rows.length === 0) return;
  await sql`
    /* memory.signals */
    insert into muster.node_health (node_id, reason, message, since, signals)
    select d.id, d.reason, d.message, case when d.changed or h.since is null then ${now}::timestamptz else h.since end, d.signals
      from unnest(${rows.map((r) => r.id)}::uuid[], ${rows.map((r) => r.reason)}::text[], ${rows.map((r) => r.message)}::text[],
                  ${rows.map((r) => r.verdictChanged)}::boolean[], ${rows.map((r) => JSON.stringify(r.signals))}::jsonb[]) as d(id, reason, message, changed, signals)
      left join muster.node_health h on h.node_id = d.id and h.node_id = any(${rows.map((r) => r.id)}::uuid[])
    on conflict (node_id) do update
       set reason = excluded.reason, message = excluded.message, signals = excluded.signals, since = excluded.since`.execute(db);
}

/** Saves how often members have died in a row. */
export async function saveCrashes(db: Database, now: Date, rows: readonly ({ readonly id: NodeId } & Deaths)[]): Promise<void> {
  if (rows.length === 0) return;
  await sql`
    /* memory.crashes */
    insert into muster.node_crash (node_id, crashes, proven, last_at)
    select d.id, d.crashes, d.proven, ${now}::timestamptz
      from unnest(${rows.map((r) => r.id)}::uuid[], ${rows.map((r) => r.crashes)}::int[], ${rows.map((r) => r.proven)}::boolean[]) as d(id, crashes, proven)
    on conflict (node_id) do update set crashes = excluded.crashes, proven = excluded.proven, last_at = excluded.last_at`.execute(db);
}

/** Starts probing nodes: each at its own phase of the interval, so that a thousand made together are not probed together. */
export async function startProbes(
  db: Database,
  rows: readonly { readonly id: NodeId; readonly lane: number; readonly intervalMs: number; readonly phaseMs: number }[],
): Promise<void> {
  if (rows.length === 0) return;
  await sql`
    /* probe.start */
    insert into muster.probe (node_id, lane, interval_ms, phase_ms)
    select d.* from unnest(${rows.map((r) => r.id)}::uuid[], ${rows.map((r) => r.lane)}::int[], ${rows.map((r) => r.intervalMs)}::int[], ${rows.map((r) => r.phaseMs)}::int[]) as d
    on conflict (node_id) do update set lane = excluded.lane, interval_ms = excluded.interval_ms, phase_ms = excluded.phase_ms`.execute(db);
}

export async function stopProbes(db: Database, ids: readonly NodeId[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`/* probe.stop */ delete from muster.probe where node_id = any(${ids}::uuid[])`.execute(db);
}
