/**
 * The ledger is the whole history: a fold of all its events from an empty state must equal the tables. Each transition must begin where the former one
 * ended, so a missing, doubled or reordered event is found even when the end happens to be right.
 */
import { sql } from "kysely";
import { actionStatusCodec } from "../../src/core/action.ts";
import { clusterStatusCodec } from "../../src/core/cluster.ts";
import { type EventTypeName, eventTypeName } from "../../src/core/event.ts";
import { healthStatusCodec } from "../../src/core/health.ts";
import { encodeId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { nodeStatusCodec } from "../../src/core/node.ts";
import type { Database } from "../../src/store/database.ts";

interface FoldedEvent {
  readonly type: EventTypeName;
  readonly clusterId: string | null;
  readonly clusterName: string | null;
  readonly nodeId: string | null;
  readonly nodeName: string | null;
  readonly actionId: string | null;
  readonly data: JsonObject;
}

type Row = Record<string, string | number | boolean | null>;
interface State {
  readonly clusters: Map<string, Row>;
  readonly nodes: Map<string, Row>;
  readonly actions: Map<string, Row>;
  /** What could not have happened. */
  readonly breaches: string[];
}

/** Everything in which the ledger and the tables disagree; empty: nothing. */
export async function foldDifferences(db: Database): Promise<string[]> {
  const folded: State = { clusters: new Map(), nodes: new Map(), actions: new Map(), breaches: [] };
  for (const event of await readLedger(db)) fold[event.type](folded, event);
  const tables = await readTables(db);
  return [
    ...folded.breaches,
    ...compare("cluster", folded.clusters, tables.clusters),
    ...compare("node", folded.nodes, tables.nodes),
    ...compare("action", folded.actions, tables.actions),
  ];
}

/** All events, in the ledger's order; those without a position yet come last. */
async function readLedger(db: Database): Promise<FoldedEvent[]> {
  const { rows } = await sql<Omit<FoldedEvent, "type"> & { type: number }>`
    /* fold.read */
    select e.type, e.cluster_id as "clusterId", e.cluster_name as "clusterName", e.node_id as "nodeId", e.node_name as "nodeName",
           e.action_id as "actionId", e.data
      from muster.event e left join muster.position p on p.batch = e.batch
     order by p.position nulls last, e.batch, e.ordinal`.execute(db);
  return rows.map((row) => ({ ...row, type: eventTypeName(row.type) }));
}

type Folder = (state: State, event: FoldedEvent) => void;
const nothing: Folder = () => undefined;

/** Moves a property from what the event says it was to what it says it became. */
function step(kind: "cluster" | "node", property: string): Folder {
  return (state, event) => {
    const id = (kind === "cluster" ? event.clusterId : event.nodeId) ?? "";
    const row = (kind === "cluster" ? state.clusters : state.nodes).get(id);
    if (row === undefined) {
      state.breaches.push(`${kind} ${id}: ${event.type} ${JSON.stringify(event.data)}, but the ledger knows none`);
      return;
    }
    if (row[property] !== event.data["from"]) {
      state.breaches.push(`${kind} ${id}: ${event.type} from ${String(event.data["from"])}, but it was ${String(row[property])}`);
    }
    row[property] = text(event.data["to"]);
  };
}

function text(value: unknown): string | number | null {
  return typeof value === "string" || typeof value === "number" ? value : null;
}

function copy(map: "clusters", ...properties: readonly string[]): Folder {
  return (state, event) => {
    const row = state[map].get(event.clusterId ?? "");
    if (row === undefined) state.breaches.push(`cluster ${event.clusterId}: ${event.type}, but the ledger knows none`);
    else for (const property of properties) row[property] = text(event.data[property === "desiredCapacity" && "to" in event.data ? "to" : property]);
  };
}

const fold: Readonly<Record<EventTypeName, Folder>> = {
  "project.created": nothing,
  "project.updated": nothing,
  "project.deleted": nothing,
  "token.created": nothing,
  "token.revoked": nothing,
  "profile.created": nothing,
  "profile.revised": nothing,
  "profile.updated": nothing,
  "profile.deleted": nothing,
  "cluster.created": (state, event) => {
    if (state.clusters.has(event.clusterId ?? "")) state.breaches.push(`cluster ${event.clusterId}: created twice`);
    state.clusters.set(event.clusterId ?? "", {
      name: event.clusterName,
      status: "INIT",
      desiredCapacity: text(event.data["desiredCapacity"]),
      minSize: text(event.data["minSize"]),
      maxSize: text(event.data["maxSize"]),
      profileId: text(event.data["profileId"]),
      generation: text(event.data["generation"]),
      settled: 0,
      deleting: false,
    });
  },
  "cluster.updated": copy("clusters", "name", "minSize", "maxSize", "generation"),
  "cluster.resized": copy("clusters", "desiredCapacity", "minSize", "maxSize", "generation"),
  "cluster.profile.changed": (state, event) => {
    step("cluster", "profileId")(state, event);
    copy("clusters", "generation")(state, event);
  },
  "cluster.deletion.wanted": (state, event) => {
    copy("clusters", "generation")(state, event);
    const row = state.clusters.get(event.clusterId ?? "");
    if (row !== undefined) row["deleting"] = true;
  },
  "cluster.deletion.cancelled": (state, event) => {
    copy("clusters", "generation")(state, event);
    const row = state.clusters.get(event.clusterId ?? "");
    if (row !== undefined) row["deleting"] = false;
  },
  "cluster.status.changed": step("cluster", "status"),
  "cluster.condition.changed": nothing,
  "cluster.settled": (state, event) => {
    const row = state.clusters.get(event.clusterId ?? "");
    if (row !== undefined) row["settled"] = text(event.data["generation"]);
  },
  "cluster.deleted": (state, event) => {
    const row = state.clusters.get(event.clusterId ?? "");
    if (row === undefined) state.breaches.push(`cluster ${event.clusterId}: deleted, but the ledger knows none`);
    else if (row["deleting"] !== true) state.breaches.push(`cluster ${event.clusterId}: deleted, but nobody wanted that any more`);
    state.clusters.delete(event.clusterId ?? "");
  },
  "node.created": (state, event) => {
    if (state.nodes.has(event.nodeId ?? "")) state.breaches.push(`node ${event.nodeId}: created twice`);
    state.nodes.set(event.nodeId ?? "", {
      name: event.nodeName,
      clusterId: event.clusterId,
      status: text(event.data["status"]) ?? "PLANNED",
      health: "UNKNOWN",
      profileId: text(event.data["profileId"]),
    });
  },
  "node.updated": (state, event) => {
    const row = state.nodes.get(event.nodeId ?? "");
    if (row === undefined) state.breaches.push(`node ${event.nodeId}: updated, but the ledger knows none`);
    else row["name"] = text(event.data["name"]);
  },
  "node.profile.changed": step("node", "profileId"),
  "node.status.changed": step("node", "status"),
  "node.health.changed": step("node", "health"),
  "node.signal.changed": nothing,
  "node.deleted": (state, event) => {
    if (!state.nodes.delete(event.nodeId ?? "")) state.breaches.push(`node ${event.nodeId}: deleted, but the ledger knows none`);
  },
  "action.created": (state, event) => {
    if (state.actions.has(event.actionId ?? "")) state.breaches.push(`action ${event.actionId}: created twice`);
    state.actions.set(event.actionId ?? "", {
      kind: text(event.data["kind"]),
      status: "PENDING",
      total: text(event.data["total"]),
      done: null,
      failed: null,
    });
  },
  "action.started": (state, event) => {
    const row = state.actions.get(event.actionId ?? "");
    if (row === undefined || row["status"] !== "PENDING")
      state.breaches.push(`action ${event.actionId}: started, but it was ${String(row?.["status"])}`);
    else row["status"] = "RUNNING";
  },
  "action.finished": (state, event) => {
    const row = state.actions.get(event.actionId ?? "");
    if (row === undefined || (row["status"] !== "PENDING" && row["status"] !== "RUNNING")) {
      state.breaches.push(`action ${event.actionId}: finished, but it was ${String(row?.["status"])}`);
      return;
    }
    row["status"] = text(event.data["status"]);
    row["done"] = text(event.data["done"]);
    row["failed"] = text(event.data["failed"]);
  },
};

async function readTables(db: Database): Promise<Omit<State, "breaches">> {
  const clusters = await db
    .selectFrom("muster.cluster as c")
    .innerJoin("muster.cluster_state as s", "s.cluster_id", "c.id")
    .select([
      "c.id",
      "c.name",
      "c.profile_id",
      "c.desired_capacity",
      "c.min_size",
      "c.max_size",
      "c.generation",
      "c.deleting",
      "s.status",
      "s.observed_generation",
    ])
    .execute();
  const nodes = await db.selectFrom("muster.node").select(["id", "name", "cluster_id", "profile_id", "status", "health"]).execute();
  const actions = await db.selectFrom("muster.action").select(["id", "status", "total", "done", "failed", "finished_at"]).execute();
  return {
    clusters: new Map(
      clusters.map((row) => [
        row.id,
        {
          name: row.name,
          status: clusterStatusCodec.name(row.status),
          desiredCapacity: row.desired_capacity,
          minSize: row.min_size,
          maxSize: row.max_size,
          profileId: encodeId("profile", row.profile_id),
          generation: row.generation,
          settled: row.observed_generation,
          deleting: row.deleting,
        },
      ]),
    ),
    nodes: new Map(
      nodes.map((row) => [
        row.id,
        {
          name: row.name,
          clusterId: row.cluster_id,
          profileId: encodeId("profile", row.profile_id),
          status: nodeStatusCodec.name(row.status),
          health: healthStatusCodec.name(row.health),
        },
      ]),
    ),
    actions: new Map(
      actions.map((row) => [
        row.id,
        {
          status: actionStatusCodec.name(row.status),
          total: row.total,
          // Progress is counted while an action runs, and written once, when it ends.
          ...(row.finished_at === null ? {} : { done: row.done, failed: row.failed }),
        },
      ]),
    ),
  };
}

function compare(kind: string, folded: ReadonlyMap<string, Row>, stored: ReadonlyMap<string, Row>): string[] {
  const differences: string[] = [];
  for (const [id, row] of stored) {
    const event = folded.get(id);
    if (event === undefined) differences.push(`${kind} ${id}: in the table, not in the ledger`);
    else {
      for (const [property, value] of Object.entries(row)) {
        if (event[property] !== value) differences.push(`${kind} ${id}: ${property} is ${String(value)}, the ledger says ${String(event[property])}`);
      }
    }
  }
  for (const id of folded.keys()) if (!stored.has(id)) differences.push(`${kind} ${id}: in the ledger, not in the table`);
  return differences;
}
