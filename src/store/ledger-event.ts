/** One line of the ledger as it is read, what a filter of lines means, and how a row becomes a line. */
import type { LedgerCursor } from "../core/cursor.ts";
import { describeEvent, type EventLevel, type EventTypeName, eventLevelCodes, eventLevelName, eventTypeName, eventTypes } from "../core/event.ts";
import { type ActionId, type ClusterId, type EventId, eventId, type NodeId, type ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";

export interface LedgerEvent {
  readonly cursor: LedgerCursor;
  readonly id: EventId;
  readonly type: EventTypeName;
  readonly level: EventLevel;
  readonly occurredAtMs: number;
  readonly projectId: ProjectId;
  readonly clusterId: ClusterId | null;
  /** Names as they were: objects vanish, history does not. */
  readonly clusterName: string | null;
  readonly nodeId: NodeId | null;
  readonly nodeName: string | null;
  readonly actionId: ActionId | null;
  readonly data: JsonObject;
  readonly message: string;
}

/** Fields are ANDed, entries of a list ORed; an absent field means any, an empty list matches nothing. */
export interface LedgerFilter {
  /** null: of the whole installation. */
  readonly projectId: ProjectId | null;
  readonly clusterIds?: readonly ClusterId[];
  readonly nodeIds?: readonly NodeId[];
  readonly actionIds?: readonly ActionId[];
  readonly typeCodes?: readonly number[];
  /** At least so grave. */
  readonly minLevel?: EventLevel;
}

/** A filter made ready for many questions: sets instead of lists. */
export function matcher(filter: LedgerFilter): (event: LedgerEvent) => boolean {
  const clusters = filter.clusterIds && new Set<string>(filter.clusterIds);
  const nodes = filter.nodeIds && new Set<string>(filter.nodeIds);
  const actions = filter.actionIds && new Set<string>(filter.actionIds);
  const types = filter.typeCodes && new Set<number>(filter.typeCodes);
  const least = filter.minLevel === undefined ? 0 : eventLevelCodes[filter.minLevel];
  return (event) =>
    (filter.projectId === null || event.projectId === filter.projectId) &&
    (clusters === undefined || (event.clusterId !== null && clusters.has(event.clusterId))) &&
    (nodes === undefined || (event.nodeId !== null && nodes.has(event.nodeId))) &&
    (actions === undefined || (event.actionId !== null && actions.has(event.actionId))) &&
    (types === undefined || types.has(eventTypes[event.type].code)) &&
    eventLevelCodes[event.level] >= least;
}

/** A row of `muster.event` beside its position. */
export interface EventRow {
  readonly position: bigint;
  readonly batch: bigint;
  readonly ordinal: number;
  readonly type: number;
  readonly level: number;
  readonly occurred_at_ms: number;
  readonly project_id: ProjectId;
  readonly cluster_id: ClusterId | null;
  readonly cluster_name: string | null;
  readonly node_id: NodeId | null;
  readonly node_name: string | null;
  readonly action_id: ActionId | null;
  readonly data: JsonObject;
}

/** The columns of an `EventRow` that stand in `muster.event as e`. Milliseconds as a number: a Date would be made only to be taken apart. */
export const eventColumns = `e.batch, e.ordinal, e.type, e.level, floor(extract(epoch from e.occurred_at) * 1000)::float8 as occurred_at_ms,
  e.project_id, e.cluster_id, e.cluster_name, e.node_id, e.node_name, e.action_id, e.data`;

/**
 * Lines from rows, in their order. Lines of a type or level that this version does not know are left out: a newer one writes beside us
 * during an upgrade, and what cannot be named or described must not stop everything else.
 */
export function eventsOf(rows: readonly EventRow[], incarnation: number): LedgerEvent[] {
  return rows.filter((row) => knownTypes.has(row.type) && knownLevels.has(row.level)).map((row) => eventOf(row, incarnation));
}

const knownTypes: ReadonlySet<number> = new Set(Object.values(eventTypes).map((spec) => spec.code));
const knownLevels: ReadonlySet<number> = new Set(Object.values(eventLevelCodes));

function eventOf(row: EventRow, incarnation: number): LedgerEvent {
  const type = eventTypeName(row.type);
  return {
    cursor: { incarnation, position: row.position, ordinal: row.ordinal },
    id: eventId(row.occurred_at_ms, row.batch, row.ordinal),
    type,
    level: eventLevelName(row.level),
    occurredAtMs: row.occurred_at_ms,
    projectId: row.project_id,
    clusterId: row.cluster_id,
    clusterName: row.cluster_name,
    nodeId: row.node_id,
    nodeName: row.node_name,
    actionId: row.action_id,
    data: row.data,
    message: describeEvent(type, row.data, row.node_name ?? row.cluster_name ?? "?"),
  };
}
