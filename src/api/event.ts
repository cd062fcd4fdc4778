/** Events: the type, their types, the history of everything and of one object. The streams are `event-stream.ts`. */
import { encodeCursor } from "../core/cursor.ts";
import { type EventTypeName, eventDataSchema, eventTypeNames, eventTypes } from "../core/event.ts";
import { encodeId } from "../core/ids.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import { pageArgs } from "./connection.ts";
import { EventFilterInput, readHistory } from "./event-page.ts";
import { ActionRef, ClusterNodeRef, ClusterRef, EventConnection, EventRef, EventTypeRef, NodeInterface } from "./object.ts";
import { EventLevelEnum } from "./vocabulary.ts";

builder.objectField(EventConnection, "resumeCursor", (t) =>
  t.exposeString("resumeCursor", {
    description: "Subscribe `after` it and nothing between this page and the stream is missed, also when the page is empty.",
  }),
);

EventRef.implement({
  description: "One line of the append-only ledger: every state transition. It is the audit log and the live feed.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id.", resolve: (event) => encodeId("event", event.id) }),
    cursor: t.string({
      description: "Its place in the ledger: `after` of every list and stream of events.",
      resolve: (event) => encodeCursor(event.cursor),
    }),
    type: t.exposeString("type", { description: "One of `eventTypes`, e.g. `node.status.changed`." }),
    level: t.expose("level", { type: EventLevelEnum, description: "How grave it is." }),
    occurredAt: t.field({
      type: "DateTime",
      description: "When it happened, by its observer's clock. The order is the ledger's, never this.",
      resolve: (event) => new Date(event.occurredAtMs),
    }),
    clusterId: t.id({
      nullable: true,
      description: "The cluster, also after it is gone.",
      resolve: (e) => (e.clusterId === null ? null : encodeId("cluster", e.clusterId)),
    }),
    clusterName: t.exposeString("clusterName", { nullable: true, description: "The cluster's name as it was." }),
    nodeId: t.id({
      nullable: true,
      description: "The node, also after it is gone.",
      resolve: (e) => (e.nodeId === null ? null : encodeId("node", e.nodeId)),
    }),
    nodeName: t.exposeString("nodeName", { nullable: true, description: "The node's name as it was." }),
    actionId: t.id({
      nullable: true,
      description: "The action it belongs to.",
      resolve: (e) => (e.actionId === null ? null : encodeId("action", e.actionId)),
    }),
    cluster: t.field({
      type: ClusterRef,
      nullable: true,
      description: "The cluster as it is now; null once it is gone.",
      resolve: (event, _args, { loaders }) => (event.clusterId === null ? null : loaders.clusters.load(event.clusterId)),
    }),
    node: t.field({
      type: ClusterNodeRef,
      nullable: true,
      description: "The node as it is now; null once it is gone.",
      resolve: (event, _args, { loaders }) => (event.nodeId === null ? null : loaders.nodes.load(event.nodeId)),
    }),
    action: t.field({
      type: ActionRef,
      nullable: true,
      description: "The action as it is now.",
      resolve: (event, _args, { loaders }) => (event.actionId === null ? null : loaders.actions.load(event.actionId)),
    }),
    message: t.exposeString("message", { description: "What happened, in a sentence." }),
    data: t.expose("data", { type: "JSONObject", description: "The particulars, by the type's `dataSchema`." }),
  }),
});

EventTypeRef.implement({
  description: "A kind of event.",
  fields: (t) => ({
    name: t.string({ description: "Its name, e.g. `node.status.changed`.", resolve: (name) => name }),
    level: t.field({
      type: EventLevelEnum,
      description: "How grave such events are unless they say otherwise.",
      resolve: (name) => eventTypes[name].level,
    }),
    dataSchema: t.field({ type: "JSONObject", description: "JSON Schema of `Event.data`.", resolve: eventDataSchema }),
    description: t.string({ description: "When there is one.", resolve: (name) => eventTypes[name].description }),
  }),
});

builder.queryField("eventTypes", (t) =>
  t.field({
    type: [EventTypeRef],
    description: "Every kind of event there is.",
    extensions: access("READER"),
    resolve: (): readonly EventTypeName[] => eventTypeNames,
  }),
);

builder.queryField("events", (t) =>
  t.field({
    type: EventConnection,
    description: "The ledger, oldest first; `last` shows its end.",
    extensions: access("READER"),
    args: { ...pageArgs(t.arg), filter: t.arg({ type: EventFilterInput, description: "Only what matches." }) },
    resolve: (_root, args, context) => readHistory(context, args),
  }),
);
