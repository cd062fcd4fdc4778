/** The ways to point at an object in an input: by id, by name, by index. What is not there, or not the caller's, is null. */
import { decodeId } from "../core/ids.ts";
import { nameIssues } from "../core/name.ts";
import { type ClusterRow, findClusterByName } from "../store/cluster.ts";
import { findNode as findNodeAt, type NodeRow } from "../store/node.ts";
import { findProfileByName, type ProfileRow } from "../store/profile.ts";
import { builder } from "./builder.ts";
import type { ApiContext } from "./context.ts";

type Maybe<T> = T | null | undefined;
export interface ObjectBy {
  readonly id?: Maybe<string>;
  readonly name?: Maybe<string>;
}
export interface ClusterNodeBy {
  readonly id?: Maybe<string>;
  readonly name?: Maybe<{ readonly cluster: ObjectBy; readonly name: string }>;
  readonly index?: Maybe<{ readonly cluster: ObjectBy; readonly index: number }>;
}

export const ObjectByInput = builder.inputType("ObjectBy", {
  isOneOf: true,
  description: "One object: by its id, or by its name in the caller's project.",
  fields: (t) => ({
    id: t.id({ description: "Its id." }),
    name: t.string({ description: "Its name; of a profile: the newest revision." }),
  }),
});

const NodeNameInput = builder.inputType("NodeNameInput", {
  description: "A member by its name: names are unique in a cluster.",
  fields: (t) => ({
    cluster: t.field({ type: ObjectByInput, required: true, description: "Its cluster." }),
    name: t.string({ required: true, description: "Its name." }),
  }),
});

const NodeIndexInput = builder.inputType("NodeIndexInput", {
  description: "A member by its index.",
  fields: (t) => ({
    cluster: t.field({ type: ObjectByInput, required: true, description: "Its cluster." }),
    index: t.int({ required: true, description: "Its index." }),
  }),
});

export const ClusterNodeByInput = builder.inputType("ClusterNodeBy", {
  isOneOf: true,
  description: "One node: by its id, or by its name or index in a cluster.",
  fields: (t) => ({
    id: t.id({ description: "Its id." }),
    name: t.field({ type: NodeNameInput, description: "Its name in a cluster." }),
    index: t.field({ type: NodeIndexInput, description: "Its index in a cluster." }),
  }),
});

/** True for a name that something can have. Others need no look, and some PostgreSQL would not even read. */
function isName(name: string): boolean {
  return nameIssues(name, []).length === 0;
}

export async function findCluster({ deps, principal, loaders }: ApiContext, by: ObjectBy): Promise<ClusterRow | null> {
  if (by.id != null) {
    const id = decodeId("cluster", by.id);
    return id === null ? null : loaders.clusters.load(id);
  }
  return by.name != null && isName(by.name) ? findClusterByName(deps.store.db, principal.projectId, by.name) : null;
}

export async function findProfile({ deps, principal, loaders }: ApiContext, by: ObjectBy): Promise<ProfileRow | null> {
  if (by.id != null) {
    const id = decodeId("profile", by.id);
    return id === null ? null : loaders.profiles.load(id);
  }
  return by.name != null && isName(by.name) ? findProfileByName(deps.store.db, principal.projectId, by.name) : null;
}

export async function findNode(context: ApiContext, by: ClusterNodeBy): Promise<NodeRow | null> {
  if (by.id != null) {
    const id = decodeId("node", by.id);
    return id === null ? null : context.loaders.nodes.load(id);
  }
  const place = by.name ?? by.index;
  if (place == null) return null;
  const cluster = await findCluster(context, place.cluster);
  if (cluster === null) return null;
  const clusterId = cluster.id;
  const at = by.name != null ? { clusterId, name: by.name.name } : { clusterId, index: by.index?.index ?? 0 };
  if ("name" in at && !isName(at.name)) return null;
  return findNodeAt(context.deps.store.db, context.principal.projectId, at);
}
