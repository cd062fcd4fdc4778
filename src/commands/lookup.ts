/**
 * From what an input names to what is meant. Foreign, unknown and mistyped ids are all the same: there is no such object. A name that
 * could never have been given names nothing, and never reaches the database.
 */
import { type InputIssue, notFound, type Refusal, type Result, refused } from "../core/errors.ts";
import { type ClusterId, decodeId, encodeId, type IdByPrefix, type IdPrefix, type NodeId } from "../core/ids.ts";
import { nameIssues } from "../core/name.ts";
import type { ClusterRow } from "../store/cluster.ts";
import { findClusterByName, getClustersByIds } from "../store/cluster.ts";
import { lockCluster } from "../store/cluster-write.ts";
import { findNode, getNodesByIds, type NodeRow } from "../store/node.ts";
import type { CommandContext, Work } from "./command.ts";
import type { NodeBy, ObjectBy, Optional } from "./input.ts";

export type Key<P extends IdPrefix> = { readonly id: IdByPrefix[P] } | { readonly name: string };

/** The key an input gives, or null where it can mean nothing. */
export function keyOf<P extends IdPrefix>(prefix: P, by: ObjectBy): Key<P> | null {
  if (by.id != null) {
    const id = decodeId(prefix, by.id);
    return id === null ? null : { id };
  }
  return by.name != null && nameIssues(by.name, []).length === 0 ? { name: by.name } : null;
}

/** Locks the cluster that an input names. Refuses what every change of one refuses: it is going, or it is not as the caller knew it. */
export async function lockNamedCluster(
  { tx }: Work,
  context: CommandContext,
  input: { readonly cluster: ObjectBy; readonly ifGeneration?: Optional<number> },
  options: { readonly path?: readonly string[]; readonly deleting?: "refused" | "allowed" } = {},
): Promise<Result<ClusterRow>> {
  const key = keyOf("cluster", input.cluster);
  const cluster = key === null ? null : await lockCluster(tx.db, context.principal.projectId, key);
  if (cluster === null) return notFound(options.path ?? ["cluster"], "cluster");
  if (cluster.deleting && options.deleting !== "allowed") return deletingCluster(cluster);
  return otherGeneration(cluster, input) ?? { ok: true, value: cluster };
}

/** Refuses what was meant for another generation. */
export function otherGeneration(
  cluster: ClusterRow,
  input: { readonly ifGeneration?: Optional<number> },
): { readonly ok: false; readonly refusal: Refusal } | null {
  if (input.ifGeneration == null || input.ifGeneration === cluster.generation) return null;
  return refused({
    kind: "Conflict",
    reason: "GENERATION_CHANGED",
    message: `The cluster is at generation ${cluster.generation}, not ${input.ifGeneration}.`,
    path: ["ifGeneration"],
    object: { type: "cluster", id: cluster.id },
    generation: cluster.generation,
  });
}

export function deletingCluster(cluster: ClusterRow): { readonly ok: false; readonly refusal: Refusal } {
  return refused({
    kind: "Conflict",
    reason: "DELETING",
    message: `The cluster ${cluster.name} is being deleted.`,
    object: { type: "cluster", id: cluster.id },
    generation: cluster.generation,
  });
}

/** The node that an input names, unlocked: its cluster is locked first. */
export async function findNamedNode({ tx }: Work, context: CommandContext, by: NodeBy): Promise<Result<NodeRow>> {
  const { projectId } = context.principal;
  const missing = notFound(["node"], "node");
  if (by.id != null) {
    const id: NodeId | null = decodeId("node", by.id);
    const [node] = id === null ? [] : await getNodesByIds(tx.db, projectId, [id]);
    return node === undefined ? missing : { ok: true, value: node };
  }
  const place = by.name ?? by.index ?? null;
  if (place === null) return missing;
  const clusterId = await findClusterId({ tx }, context, place.cluster);
  if (clusterId === null) return notFound(["node", by.name == null ? "index" : "name", "cluster"], "cluster");
  if ("name" in place && nameIssues(place.name, []).length > 0) return missing;
  const node = await findNode(tx.db, projectId, "name" in place ? { clusterId, name: place.name } : { clusterId, index: place.index });
  return node === null ? missing : { ok: true, value: node };
}

async function findClusterId({ tx }: Pick<Work, "tx">, context: CommandContext, by: ObjectBy): Promise<ClusterId | null> {
  const key = keyOf("cluster", by);
  if (key === null) return null;
  if ("id" in key) return (await getClustersByIds(tx.db, context.principal.projectId, [key.id]))[0]?.id ?? null;
  return (await findClusterByName(tx.db, context.principal.projectId, key.name))?.id ?? null;
}

/** Updates: a field that may be left out but not be null. */
export function notNull(input: Readonly<Record<string, unknown>>, fields: readonly string[]): InputIssue[] {
  return fields.filter((field) => input[field] === null).map((field) => ({ path: [field], message: "must not be null: leave it out to keep it" }));
}

/** A reference as an action's inputs show it: ids as TypeIDs. */
export function shownId<P extends IdPrefix>(prefix: P, id: IdByPrefix[P] | null): string | null {
  return id === null ? null : encodeId(prefix, id);
}
