/** Writing the ledger: events in one statement, and one marker row, last of all. Only `transaction` calls this. */
import { sql } from "kysely";
import { type EventLevel, type EventTypeName, eventLevelCodes, eventTypes, eventVersion } from "../core/event.ts";
import type { ActionId, ClusterId, NodeId, ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Database } from "./database.ts";
import { type Column, rowSet } from "./row-set.ts";

export interface NewEvent {
  readonly type: EventTypeName;
  /** Else the type's own. */
  readonly level?: EventLevel;
  readonly projectId: ProjectId;
  readonly clusterId?: ClusterId | null;
  readonly clusterName?: string | null;
  readonly nodeId?: NodeId | null;
  readonly nodeName?: string | null;
  readonly actionId?: ActionId | null;
  /** When it happened, ms since 1970; else now. Order is the ledger's, never this. */
  readonly occurredAtMs?: number;
  readonly data: JsonObject;
}

/** Events that are written and not yet marked. */
export interface Appended {
  readonly batch: bigint;
  readonly events: number;
  readonly first: NewEvent;
  /** When the first event happened, as PostgreSQL wrote it: to the microsecond. */
  readonly occurredAt: string;
}

/** What tells a transaction's events from all others, so that its outcome can be read back. */
export interface Written extends Appended {
  /** xid8 text. */
  readonly xid: string;
}

/** Appends events, at least one. Nobody sees them before `markBatch` has given them their marker. */
export async function appendEvents(db: Database, events: readonly NewEvent[]): Promise<Appended> {
  const column = (name: string, type: string, pick: (event: NewEvent) => unknown): Column => ({ name, type, values: events.map(pick) });
  const rows = rowSet([
    column("data", "jsonb", (e) => JSON.stringify(e.data)),
    column("type", "smallint", (e) => eventTypes[e.type].code),
    column("level", "smallint", (e) => eventLevelCodes[e.level ?? eventTypes[e.type].level]),
    column("at", "float8", (e) => e.occurredAtMs ?? null),
    column("project_id", "uuid", (e) => e.projectId),
    column("cluster_id", "uuid", (e) => e.clusterId ?? null),
    column("cluster_name", "text", (e) => e.clusterName ?? null),
    column("node_id", "uuid", (e) => e.nodeId ?? null),
    column("node_name", "text", (e) => e.nodeName ?? null),
    column("action_id", "uuid", (e) => e.actionId ?? null),
  ]);
  const appended = await sql<{ batch: bigint; occurred_at: string }>`
    /* ledger.append */
    with batch as materialized (select nextval('muster.batch') as id),
    written as (
      insert into muster.event (batch, ordinal, version, type, level, occurred_at, project_id, cluster_id, cluster_name, node_id, node_name, action_id, data)
      select batch.id, d.ordinal, ${eventVersion}, ${rows.at("type")}, ${rows.at("level")},
             coalesce(to_timestamp(${rows.at("at")} / 1000.0), clock_timestamp()), ${rows.at("project_id")}, ${rows.at("cluster_id")},
             ${rows.at("cluster_name")}, ${rows.at("node_id")}, ${rows.at("node_name")}, ${rows.at("action_id")}, ${rows.at("data")}
        from batch, ${rows.source} with ordinality as d(${rows.names}, ordinal)
      returning ordinal, occurred_at
    )
    select batch.id as batch, written.occurred_at::text as occurred_at from batch, written where written.ordinal = 1`.execute(db);
  const [row] = appended.rows;
  const [first] = events;
  if (row === undefined || first === undefined) throw new Error("the ledger gave no batch");
  return { batch: row.batch, events: events.length, first, occurredAt: row.occurred_at };
}

/** Writes the marker, by which the sequencer finds the batch. */
export async function markBatch(db: Database, appended: Appended): Promise<Written> {
  const { rows } = await sql<{ xid: string }>`
    /* ledger.mark */
    insert into muster.marker (batch, events) values (${appended.batch}, ${appended.events}) returning pg_current_xact_id()::text as xid`.execute(db);
  const xid = rows[0]?.xid;
  if (xid === undefined) throw new Error("the marker was not written");
  return { ...appended, xid };
}

/**
 * Whether these very events are there, once their transaction is over. Neither the transaction's id nor the batch's number would tell:
 * a server that crashed gives both again, to others, when the crash took back that they were given.
 */
export async function areWritten(db: Database, { batch, first, occurredAt }: Appended): Promise<boolean> {
  const { rows } = await sql<{ there: boolean }>`
    /* ledger.written */
    select exists (
      select from muster.event
       where batch = ${batch}::bigint and ordinal = 1 and occurred_at = ${occurredAt}::timestamptz and type = ${eventTypes[first.type].code}::smallint
         and project_id = ${first.projectId}::uuid and data = ${JSON.stringify(first.data)}::jsonb
         and cluster_id is not distinct from ${first.clusterId ?? null}::uuid
         and node_id is not distinct from ${first.nodeId ?? null}::uuid
         and action_id is not distinct from ${first.actionId ?? null}::uuid) as there`.execute(db);
  return rows[0]?.there === true;
}
