/** Changes of clusters. Each is accepted in every state but DELETING; a newer wish overtakes the older one that it replaces. */
import { createCluster, deleteCluster, updateCluster } from "../commands/cluster.ts";
import { checkCluster, recoverCluster } from "../commands/cluster-job.ts";
import { resizeCluster, scaleInCluster, scaleOutCluster } from "../commands/cluster-size.ts";
import type { ActionId, ClusterId } from "../core/ids.ts";
import type { ActionRow } from "../store/action.ts";
import type { ClusterRow } from "../store/cluster.ts";
import { builder } from "./builder.ts";
import { findCluster, ObjectByInput } from "./by.ts";
import type { ApiContext } from "./context.ts";
import { defineMutation, idempotencyKeyDescription, ifGenerationDescription } from "./mutation.ts";
import { ActionRef, ClusterRef } from "./object.ts";

interface ClusterPayload {
  readonly cluster: ClusterRow;
  readonly action: ActionRow;
}

function clusterPayload(name: string) {
  return builder.objectRef<ClusterPayload>(name).implement({
    description: "The cluster as it now is, and the action that is the work.",
    fields: (t) => ({
      cluster: t.expose("cluster", { type: ClusterRef, description: "The cluster as it now is." }),
      action: t.expose("action", { type: ActionRef, description: "The work that follows." }),
    }),
  });
}

async function showCluster(
  ids: { readonly clusterId: ClusterId; readonly actionId: ActionId },
  { loaders }: ApiContext,
): Promise<ClusterPayload | null> {
  const [cluster, action] = await Promise.all([loaders.clusters.load(ids.clusterId), loaders.actions.load(ids.actionId)]);
  return cluster === null || action === null ? null : { cluster, action };
}

const nameDescription = "1–128 of [A-Za-z0-9._-], a letter or digit first; unique among the project's clusters that live.";

defineMutation("createCluster", {
  description: "Makes a cluster. It is there at once; its members follow.",
  needs: "MEMBER",
  input: builder.inputType("CreateClusterInput", {
    description: "A new cluster.",
    fields: (t) => ({
      name: t.string({ required: true, description: nameDescription }),
      profile: t.field({ type: ObjectByInput, required: true, description: "What members are made from; by name: the newest revision." }),
      desiredCapacity: t.int({ description: "How many members; default: `minSize`." }),
      minSize: t.int({ required: true, defaultValue: 0, description: "Fewer active members than this: CRITICAL." }),
      maxSize: t.int({ description: "Never more members than this; null: no limit but the project's quota." }),
      metadata: t.field({ type: "JSONObject", description: "Anything of yours." }),
      nodeNameFormat: t.string({ description: "Of {cluster} {index} {random:8}; default `{cluster}-{index}`." }),
      timeoutSeconds: t.int({
        required: true,
        defaultValue: 3600,
        description: "An action on it that takes longer ends as FAILED; convergence goes on.",
      }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: clusterPayload("CreateClusterPayload"),
  command: createCluster,
  show: showCluster,
});

defineMutation("updateCluster", {
  description:
    "Changes a cluster's name, profile, metadata, bounds or time-out. A new profile is for new members at once; those there are brought over a few at a time, the others work meanwhile.",
  needs: "MEMBER",
  input: builder.inputType("UpdateClusterInput", {
    description: "Absent fields stay as they are.",
    fields: (t) => ({
      cluster: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      name: t.string({ description: nameDescription }),
      profile: t.field({
        type: ObjectByInput,
        description: "What members are made from; of the same type as before. By name: the newest revision. Supersedes earlier wishes for a profile.",
      }),
      metadata: t.field({ type: "JSONObject", description: "The whole new metadata." }),
      minSize: t.int({ description: "The new lower bound; it must not be above what is wanted." }),
      maxSize: t.int({ description: "The new upper bound; null: none. It must not be below what is wanted." }),
      timeoutSeconds: t.int({ description: "For actions from now on." }),
      ifGeneration: t.int({ description: ifGenerationDescription }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: clusterPayload("UpdateClusterPayload"),
  command: updateCluster,
  show: showCluster,
});

const CapacityChangeInput = builder.inputType("CapacityChange", {
  isOneOf: true,
  description:
    "Exactly one. `by` and `byPercent` start from what is *wanted* at that moment, so two +5 make +10. Percentages round away from zero: 30 % of 5 is 2.",
  fields: (t) => ({
    exactly: t.int({ description: "So many." }),
    by: t.int({ description: "So many more; negative: fewer." }),
    byPercent: t.float({ description: "So many hundredths more; negative: fewer." }),
  }),
});

defineMutation("resizeCluster", {
  description: "Changes how many members are wanted, and the bounds. `exactly` supersedes earlier wishes for a size; `by` adds to them.",
  needs: "MEMBER",
  input: builder.inputType("ResizeClusterInput", {
    description: "A new size.",
    fields: (t) => ({
      cluster: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      capacity: t.field({ type: CapacityChangeInput, description: "How many members are wanted; absent: only the bounds change." }),
      minStep: t.int({ description: "With `byPercent`: at least so many." }),
      minSize: t.int({ description: "The new lower bound." }),
      maxSize: t.int({ description: "The new upper bound; null: none." }),
      strict: t.boolean({ required: true, defaultValue: true, description: "false: go as far as the bounds allow instead of refusing." }),
      ifGeneration: t.int({ description: ifGenerationDescription }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: clusterPayload("ResizeClusterPayload"),
  command: resizeCluster,
  show: showCluster,
});

function scaleInput(name: string, description: string) {
  return builder.inputType(name, {
    description,
    fields: (t) => ({
      cluster: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      count: t.int({ description: "How many; else the scaling policy's, else 1." }),
      ifGeneration: t.int({ description: ifGenerationDescription }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  });
}

defineMutation("scaleOutCluster", {
  description: "Wants more members. `count`: else the scaling policy's, else 1.",
  needs: "MEMBER",
  input: scaleInput("ScaleOutClusterInput", "How much a cluster grows."),
  payload: clusterPayload("ScaleOutClusterPayload"),
  command: scaleOutCluster,
  show: showCluster,
});

defineMutation("scaleInCluster", {
  description: "Wants fewer members. `count`: else the scaling policy's, else 1.",
  needs: "MEMBER",
  input: scaleInput("ScaleInClusterInput", "How much a cluster shrinks."),
  payload: clusterPayload("ScaleInClusterPayload"),
  command: scaleInCluster,
  show: showCluster,
});

defineMutation("checkCluster", {
  description: "Asks the driver about every member, now.",
  needs: "MEMBER",
  input: builder.inputType("CheckClusterInput", {
    description: "Whose members are asked after.",
    fields: (t) => ({
      cluster: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: clusterPayload("CheckClusterPayload"),
  command: checkCluster,
  show: showCluster,
});

defineMutation("recoverCluster", {
  description: "Recovers members that are ill, now. `operation`: else the health policy's ladder.",
  needs: "MEMBER",
  input: builder.inputType("RecoverClusterInput", {
    description: "Whose members are recovered.",
    fields: (t) => ({
      cluster: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      operation: t.string({ description: "The first rung: `RESTART`, `REBUILD` or `REPLACE`; else the ladder decides." }),
      params: t.field({ type: "JSONObject", description: "For the operation." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: clusterPayload("RecoverClusterPayload"),
  command: recoverCluster,
  show: showCluster,
});

defineMutation("deleteCluster", {
  description: "Accepted in every state; supersedes everything. The cluster shows DELETING until its last member is gone.",
  needs: "MEMBER",
  input: builder.inputType("DeleteClusterInput", {
    description: "Which cluster goes.",
    fields: (t) => ({
      cluster: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      abandon: t.boolean({
        required: true,
        defaultValue: false,
        description: "ADMIN: forget members that cannot be reached; what comes back is removed.",
      }),
      ifGeneration: t.int({ description: ifGenerationDescription }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: clusterPayload("DeleteClusterPayload"),
  command: deleteCluster,
  remember: (input, context): Promise<ClusterRow | null> => findCluster(context, input.cluster),
  show: async (ids, context, former): Promise<ClusterPayload | null> => {
    const shown = await showCluster(ids, context);
    if (shown !== null || former === null || former.id !== ids.clusterId) return shown;
    // A cluster without members is gone before it can be read again.
    const action = await context.loaders.actions.load(ids.actionId);
    return action === null ? null : { action, cluster: { ...former, deleting: true, status: "DELETING", generation: former.generation + 1 } };
  },
});
