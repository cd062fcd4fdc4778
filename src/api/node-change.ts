/** Changes of single nodes. */
import { createClusterNode, deleteClusterNode, updateClusterNode } from "../commands/node.ts";
import { checkClusterNode, recoverClusterNode } from "../commands/node-job.ts";
import { type ActionId, encodeId, type NodeId } from "../core/ids.ts";
import type { ActionRow } from "../store/action.ts";
import type { NodeRow } from "../store/node.ts";
import { builder } from "./builder.ts";
import { ClusterNodeByInput, ObjectByInput } from "./by.ts";
import type { ApiContext } from "./context.ts";
import { defineMutation, idempotencyKeyDescription } from "./mutation.ts";
import { ActionRef, ClusterNodeRef } from "./object.ts";

interface NodePayload {
  readonly node: NodeRow;
  readonly action: ActionRow;
}

function nodePayload(name: string) {
  return builder.objectRef<NodePayload>(name).implement({
    description: "The node as it now is, and the action that is the work.",
    fields: (t) => ({
      node: t.expose("node", { type: ClusterNodeRef, description: "The node as it now is." }),
      action: t.expose("action", { type: ActionRef, description: "The work that follows." }),
    }),
  });
}

async function showNode(ids: { readonly nodeId: NodeId; readonly actionId: ActionId }, { loaders }: ApiContext): Promise<NodePayload | null> {
  const [node, action] = await Promise.all([loaders.nodes.load(ids.nodeId), loaders.actions.load(ids.actionId)]);
  return node === null || action === null ? null : { node, action };
}

/** A node that nothing was begun for is gone in the same transaction. */
interface NodeDeletion {
  readonly node: NodeRow | null;
  readonly deletedId: string | null;
  readonly action: ActionRow;
}

const DeleteClusterNodePayloadRef = builder.objectRef<NodeDeletion>("DeleteClusterNodePayload").implement({
  description: "The node as it now is, or the id of one that is gone already, and the action that is the work.",
  fields: (t) => ({
    node: t.expose("node", { type: ClusterNodeRef, nullable: true, description: "The node as it now is; null: it is gone." }),
    deletedId: t.exposeID("deletedId", { nullable: true, description: "The id it had, where it is gone at once." }),
    action: t.expose("action", { type: ActionRef, description: "The work that follows." }),
  }),
});

async function showDeletion(ids: { readonly nodeId: NodeId; readonly actionId: ActionId }, { loaders }: ApiContext): Promise<NodeDeletion | null> {
  const [node, action] = await Promise.all([loaders.nodes.load(ids.nodeId), loaders.actions.load(ids.actionId)]);
  return action === null ? null : { node, action, deletedId: node === null ? encodeId("node", ids.nodeId) : null };
}

defineMutation("createClusterNode", {
  description: "Makes one node: a member of a cluster (which then wants one more), or one by itself.",
  needs: "MEMBER",
  input: builder.inputType("CreateClusterNodeInput", {
    description: "A new node.",
    fields: (t) => ({
      cluster: t.field({ type: ObjectByInput, description: "Its cluster; absent: none." }),
      profile: t.field({ type: ObjectByInput, description: "What it is made from; in a cluster: the cluster's, if absent." }),
      name: t.string({ description: "1–128 of [A-Za-z0-9._-], a letter or digit first; unique in its cluster. Absent: by the cluster's format." }),
      role: t.string({ description: "Anything of yours." }),
      metadata: t.field({ type: "JSONObject", description: "Anything of yours." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: nodePayload("CreateClusterNodePayload"),
  command: createClusterNode,
  show: showNode,
});

defineMutation("updateClusterNode", {
  description: "Changes a node's name, role, metadata or marks.",
  needs: "MEMBER",
  input: builder.inputType("UpdateClusterNodeInput", {
    description: "Absent fields stay as they are.",
    fields: (t) => ({
      node: t.field({ type: ClusterNodeByInput, required: true, description: "Which." }),
      name: t.string({ description: "The new name." }),
      role: t.string({ description: "The new role; null: none." }),
      metadata: t.field({ type: "JSONObject", description: "The whole new metadata." }),
      protected: t.boolean({ description: "true: never chosen by a policy or a shrink." }),
      tainted: t.boolean({ description: "true: chosen first." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: nodePayload("UpdateClusterNodePayload"),
  command: updateClusterNode,
  show: showNode,
});

defineMutation("checkClusterNode", {
  description: "Asks the driver about one node, now.",
  needs: "MEMBER",
  input: builder.inputType("CheckClusterNodeInput", {
    description: "Which node is asked after.",
    fields: (t) => ({
      node: t.field({ type: ClusterNodeByInput, required: true, description: "Which." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: nodePayload("CheckClusterNodePayload"),
  command: checkClusterNode,
  show: showNode,
});

defineMutation("recoverClusterNode", {
  description: "Recovers one node, now.",
  needs: "MEMBER",
  input: builder.inputType("RecoverClusterNodeInput", {
    description: "Which node is recovered.",
    fields: (t) => ({
      node: t.field({ type: ClusterNodeByInput, required: true, description: "Which." }),
      operation: t.string({ description: "The first rung: `RESTART`, `REBUILD` or `REPLACE`; else the ladder decides." }),
      params: t.field({ type: "JSONObject", description: "For the operation." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: nodePayload("RecoverClusterNodePayload"),
  command: recoverClusterNode,
  show: showNode,
});

defineMutation("deleteClusterNode", {
  description: "Takes one node away. With `reduceDesiredCapacity` its cluster then wants one fewer; else it is replaced.",
  needs: "MEMBER",
  input: builder.inputType("DeleteClusterNodeInput", {
    description: "Which node goes.",
    fields: (t) => ({
      node: t.field({ type: ClusterNodeByInput, required: true, description: "Which." }),
      reduceDesiredCapacity: t.boolean({ required: true, defaultValue: true, description: "false: its cluster makes another one in its place." }),
      abandon: t.boolean({
        required: true,
        defaultValue: false,
        description: "ADMIN: forget it although it cannot be reached; what comes back is removed.",
      }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: DeleteClusterNodePayloadRef,
  command: deleteClusterNode,
  show: showDeletion,
});
