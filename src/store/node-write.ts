/**
 * Writing nodes, many at a time: lock them in id order, decide with `core` what each becomes, save. `saveNodes` is the one place
 * where a node's status or health is written, so counts, notable rows and events cannot drift from it.
 */
import { sql } from "kysely";
import { type HealthStatus, healthStatusCodec } from "../core/health.ts";
import type { ActionId, ClusterId, HostId, NodeId, ProfileId, ProjectId } from "../core/ids.ts";
import { encodeId } from "../core/ids.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { type NodeStatus, nodeStatusCodec, taskKindCodes } from "../core/node.ts";
import { dueOf } from "../core/precedence.ts";
import { statusField } from "./count.ts";
import type { Database } from "./database.ts";
import { forgetNotable, type Remedy, rememberNotable } from "./notable.ts";
import { type Column, rowSet } from "./row-set.ts";
import type { Tx } from "./transaction.ts";

/** A node as the engine decides about it. */
export interface NodeState {
  readonly id: NodeId;
  readonly projectId: ProjectId;
  readonly clusterId: ClusterId | null;
  readonly clusterName: string | null;
  readonly profileId: ProfileId;
  readonly lane: number;
  readonly hostId: HostId | null;
  readonly index: number | null;
  readonly name: string;
  readonly status: NodeStatus;
  readonly statusReason: string | null;
  readonly health: HealthStatus;
  readonly epoch: number;
  readonly physicalId: string | null;
  readonly addresses: Json;
  readonly placement: Json;
  readonly actionId: ActionId | null;
  readonly startedAt: Date | null;
  /** UPDATING by being closed and made anew, so that it does not work meanwhile. */
  readonly replacing: boolean;
  /** What its next life is to be made from: its cluster's profile as it is now; null: it keeps its own. */
  readonly wantedProfileId: ProfileId | null;
}

/** What a node becomes; what is absent stays. */
export interface NodePatch {
  readonly status?: NodeStatus;
  readonly statusReason?: string | null;
  readonly health?: HealthStatus;
  /** Beside a changed verdict: why, for the event. */
  readonly healthReason?: string;
  readonly healthMessage?: string | null;
  readonly epoch?: number;
  readonly physicalId?: string | null;
  readonly addresses?: Json;
  readonly placement?: Json;
  readonly actionId?: ActionId | null;
  readonly startedAt?: Date | null;
  readonly profileId?: ProfileId;
  /** Beside the status UPDATING; any other ends it. */
  readonly replacing?: boolean;
  /** When the ladder may act, for nodes that become ERROR. */
  readonly remedy?: Remedy;
  /** The observer's time, ms since 1970, where the change was observed rather than decided. */
  readonly occurredAtMs?: number;
}

export interface PlannedNode {
  readonly id: NodeId;
  readonly projectId: ProjectId;
  readonly clusterId: ClusterId | null;
  readonly clusterName: string | null;
  readonly profileId: ProfileId;
  readonly lane: number;
  readonly hostId: HostId | null;
  readonly index: number | null;
  readonly name: string;
  readonly role: string | null;
  readonly metadata: JsonObject | null;
  /** It was asked for with a profile of its own, which it keeps whatever its cluster's becomes. */
  readonly ownProfile: boolean;
  /** The NODE_CREATE action this node was asked for by, if by name. */
  readonly actionId: ActionId | null;
}

/** Steps that are begun as they are written: under which epoch of their lane, and when their outcome counts as lost. */
export type Beginnings = ReadonlyMap<NodeId, { readonly epoch: bigint; readonly deadline: Date }>;

/**
 * Inserts nodes as PLANNED with the tasks that create them, due at once.
 * @param begun those whose create is begun in this very transaction: they are CREATING from the start. The caller has checked their lanes' epochs in it
 */
export async function insertPlannedNodes(tx: Tx, now: Date, nodes: readonly PlannedNode[], begun: Beginnings = new Map()): Promise<void> {
  if (nodes.length === 0) return;
  const statusOf = ({ id }: PlannedNode): "CREATING" | "PLANNED" => (begun.has(id) ? "CREATING" : "PLANNED");
  const queuedAt = queueTimes(now, nodes, begun);
  const column = (name: string, type: string, pick: (node: PlannedNode) => unknown): Column => ({ name, type, values: nodes.map(pick) });
  const rows = rowSet([
    column("id", "uuid", (n) => n.id),
    column("project_id", "uuid", (n) => n.projectId),
    column("cluster_id", "uuid", (n) => n.clusterId),
    column("profile_id", "uuid", (n) => n.profileId),
    column("lane", "int", (n) => n.lane),
    column("host_id", "uuid", (n) => n.hostId),
    column("index", "int", (n) => n.index),
    column("name", "text", (n) => n.name),
    column("role", "text", (n) => n.role),
    column("metadata", "jsonb", (n) => (n.metadata === null ? null : JSON.stringify(n.metadata))),
    column("action_id", "uuid", (n) => n.actionId),
    column("own_profile", "boolean", (n) => n.ownProfile),
    column("status", "smallint", (n) => nodeStatusCodec.code(statusOf(n))),
    column("due_at", "timestamptz", (n) => (begun.get(n.id)?.deadline ?? queuedAt.get(n.clusterId) ?? now).toISOString()),
    column("begun_by", "bigint", (n) => begun.get(n.id)?.epoch ?? 0n),
  ]);
  await sql`
    /* node.plan */
    with d as materialized (select * from ${rows.source} as d(${rows.names})),
    planned as (
      insert into muster.node (id, project_id, cluster_id, profile_id, lane, host_id, index, name, role, metadata, action_id, own_profile, status, health, created_at, updated_at)
      select d.id, ${rows.at("project_id")}, ${rows.at("cluster_id")}, ${rows.at("profile_id")}, ${rows.at("lane")}, ${rows.at("host_id")},
             ${rows.at("index")}, ${rows.at("name")}, ${rows.at("role")}, ${rows.at("metadata")}, ${rows.at("action_id")}, ${rows.at("own_profile")},
             ${rows.at("status")}, ${healthStatusCodec.code("UNKNOWN")}, ${now}::timestamptz, ${now}::timestamptz
        from d)
    insert into muster.task (node_id, project_id, cluster_id, lane, kind, due_at, begun_by, attempt)
    select d.id, ${rows.at("project_id")}, ${rows.at("cluster_id")}, ${rows.at("lane")}, ${taskKindCodes.CREATE}, ${rows.at("due_at")}, ${rows.at("begun_by")},
           (${rows.at("begun_by")} <> 0)::int
      from d`.execute(tx.db);
  for (const node of nodes) {
    const status = statusOf(node);
    if (node.clusterId === null) tx.countUse(node.projectId, "lone", 1);
    else tx.count(node.clusterId, statusField[status], 1);
    tx.events.push({
      type: "node.created",
      projectId: node.projectId,
      clusterId: node.clusterId,
      clusterName: node.clusterName,
      nodeId: node.id,
      nodeName: node.name,
      actionId: node.actionId,
      data: { index: node.index, profileId: encodeId("profile", node.profileId), ...(status === "PLANNED" ? {} : { status }) },
    });
  }
}

/** When those of each cluster are due that are not begun at once. Several clusters may be written together: each has the head start of its own size. */
function queueTimes(now: Date, nodes: readonly PlannedNode[], begun: Beginnings): ReadonlyMap<ClusterId | null, Date> {
  const queued = new Map<ClusterId | null, number>();
  for (const { id, clusterId } of nodes) if (!begun.has(id)) queued.set(clusterId, (queued.get(clusterId) ?? 0) + 1);
  return new Map([...queued].map(([clusterId, count]) => [clusterId, dueOf(now, "making", count)]));
}

interface Row {
  id: NodeId;
  project_id: ProjectId;
  cluster_id: ClusterId | null;
  cluster_name: string | null;
  profile_id: ProfileId;
  lane: number;
  host_id: HostId | null;
  index: number | null;
  name: string;
  status: number;
  status_reason: string | null;
  health: number;
  epoch: number;
  physical_id: string | null;
  addresses: Json;
  placement: Json;
  action_id: ActionId | null;
  started_at: Date | null;
  replacing: boolean;
  wanted_profile_id: ProfileId | null;
}

/** Locks nodes in id order and reads them. Those that are gone are left out. */
export async function lockNodes(db: Database, ids: readonly NodeId[]): Promise<NodeState[]> {
  if (ids.length === 0) return [];
  const { rows } = await sql<Row>`
    /* node.lock */
    select n.id, n.project_id, n.cluster_id, c.name as cluster_name, n.profile_id, n.lane, n.host_id, n.index, n.name, n.status, n.status_reason,
           n.health, n.epoch, n.physical_id, n.addresses, n.placement, n.action_id, n.started_at, n.replacing,
           case when not n.own_profile then c.profile_id end as wanted_profile_id
      from muster.node n
      -- With its limit it is asked of each node by itself; without, all clusters there are may be read.
      left join lateral (select name, profile_id from muster.cluster where id = n.cluster_id limit 1) c on true
     where n.id = any(${[...ids].sort()}::uuid[])
     order by n.id
       for no key update of n`.execute(db);
  return rows.map((row) => ({
    id: row.id,
    projectId: row.project_id,
    clusterId: row.cluster_id,
    clusterName: row.cluster_name,
    profileId: row.profile_id,
    lane: row.lane,
    hostId: row.host_id,
    index: row.index,
    name: row.name,
    status: nodeStatusCodec.name(row.status),
    statusReason: row.status_reason,
    health: healthStatusCodec.name(row.health),
    epoch: row.epoch,
    physicalId: row.physical_id,
    addresses: row.addresses,
    placement: row.placement,
    actionId: row.action_id,
    startedAt: row.started_at,
    replacing: row.replacing,
    wantedProfileId: row.wanted_profile_id,
  }));
}

/** Saves what locked nodes become, with counts, notable rows and events. Statuses were decided by `core/node.ts`. */
export async function saveNodes(tx: Tx, now: Date, changes: readonly { readonly node: NodeState; readonly patch: NodePatch }[]): Promise<void> {
  if (changes.length === 0) return;
  const after = <Key extends keyof NodeState & keyof NodePatch>(key: Key, write: (value: NodeState[Key]) => unknown = (value) => value): unknown[] =>
    changes.map(({ node, patch }) => {
      const changed: Partial<NodeState> = patch;
      const value = changed[key];
      return write(value === undefined ? node[key] : value);
    });
  const json = (value: Json): string | null => (value === null ? null : JSON.stringify(value));
  const ids = changes.map(({ node }) => node.id);
  const rows = rowSet([
    { name: "id", type: "uuid", values: ids },
    { name: "status", type: "smallint", values: after("status", nodeStatusCodec.code) },
    { name: "status_reason", type: "text", values: after("statusReason") },
    { name: "health", type: "smallint", values: after("health", healthStatusCodec.code) },
    { name: "epoch", type: "int", values: after("epoch") },
    { name: "physical_id", type: "text", values: after("physicalId") },
    { name: "addresses", type: "jsonb", values: after("addresses", json) },
    { name: "placement", type: "jsonb", values: after("placement", json) },
    { name: "action_id", type: "uuid", values: after("actionId") },
    { name: "started_at", type: "timestamptz", values: after("startedAt", (at) => at?.toISOString() ?? null) },
    { name: "profile_id", type: "uuid", values: after("profileId") },
    { name: "replacing", type: "boolean", values: changes.map(({ node, patch }) => isReplacing(node, patch)) },
  ]);
  await sql`
    /* node.save */
    update muster.node n
       set status = ${rows.at("status")}, status_reason = ${rows.at("status_reason")}, health = ${rows.at("health")}, epoch = ${rows.at("epoch")},
           physical_id = ${rows.at("physical_id")}, addresses = ${rows.at("addresses")}, placement = ${rows.at("placement")},
           action_id = ${rows.at("action_id")}, started_at = ${rows.at("started_at")}, profile_id = ${rows.at("profile_id")},
           replacing = ${rows.at("replacing")}, updated_at = ${now}::timestamptz
      from ${rows.source} as d(${rows.names})
     where n.id = d.id and n.id = any(${ids}::uuid[])`.execute(tx.db);
  for (const { node, patch } of changes) tell(tx, node, patch);
  await rememberNotable(tx.db, now, changes);
}

/** Removes locked nodes and all that belongs to them. */
export async function deleteNodes(tx: Tx, nodes: readonly NodeState[]): Promise<void> {
  if (nodes.length === 0) return;
  const ids = nodes.map((node) => node.id);
  await sql`
    /* node.delete */
    with gone as (delete from muster.node where id = any(${ids}::uuid[]) returning id),
         tasks as (delete from muster.task where node_id = any(${ids}::uuid[])),
         probes as (delete from muster.probe where node_id = any(${ids}::uuid[])),
         health as (delete from muster.node_health where node_id = any(${ids}::uuid[])),
         crashes as (delete from muster.node_crash where node_id = any(${ids}::uuid[]))
    select count(*) from gone`.execute(tx.db);
  await forgetNotable(tx.db, ids);
  for (const node of nodes) {
    if (node.clusterId === null) tx.countUse(node.projectId, "lone", -1);
    else {
      tx.count(node.clusterId, statusField[node.status], -1);
      if (node.replacing) tx.count(node.clusterId, "replacing", -1);
      countHealth(tx, node.clusterId, node, -1);
      tx.count(node.clusterId, "deleted_total", 1);
      tx.markDue(node.clusterId);
    }
    tx.events.push({ type: "node.deleted", ...subject(node), data: { physicalId: node.physicalId } });
  }
}

/** The columns of an event about this node. */
export function subject(node: NodeState): {
  projectId: ProjectId;
  clusterId: ClusterId | null;
  clusterName: string | null;
  nodeId: NodeId;
  nodeName: string;
  actionId: ActionId | null;
} {
  return {
    projectId: node.projectId,
    clusterId: node.clusterId,
    clusterName: node.clusterName,
    nodeId: node.id,
    nodeName: node.name,
    actionId: node.actionId,
  };
}

/** It ends with the status: whatever else a node becomes, it is not being replaced any more. */
function isReplacing(node: NodeState, patch: NodePatch): boolean {
  return (patch.status ?? node.status) === "UPDATING" && (patch.replacing ?? node.replacing);
}

/** Who is on the way out is counted neither as healthy nor as unhealthy. */
function countHealth(tx: Tx, clusterId: ClusterId, { status, health }: Pick<NodeState, "status" | "health">, delta: number): void {
  if (status === "DELETING") return;
  if (health === "HEALTHY") tx.count(clusterId, "healthy", delta);
  else if (health === "UNHEALTHY") tx.count(clusterId, "unhealthy", delta);
}

function tell(tx: Tx, node: NodeState, patch: NodePatch): void {
  const common = { ...subject(node), ...(patch.occurredAtMs === undefined ? {} : { occurredAtMs: patch.occurredAtMs }) };
  if (node.clusterId !== null) {
    countHealth(tx, node.clusterId, node, -1);
    countHealth(tx, node.clusterId, { status: patch.status ?? node.status, health: patch.health ?? node.health }, 1);
    tx.count(node.clusterId, "replacing", Number(isReplacing(node, patch)) - Number(node.replacing));
  }
  if (patch.profileId !== undefined && patch.profileId !== node.profileId) {
    tx.events.push({
      type: "node.profile.changed",
      ...common,
      data: { from: encodeId("profile", node.profileId), to: encodeId("profile", patch.profileId) },
    });
  }
  if (patch.health !== undefined && patch.health !== node.health) {
    if (node.clusterId !== null) tx.markDue(node.clusterId);
    tx.events.push({
      type: "node.health.changed",
      ...common,
      ...(patch.health === "UNHEALTHY" ? { level: "WARNING" as const } : {}),
      data: { from: node.health, to: patch.health, reason: patch.healthReason ?? "UNKNOWN", message: patch.healthMessage ?? null },
    });
  }
  if (patch.status !== undefined && patch.status !== node.status) {
    if (node.clusterId !== null) {
      tx.count(node.clusterId, statusField[node.status], -1);
      tx.count(node.clusterId, statusField[patch.status], 1);
      tx.markDue(node.clusterId);
    }
    tx.events.push({
      type: "node.status.changed",
      ...common,
      ...(patch.status === "ERROR" ? { level: "ERROR" as const } : {}),
      data: {
        from: node.status,
        to: patch.status,
        reason: patch.statusReason ?? null,
        physicalId: patch.physicalId === undefined ? node.physicalId : patch.physicalId,
      },
    });
  }
}
