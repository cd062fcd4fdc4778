/** The live stream of verdicts on nodes, and of the signals behind them: the ledger's health events in a shape of their own. */
import { encodeCursor } from "../core/cursor.ts";
import { eventTypes } from "../core/event.ts";
import { type HealthStatus, type HealthSubject, healthStatuses, healthSubjects } from "../core/health.ts";
import { decodeId, encodeId, type NodeId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import type { LedgerEvent, LedgerFilter } from "../store/ledger-event.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import { type ClusterNodeBy, ClusterNodeByInput, findCluster, findNode, type ObjectBy, ObjectByInput } from "./by.ts";
import type { ApiContext } from "./context.ts";
import { readLedgerCursor } from "./event-page.ts";
import { ClusterNodeRef } from "./object.ts";
import { badInput } from "./problem.ts";
import { liveStream } from "./stream.ts";
import { HealthStatusEnum, HealthSubjectEnum } from "./vocabulary.ts";

interface HealthChange {
  readonly event: LedgerEvent;
  readonly nodeId: NodeId;
  readonly subject: HealthSubject | null;
  readonly previous: HealthStatus;
  readonly current: HealthStatus;
  readonly verdict: HealthStatus;
  readonly reason: string;
  readonly message: string | null;
}

const typeCodes = [eventTypes["node.health.changed"].code, eventTypes["node.signal.changed"].code];

function healthOf(value: Json | undefined): HealthStatus {
  return healthStatuses.find((status) => status === value) ?? "UNKNOWN";
}

/** The changes of events that are in somebody's hands: one object for all who are told of it. */
const known = new WeakMap<LedgerEvent, HealthChange>();

/** A health event as a change, or null for an event of another kind. */
function toHealthChange(event: LedgerEvent): HealthChange | null {
  const change = known.get(event) ?? readHealthChange(event);
  if (change !== null) known.set(event, change);
  return change;
}

function readHealthChange(event: LedgerEvent): HealthChange | null {
  const { nodeId, data } = event;
  if (nodeId === null || (event.type !== "node.health.changed" && event.type !== "node.signal.changed")) return null;
  const current = healthOf(data["to"]);
  return {
    event,
    nodeId,
    subject: healthSubjects.find((subject) => subject === data["subject"]) ?? null,
    previous: healthOf(data["from"]),
    current,
    verdict: event.type === "node.health.changed" ? current : healthOf(data["verdict"]),
    reason: typeof data["reason"] === "string" ? data["reason"] : "UNKNOWN",
    message: typeof data["message"] === "string" ? data["message"] : null,
  };
}

const NodeHealthChangeRef = builder.objectRef<HealthChange>("NodeHealthChange").implement({
  description: "A change of a node's health, as it was when it happened: ids and names stay readable after the node is gone.",
  fields: (t) => ({
    cursor: t.string({ description: "Its place in the ledger: come back `after` it.", resolve: ({ event }) => encodeCursor(event.cursor) }),
    clusterId: t.id({
      nullable: true,
      description: "The cluster.",
      resolve: ({ event }) => (event.clusterId === null ? null : encodeId("cluster", event.clusterId)),
    }),
    nodeId: t.id({ description: "The node.", resolve: (change) => encodeId("node", change.nodeId) }),
    nodeName: t.string({ description: "The node's name as it was.", resolve: ({ event }) => event.nodeName ?? "" }),
    node: t.field({
      type: ClusterNodeRef,
      nullable: true,
      description: "The node as it is now; null once it is gone.",
      resolve: (change, _args, { loaders }) => loaders.nodes.load(change.nodeId),
    }),
    subject: t.expose("subject", { type: HealthSubjectEnum, nullable: true, description: "Which signal changed; null: the verdict itself." }),
    previous: t.expose("previous", { type: HealthStatusEnum, description: "How that was before." }),
    current: t.expose("current", { type: HealthStatusEnum, description: "How it is now." }),
    verdict: t.expose("verdict", { type: HealthStatusEnum, description: "The verdict on the node after it." }),
    reason: t.exposeString("reason", { description: "Why, for programs." }),
    message: t.exposeString("message", { nullable: true, description: "Why, for people." }),
    occurredAt: t.field({ type: "DateTime", description: "When it was observed.", resolve: ({ event }) => new Date(event.occurredAtMs) }),
  }),
});

interface Subject {
  readonly cluster?: ObjectBy | null | undefined;
  readonly node?: ClusterNodeBy | null | undefined;
}

/**
 * Whose changes are wanted. Ids are taken as they are: the history of what is gone can still be followed, and a foreign one matches
 * nothing. A name that nothing has now cannot be followed.
 */
async function subjectFilter(context: ApiContext, { cluster, node }: Subject): Promise<LedgerFilter> {
  const clusterId = cluster == null ? undefined : cluster.id != null ? decodeId("cluster", cluster.id) : (await findCluster(context, cluster))?.id;
  const nodeId = node == null ? undefined : node.id != null ? decodeId("node", node.id) : (await findNode(context, node))?.id;
  if (cluster?.name != null && clusterId == null) throw badInput("There is no cluster of this name.");
  if (node != null && node.id == null && nodeId == null) throw badInput("There is no such node.");
  return {
    projectId: context.principal.projectId,
    typeCodes,
    ...(clusterId === undefined ? {} : { clusterIds: clusterId === null ? [] : [clusterId] }),
    ...(nodeId === undefined ? {} : { nodeIds: nodeId === null ? [] : [nodeId] }),
  };
}

async function* healthChanges(context: ApiContext, source: AsyncIterable<readonly LedgerEvent[]>): AsyncGenerator<HealthChange, void, undefined> {
  for await (const events of source) {
    for (const event of events) {
      const change = toHealthChange(event);
      if (change === null) continue;
      context.forget();
      yield change;
    }
  }
}

builder.subscriptionField("nodeHealth", (t) =>
  t.field({
    type: NodeHealthChangeRef,
    description: "A node's verdict, or one of the signals behind it, changed: of one cluster's members, of one node, or of all.",
    extensions: access("READER"),
    args: {
      cluster: t.arg({ type: ObjectByInput, description: "Only members of this cluster." }),
      node: t.arg({ type: ClusterNodeByInput, description: "Only this node." }),
      after: t.arg.string({ description: "From behind this cursor on; absent: from now on." }),
    },
    subscribe: async (_root, args, context) => {
      const after = readLedgerCursor(args.after, "after");
      const filter = await subjectFilter(context, args);
      return liveStream(context.signal, (signal) => healthChanges(context, context.deps.feed.subscribe({ filter, after, signal })));
    },
    resolve: (change) => change,
  }),
);
