/** Nodes as people read them, and the health behind a verdict. Lists and filters are `node-list.ts`. */
import { sql } from "kysely";
import { type HealthStatus, type HealthSubject, healthStatusCodec, healthSubjects, type Signal } from "../core/health.ts";
import type { ActionId, ClusterId, HostId, NodeId, ProfileId, ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { type NodeStatus, nodeStatusCodec } from "../core/node.ts";
import type { NodeAddress, NodePlacement } from "../drivers/driver.ts";
import type { Database } from "./database.ts";

export interface NodeRow {
  readonly id: NodeId;
  readonly projectId: ProjectId;
  readonly clusterId: ClusterId | null;
  readonly profileId: ProfileId;
  readonly hostId: HostId | null;
  readonly index: number | null;
  readonly name: string;
  readonly role: string | null;
  readonly metadata: JsonObject;
  readonly protected: boolean;
  readonly tainted: boolean;
  readonly status: NodeStatus;
  readonly statusReason: string | null;
  readonly health: HealthStatus;
  readonly epoch: number;
  readonly physicalId: string | null;
  readonly addresses: readonly NodeAddress[];
  readonly placement: NodePlacement | null;
  readonly actionId: ActionId | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly startedAt: Date | null;
}

export interface StoredNode {
  readonly id: NodeId;
  readonly project_id: ProjectId;
  readonly cluster_id: ClusterId | null;
  readonly profile_id: ProfileId;
  readonly host_id: HostId | null;
  readonly index: number | null;
  readonly name: string;
  readonly role: string | null;
  readonly metadata: JsonObject | null;
  readonly protected: boolean;
  readonly tainted: boolean;
  readonly status: number;
  readonly status_reason: string | null;
  readonly health: number;
  readonly epoch: number;
  readonly physical_id: string | null;
  readonly addresses: readonly NodeAddress[] | null;
  readonly placement: NodePlacement | null;
  readonly action_id: ActionId | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly started_at: Date | null;
}

/** Of `muster.node n`. */
export const nodeColumns =
  sql.raw(`n.id, n.project_id, n.cluster_id, n.profile_id, n.host_id, n.index, n.name, n.role, n.metadata, n.protected, n.tainted,
  n.status, n.status_reason, n.health, n.epoch, n.physical_id, n.addresses, n.placement, n.action_id, n.created_at, n.updated_at, n.started_at`);

export function toNode(row: StoredNode): NodeRow {
  return {
    id: row.id,
    projectId: row.project_id,
    clusterId: row.cluster_id,
    profileId: row.profile_id,
    hostId: row.host_id,
    index: row.index,
    name: row.name,
    role: row.role,
    metadata: row.metadata ?? {},
    protected: row.protected,
    tainted: row.tainted,
    status: nodeStatusCodec.name(row.status),
    statusReason: row.status_reason,
    health: healthStatusCodec.name(row.health),
    epoch: row.epoch,
    physicalId: row.physical_id,
    addresses: row.addresses ?? [],
    placement: row.placement,
    actionId: row.action_id,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    startedAt: row.started_at,
  };
}

/** Nodes by id, in any order; foreign and unknown ids are left out. */
export async function getNodesByIds(db: Database, projectId: ProjectId, ids: readonly NodeId[]): Promise<NodeRow[]> {
  const { rows } = await sql<StoredNode>`
    /* node.get */
    select ${nodeColumns} from muster.node n where n.id = any(${ids}::uuid[]) and n.project_id = ${projectId}`.execute(db);
  return rows.map(toNode);
}

/** A node by its place in a cluster: its name or its index. */
export type NodePlace = { readonly clusterId: ClusterId; readonly name: string } | { readonly clusterId: ClusterId; readonly index: number };

export async function findNode(db: Database, projectId: ProjectId, place: NodePlace): Promise<NodeRow | null> {
  const found = "name" in place ? sql`n.name = ${place.name}` : sql`n.index = ${place.index}`;
  const { rows } = await sql<StoredNode>`
    /* node.find */
    select ${nodeColumns} from muster.node n
     where n.cluster_id = ${place.clusterId} and ${found} and n.project_id = ${projectId}`.execute(db);
  const [row] = rows;
  return row === undefined ? null : toNode(row);
}

/** Whether another node of the cluster holds a name. */
export async function findNameHolder(db: Database, clusterId: ClusterId, name: string): Promise<NodeId | null> {
  const { rows } = await sql<{ id: NodeId }>`
    /* node.name_holder */
    select id from muster.node where cluster_id = ${clusterId} and name = ${name}`.execute(db);
  return rows[0]?.id ?? null;
}

/** Why a node's verdict is what it is. */
export interface NodeHealthRow {
  readonly status: HealthStatus;
  readonly reason: string;
  readonly message: string | null;
  readonly since: Date;
  readonly signals: readonly SignalRow[];
}
export interface SignalRow {
  readonly subject: HealthSubject;
  readonly status: HealthStatus;
  readonly reason: string;
  readonly message: string | null;
  readonly observedAt: Date;
  readonly since: Date;
}

/** What a verdict rests on where nothing more is known than how the node stands. */
const plainReasons = { HEALTHY: "WORKING", UNHEALTHY: "DEAD", UNKNOWN: "NO_EVIDENCE" } as const satisfies Record<HealthStatus, string>;
const asleep: ReadonlySet<NodeStatus> = new Set(["PLANNED", "CREATING", "DELETING", "SUSPENDED"]);

/** The health of nodes that were read before. */
export async function nodeHealthOf(db: Database, nodes: readonly NodeRow[]): Promise<Map<NodeId, NodeHealthRow>> {
  const { rows } = await sql<{ node_id: NodeId; reason: string; message: string | null; since: Date; signals: Readonly<Record<string, Signal>> }>`
    /* node.health */
    select node_id, reason, message, since, signals from muster.node_health
     where node_id = any(${nodes.map((node) => node.id)}::uuid[])`.execute(db);
  const known = new Map(rows.map((row) => [row.node_id, row]));
  return new Map(
    nodes.map((node) => {
      const row = known.get(node.id);
      const reason = asleep.has(node.status) ? "NOT_RUNNING" : plainReasons[node.health];
      const verdict = {
        status: node.health,
        reason: row?.reason ?? reason,
        message: row?.message ?? null,
        since: row?.since ?? node.startedAt ?? node.createdAt,
      };
      return [node.id, { ...verdict, signals: signalsOf(row?.signals ?? {}) }];
    }),
  );
}

function signalsOf(stored: Readonly<Record<string, Signal>>): SignalRow[] {
  return healthSubjects.flatMap((subject) => {
    const signal = stored[subject];
    if (signal === undefined) return [];
    const { status, reason, message, observedAtMs, sinceMs } = signal;
    return [{ subject, status, reason, message, observedAt: new Date(observedAtMs), since: new Date(sinceMs) }];
  });
}
