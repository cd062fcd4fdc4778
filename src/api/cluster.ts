/** Clusters: the type, how they are found and listed, and one of them live. Changes are `cluster-change.ts`. */
import type { Condition } from "../core/cluster.ts";
import { encodeId } from "../core/ids.ts";
import { type NodeStatus, nodeStatuses } from "../core/node.ts";
import { activeIn } from "../core/plan/aggregates.ts";
import { type ClusterRow, clusterKeyset, listClusters } from "../store/cluster.ts";
import { type Counts, statusField } from "../store/count.ts";
import { access } from "./access.ts";
import { ActionFilterInput, actionsOfCluster } from "./action-filter.ts";
import { builder } from "./builder.ts";
import { findCluster, ObjectByInput } from "./by.ts";
import { ClusterFilterInput, ClusterOrderInput, clusterFilter, orderKind } from "./cluster-filter.ts";
import { byId, pageArgs, toConnection } from "./connection.ts";
import { EventFilterInput, historyOf } from "./event-page.ts";
import { ClusterNodeFilterInput, nodeFilter } from "./node-filter.ts";
import { ActionConnection, ClusterConnection, ClusterNodeConnection, ClusterRef, EventConnection, NodeInterface, ProfileRef } from "./object.ts";
import { readPage } from "./page.ts";
import { liveStream } from "./stream.ts";
import { ClusterStatusEnum, ConditionStatusEnum, NodeStatusEnum } from "./vocabulary.ts";

const ConditionRef = builder.objectRef<Condition>("Condition").implement({
  description: "One typed statement about a cluster: `CONVERGED`, `AVAILABLE`, `HEALING_PAUSED`; more may come.",
  fields: (t) => ({
    type: t.exposeString("type", { description: "What it says." }),
    status: t.expose("status", { type: ConditionStatusEnum, description: "Whether it holds." }),
    reason: t.exposeString("reason", { description: "Why, for programs." }),
    message: t.exposeString("message", { nullable: true, description: "Why, for people." }),
    since: t.field({ type: "DateTime", description: "When `status` last changed.", resolve: (condition) => new Date(condition.sinceMs) }),
    observedGeneration: t.exposeInt("observedGeneration", { description: "The generation it was judged at." }),
  }),
});

interface StatusCount {
  readonly status: NodeStatus;
  readonly count: number;
}
const NodeStatusCountRef = builder.objectRef<StatusCount>("NodeStatusCount").implement({
  description: "How many members have one status.",
  fields: (t) => ({
    status: t.expose("status", { type: NodeStatusEnum, description: "The status." }),
    count: t.exposeInt("count", { description: "How many have it." }),
  }),
});

function countWhere(counts: Counts, counted: (status: NodeStatus) => boolean): number {
  return nodeStatuses.reduce((sum, status) => (counted(status) ? sum + counts[statusField[status]] : sum), 0);
}

const NodeCountsRef = builder.objectRef<Counts>("NodeCounts").implement({
  description: "A cluster's members, counted. Kept up with every change, never counted anew.",
  fields: (t) => ({
    total: t.int({ description: "All, also those being made or taken away.", resolve: (counts) => countWhere(counts, () => true) }),
    active: t.int({
      description: "Those that count as active: ACTIVE, WARNING, UPDATING in place, and UNKNOWN until more is known.",
      resolve: activeIn,
    }),
    creating: t.int({ description: "PLANNED or CREATING.", resolve: (counts) => counts.planned + counts.creating }),
    deleting: t.exposeInt("deleting", { description: "DELETING." }),
    error: t.exposeInt("error", { description: "ERROR." }),
    healthy: t.exposeInt("healthy", { description: "With the verdict HEALTHY, and not on their way out." }),
    unhealthy: t.exposeInt("unhealthy", { description: "With the verdict UNHEALTHY, and not on their way out." }),
    byStatus: t.field({
      type: [NodeStatusCountRef],
      description: "Each status that a member has, in the order of the enum.",
      resolve: (counts): StatusCount[] =>
        nodeStatuses.map((status) => ({ status, count: counts[statusField[status]] })).filter(({ count }) => count > 0),
    }),
  }),
});

ClusterRef.implement({
  description: "The wanted state of a group of like machines, and how far it is true.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id.", resolve: (cluster) => encodeId("cluster", cluster.id) }),
    name: t.exposeString("name", { description: "Its name, unique in the project." }),
    profile: t.field({
      type: ProfileRef,
      description: "The profile revision that members are made from.",
      resolve: async (cluster, _args, { loaders }) => {
        const profile = await loaders.profiles.load(cluster.profileId);
        if (profile === null) throw new Error("a cluster without its profile");
        return profile;
      },
    }),
    desiredCapacity: t.exposeInt("desiredCapacity", { description: "How many members are wanted." }),
    minSize: t.exposeInt("minSize", { description: "Fewer active members than this: CRITICAL." }),
    maxSize: t.exposeInt("maxSize", { nullable: true, description: "Never more members than this; null: no limit but the project's quota." }),
    status: t.expose("status", { type: ClusterStatusEnum, description: "How it is." }),
    statusReason: t.exposeString("statusReason", { nullable: true, description: "Why, for people." }),
    generation: t.exposeInt("generation", { description: "Grows with every change of what is wanted." }),
    observedGeneration: t.exposeInt("observedGeneration", {
      description: "The newest generation that has fully settled: nothing is left to do for it but healing.",
    }),
    conditions: t.field({
      type: [ConditionRef],
      description: "What can be said about it, each by itself.",
      resolve: (cluster): readonly Condition[] => cluster.conditions,
    }),
    nodeCounts: t.field({
      type: NodeCountsRef,
      description: "Its members, counted.",
      resolve: (cluster, _args, { loaders }) => loaders.counts.load(cluster.id),
    }),
    metadata: t.expose("metadata", { type: "JSONObject", description: "Anything of yours." }),
    nodeNameFormat: t.exposeString("nodeNameFormat", { description: "How members are named: `{cluster}`, `{index}`, `{random:8}`." }),
    timeoutSeconds: t.exposeInt("timeoutSeconds", { description: "An action on it that takes longer ends as FAILED; convergence goes on." }),
    nodes: t.field({
      type: ClusterNodeConnection,
      description: "Its members, oldest first. `totalCount` is there when nothing is filtered.",
      args: { ...pageArgs(t.arg), filter: t.arg({ type: ClusterNodeFilterInput, description: "Only what matches." }) },
      resolve: async (cluster, args, { loaders, pageSize }) => {
        const filter = nodeFilter(args.filter);
        const list = readPage(args, pageSize, ["Cluster.nodes", cluster.id, args.filter]);
        const totalCount = args.filter == null ? async () => countWhere(await loaders.counts.load(cluster.id), () => true) : null;
        return toConnection(await loaders.nodesOfClusters(filter, list.page).load(cluster.id), list, byId, totalCount);
      },
    }),
    actions: t.field({
      type: ActionConnection,
      description: "The actions on it and on its members, oldest first.",
      args: { ...pageArgs(t.arg), filter: t.arg({ type: ActionFilterInput, description: "Only what matches." }) },
      resolve: (cluster, args, context) => actionsOfCluster(context, cluster.id, args),
    }),
    events: t.field({
      type: EventConnection,
      description: "What happened to it and to its members, oldest first; `last` shows the newest.",
      args: { ...pageArgs(t.arg), filter: t.arg({ type: EventFilterInput, description: "Only what matches." }) },
      resolve: (cluster, args, context) => historyOf(context, { clusterId: cluster.id }, args),
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was made." }),
    updatedAt: t.expose("updatedAt", { type: "DateTime", description: "When what is wanted of it, or its status, last changed." }),
  }),
});

builder.queryField("cluster", (t) =>
  t.field({
    type: ClusterRef,
    nullable: true,
    description: "One cluster.",
    extensions: access("READER"),
    args: { by: t.arg({ type: ObjectByInput, required: true, description: "Which." }) },
    resolve: (_root, { by }, context) => findCluster(context, by),
  }),
);

builder.queryField("clusters", (t) =>
  t.field({
    type: ClusterConnection,
    description: "The project's clusters, oldest first unless ordered otherwise.",
    extensions: access("READER"),
    args: {
      ...pageArgs(t.arg),
      filter: t.arg({ type: ClusterFilterInput, description: "Only what matches." }),
      orderBy: t.arg({ type: ClusterOrderInput, description: "Else CREATED_AT, ASC." }),
    },
    resolve: async (_root, args, { deps, principal, pageSize }) => {
      const filter = clusterFilter(args.filter);
      const { field, direction } = args.orderBy ?? { field: "CREATED_AT", direction: "ASC" };
      const list = readPage(args, pageSize, ["clusters", args.filter, field, direction], orderKind(field));
      const order = { field, descending: direction === "DESC" };
      return toConnection(await listClusters(deps.store.db, principal.projectId, filter, order, list.page), list, (row) => clusterKeyset(row, field));
    },
  }),
);

builder.subscriptionField("cluster", (t) =>
  t.field({
    type: ClusterRef,
    nullable: true,
    description:
      "The cluster as it is: at once, then after changes, at most ten times a second; null once it is gone, then the stream completes. Pages in it hold at most 100.",
    extensions: access("READER"),
    args: { by: t.arg({ type: ObjectByInput, required: true, description: "Which. A name is looked up once, at the start." }) },
    subscribe: (_root, { by }, context) => {
      context.goLive();
      return liveStream(context.signal, async function* (signal): AsyncGenerator<ClusterRow | null, void, undefined> {
        const found = await findCluster(context, by);
        if (found === null) return yield null;
        for await (const _ of context.deps.feed.changes({ clusterId: found.id, signal })) {
          context.forget();
          const cluster = await context.loaders.clusters.load(found.id);
          yield cluster;
          if (cluster === null) return;
        }
      });
    },
    resolve: (cluster) => cluster,
  }),
);
