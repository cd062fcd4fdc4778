/** Nodes: members of clusters, or nodes by themselves. The type is `ClusterNode`: `Node` is Relay's. Changes are `node-change.ts`. */
import { encodeId } from "../core/ids.ts";
import type { NodeAddress, NodePlacement } from "../drivers/driver.ts";
import type { NodeHealthRow, SignalRow } from "../store/node.ts";
import { listNodes } from "../store/node-list.ts";
import { access } from "./access.ts";
import { ActionFilterInput, actionsOfNode } from "./action-filter.ts";
import { builder } from "./builder.ts";
import { ClusterNodeByInput, findNode } from "./by.ts";
import { byId, pageArgs, toConnection } from "./connection.ts";
import { EventFilterInput, historyOf } from "./event-page.ts";
import { ClusterNodeFilterInput, nodeFilter } from "./node-filter.ts";
import { readNodeLog } from "./node-log.ts";
import { ActionConnection, ClusterNodeConnection, ClusterNodeRef, ClusterRef, EventConnection, NodeInterface, ProfileRef } from "./object.ts";
import { readPage } from "./page.ts";
import { HealthStatusEnum, HealthSubjectEnum, NodeStatusEnum } from "./vocabulary.ts";

const NodeAddressRef = builder.objectRef<NodeAddress>("NodeAddress").implement({
  description: "Where a node can be reached.",
  fields: (t) => ({
    name: t.exposeString("name", { description: "What it is for: a port's name, or the network's." }),
    host: t.exposeString("host", { description: "The host's name or address." }),
    port: t.exposeInt("port", { nullable: true, description: "The port, where there is one." }),
  }),
});

const NodePlacementRef = builder.objectRef<NodePlacement>("NodePlacement").implement({
  description: "Where a node stands.",
  fields: (t) => ({
    region: t.exposeString("region", { nullable: true, description: "The region." }),
    zone: t.exposeString("zone", { nullable: true, description: "The zone." }),
    host: t.exposeString("host", { nullable: true, description: "The machine." }),
  }),
});

const HealthSignalRef = builder.objectRef<SignalRow>("HealthSignal").implement({
  description: "What is known of one subject.",
  fields: (t) => ({
    subject: t.expose("subject", { type: HealthSubjectEnum, description: "What it is about." }),
    status: t.expose("status", { type: HealthStatusEnum, description: "How it is." }),
    reason: t.exposeString("reason", { description: "Why, for programs: `EXITED`, `PROBE_FAILED`, …" }),
    message: t.exposeString("message", { nullable: true, description: "Why, for people." }),
    observedAt: t.expose("observedAt", { type: "DateTime", description: "When it was last looked at, by the observer's clock." }),
    since: t.expose("since", { type: "DateTime", description: "When `status` last changed." }),
  }),
});

const NodeHealthRef = builder.objectRef<NodeHealthRow>("NodeHealth").implement({
  description: "The verdict on a node, and the signals behind it.",
  fields: (t) => ({
    status: t.expose("status", { type: HealthStatusEnum, description: "The verdict." }),
    reason: t.exposeString("reason", { description: "The rule that decided, for programs: `WORKING`, `DEAD`, `HOST_DOWN`, …" }),
    message: t.exposeString("message", { nullable: true, description: "What the deciding signal said." }),
    since: t.expose("since", { type: "DateTime", description: "When the verdict last changed." }),
    signals: t.field({
      type: [HealthSignalRef],
      description: "What is known of host, agent and workload.",
      resolve: (health): readonly SignalRow[] => health.signals,
    }),
  }),
});

ClusterNodeRef.implement({
  description: "One member: a row here, and at most one real thing out there.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id.", resolve: (node) => encodeId("node", node.id) }),
    name: t.exposeString("name", { description: "Its name, unique in its cluster." }),
    index: t.exposeInt("index", { nullable: true, description: "Its number in its cluster; never used again. null: it has no cluster." }),
    cluster: t.field({
      type: ClusterRef,
      nullable: true,
      description: "Its cluster, if it has one.",
      resolve: (node, _args, { loaders }) => (node.clusterId === null ? null : loaders.clusters.load(node.clusterId)),
    }),
    profile: t.field({
      type: ProfileRef,
      description: "The profile revision it is made from.",
      resolve: async (node, _args, { loaders }) => {
        const profile = await loaders.profiles.load(node.profileId);
        if (profile === null) throw new Error("a node without its profile");
        return profile;
      },
    }),
    role: t.exposeString("role", { nullable: true, description: "Anything of yours." }),
    physicalId: t.exposeString("physicalId", { nullable: true, description: "The real thing's id where it lives: a process id, a container's id." }),
    status: t.expose("status", { type: NodeStatusEnum, description: "How it is." }),
    statusReason: t.exposeString("statusReason", { nullable: true, description: "Why, for people." }),
    health: t.field({
      type: NodeHealthRef,
      description: "Whether it does its job.",
      resolve: (node, _args, { loaders }) => loaders.nodeHealth.load(node),
    }),
    addresses: t.field({
      type: [NodeAddressRef],
      description: "Where it can be reached.",
      resolve: (node): readonly NodeAddress[] => node.addresses,
    }),
    placement: t.expose("placement", { type: NodePlacementRef, nullable: true, description: "Where it stands, where that is known." }),
    protected: t.exposeBoolean("protected", { description: "Never chosen by a policy or a shrink." }),
    tainted: t.exposeBoolean("tainted", { description: "Chosen first." }),
    metadata: t.expose("metadata", { type: "JSONObject", description: "Anything of yours." }),
    log: t.stringList({
      nullable: true,
      description: "ADMIN: the newest lines of its output, oldest first; null where the driver has none.",
      extensions: access("ADMIN"),
      args: { lastLines: t.arg.int({ required: true, defaultValue: 100, description: "At most so many lines: 1 to 1000." }) },
      resolve: (node, { lastLines }, context) => readNodeLog(context, node, lastLines),
    }),
    actions: t.field({
      type: ActionConnection,
      description: "The actions on this node, oldest first.",
      args: { ...pageArgs(t.arg), filter: t.arg({ type: ActionFilterInput, description: "Only what matches." }) },
      resolve: (node, args, context) => actionsOfNode(context, node.id, args),
    }),
    events: t.field({
      type: EventConnection,
      description: "What happened to this node, oldest first; `last` shows the newest.",
      args: { ...pageArgs(t.arg), filter: t.arg({ type: EventFilterInput, description: "Only what matches." }) },
      resolve: (node, args, context) => historyOf(context, { nodeId: node.id }, args),
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was planned." }),
    updatedAt: t.expose("updatedAt", { type: "DateTime", description: "When it last changed." }),
  }),
});

builder.queryField("clusterNode", (t) =>
  t.field({
    type: ClusterNodeRef,
    nullable: true,
    description: "One node.",
    extensions: access("READER"),
    args: { by: t.arg({ type: ClusterNodeByInput, required: true, description: "Which." }) },
    resolve: (_root, { by }, context) => findNode(context, by),
  }),
);

builder.queryField("clusterNodes", (t) =>
  t.field({
    type: ClusterNodeConnection,
    description:
      "The project's nodes, oldest first. A filter that nearly nothing matches may answer short pages; `hasNextPage` says whether there is more.",
    extensions: access("READER"),
    args: { ...pageArgs(t.arg), filter: t.arg({ type: ClusterNodeFilterInput, description: "Only what matches." }) },
    resolve: async (_root, args, { deps, principal, pageSize }) => {
      const filter = nodeFilter(args.filter);
      const list = readPage(args, pageSize, ["clusterNodes", args.filter]);
      return toConnection(await listNodes(deps.store.db, principal.projectId, filter, list.page), list, byId);
    },
  }),
);
