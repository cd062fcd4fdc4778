/** A ledger in memory and the same one in the database: what history must look like, the simplest way to say it. */
import { sql } from "kysely";
import type { LedgerCursor } from "../../src/core/cursor.ts";
import { type EventTypeName, eventTypes } from "../../src/core/event.ts";
import { brandId } from "../../src/core/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { type LedgerEvent, matcher } from "../../src/store/ledger-event.ts";
import type { LedgerFilter } from "../../src/store/ledger-read.ts";

export interface ModelEvent {
  readonly project: number;
  readonly cluster: number | null;
  readonly node: number | null;
  readonly action: number | null;
  readonly type: EventTypeName;
}

/** One transaction: the events of one batch, and in which of the sequencer's ticks it was first seen (null: never yet). */
export interface ModelBatch {
  readonly events: readonly ModelEvent[];
  readonly tick: number | null;
}

function uuidOf(kind: number, n: number): string {
  return `0000000${kind}-0000-7000-8000-${String(n).padStart(12, "0")}`;
}
export const projectOf = (n: number) => brandId("project", uuidOf(1, n));
export const clusterOf = (n: number) => brandId("cluster", uuidOf(2, n));
export const nodeOf = (n: number) => brandId("node", uuidOf(3, n));
export const actionOf = (n: number) => brandId("action", uuidOf(4, n));

export interface Place {
  readonly position: bigint;
  readonly ordinal: number;
  readonly event: ModelEvent;
}

interface Positioned {
  readonly batch: bigint;
  readonly position: bigint;
  readonly late: boolean;
  readonly events: readonly ModelEvent[];
}

/** Positions as the sequencer would give them: tick by tick, within one by number. */
function positioned(batches: readonly ModelBatch[], stride: bigint): { rows: Positioned[]; topBatch: bigint; maxLag: bigint } {
  const seen = batches.map((batch, i) => ({ ...batch, number: BigInt(i + 1) * stride })).filter((batch) => batch.tick !== null);
  seen.sort((a, b) => (a.tick ?? 0) - (b.tick ?? 0) || Number(a.number - b.number));
  let topBatch = 0n;
  let maxLag = 0n;
  const rows = seen.map(({ number, events }, i) => {
    const late = number < topBatch;
    if (late && topBatch - number > maxLag) maxLag = topBatch - number;
    if (!late) topBatch = number;
    return { batch: number, position: BigInt(i + 1), late, events };
  });
  return { rows, topBatch, maxLag };
}

/** Replaces the database's ledger with this one. */
export async function writeLedger(db: Database, batches: readonly ModelBatch[], stride: bigint): Promise<Place[]> {
  const { rows, topBatch, maxLag } = positioned(batches, stride);
  await sql`truncate muster.event, muster.position, muster.marker`.execute(db);
  const events = batches.flatMap((batch, i) => batch.events.map((event, j) => ({ batch: BigInt(i + 1) * stride, ordinal: j + 1, ...event })));
  await sql`
    insert into muster.event (batch, ordinal, version, type, level, occurred_at, project_id, cluster_id, cluster_name, node_id, node_name, action_id, data)
    select batch, ordinal, 1, type, level, to_timestamp(batch), project, cluster, 'c', node, 'n', action, '{}'
      from unnest(${events.map((e) => e.batch)}::bigint[], ${events.map((e) => e.ordinal)}::integer[],
                  ${events.map((e) => eventTypes[e.type].code)}::smallint[],
                  ${events.map((e) => ({ DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 })[eventTypes[e.type].level])}::smallint[],
                  ${events.map((e) => projectOf(e.project))}::uuid[],
                  ${events.map((e) => (e.cluster === null ? null : clusterOf(e.cluster)))}::uuid[],
                  ${events.map((e) => (e.node === null ? null : nodeOf(e.node)))}::uuid[],
                  ${events.map((e) => (e.action === null ? null : actionOf(e.action)))}::uuid[])
           as e(batch, ordinal, type, level, project, cluster, node, action)`.execute(db);
  await sql`
    insert into muster.position (position, batch, events, late)
    select * from unnest(${rows.map((r) => r.position)}::bigint[], ${rows.map((r) => r.batch)}::bigint[],
                         ${rows.map((r) => r.events.length)}::integer[], ${rows.map((r) => r.late)}::boolean[])`.execute(db);
  await sql`
    update muster.ledger set position = ${BigInt(rows.length)}, top_batch = ${topBatch}, max_lag = ${maxLag}, oldest = 1`.execute(db);
  return rows.flatMap((row) => row.events.map((event, j) => ({ position: row.position, ordinal: j + 1, event })));
}

/** What the model says matches, by position. */
export function matching(places: readonly Place[], filter: LedgerFilter): Place[] {
  const matches = matcher(filter);
  return places.filter(({ event }) => matches(asLine(event)));
}

function asLine(event: ModelEvent): LedgerEvent {
  return {
    cursor: { incarnation: 1, position: 0n, ordinal: 0 },
    id: brandId("event", uuidOf(9, 0)),
    type: event.type,
    level: eventTypes[event.type].level,
    occurredAtMs: 0,
    projectId: projectOf(event.project),
    clusterId: event.cluster === null ? null : clusterOf(event.cluster),
    clusterName: null,
    nodeId: event.node === null ? null : nodeOf(event.node),
    nodeName: null,
    actionId: event.action === null ? null : actionOf(event.action),
    data: {},
    message: "",
  };
}

export function textOf(place: { readonly position: bigint; readonly ordinal: number }): string {
  return `${place.position}:${place.ordinal}`;
}

export function cursorAt(incarnation: number, place: { readonly position: bigint; readonly ordinal: number }): LedgerCursor {
  return { incarnation, position: place.position, ordinal: place.ordinal };
}
