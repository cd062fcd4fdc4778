/** Clusters of tests: made by the commands that the API calls, and looked at straight in the tables. */
import { createCluster } from "../../src/commands/cluster.ts";
import { createProfile } from "../../src/commands/profile.ts";
import { type ClusterStatus, clusterStatusCodec } from "../../src/core/cluster.ts";
import type { Result } from "../../src/core/errors.ts";
import { type ActionId, type ClusterId, encodeId, type ProjectId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { nodeStatusCodes } from "../../src/core/node.ts";
import type { Database } from "../../src/store/database.ts";
import type { World } from "./world.ts";

/** What a command that must succeed answered. */
export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.refusal)}`);
  return result.value;
}

export interface WantedCluster {
  readonly name: string;
  readonly desiredCapacity: number;
  readonly minSize?: number;
  readonly maxSize?: number | null;
  /** Of the profile. */
  readonly type?: string;
  readonly spec?: JsonObject;
  readonly timeoutSeconds?: number;
  /** Else `default`. */
  readonly projectId?: ProjectId;
}

/** Makes a profile (`sim` unless said otherwise) and a cluster of it. */
export async function simCluster(world: World, wanted: WantedCluster): Promise<{ clusterId: ClusterId; actionId: ActionId; id: string }> {
  const context = world.context("OPERATOR", wanted.projectId);
  const { profileId } = must(await createProfile(context, { name: `${wanted.name}-profile`, type: wanted.type ?? "sim", spec: wanted.spec ?? {} }));
  const made = must(
    await createCluster(context, {
      name: wanted.name,
      profile: { id: encodeId("profile", profileId) },
      desiredCapacity: wanted.desiredCapacity,
      minSize: wanted.minSize ?? 0,
      maxSize: wanted.maxSize ?? null,
      timeoutSeconds: wanted.timeoutSeconds ?? 3_600,
    }),
  );
  return { ...made, id: encodeId("cluster", made.clusterId) };
}

export interface ClusterFacts {
  /** As the API would say it. */
  readonly typeId: string;
  readonly status: ClusterStatus;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly desiredCapacity: number;
  /** Members, whatever their status. */
  readonly nodes: number;
  /** Members whose status is ACTIVE. */
  readonly active: number;
}

/** A cluster as the tables have it, counted from its nodes; null: there is none. */
export async function clusterFacts(db: Database, clusterId: ClusterId): Promise<ClusterFacts | null> {
  const row = await db
    .selectFrom("muster.cluster as c")
    .innerJoin("muster.cluster_state as s", "s.cluster_id", "c.id")
    .select(["c.generation", "c.desired_capacity", "s.status", "s.observed_generation"])
    .where("c.id", "=", clusterId)
    .executeTakeFirst();
  if (row === undefined) return null;
  const counted = await db
    .selectFrom("muster.node")
    .select((e) => [e.fn.countAll<bigint>().as("nodes"), e.fn.countAll<bigint>().filterWhere("status", "=", nodeStatusCodes.ACTIVE).as("active")])
    .where("cluster_id", "=", clusterId)
    .executeTakeFirstOrThrow();
  return {
    typeId: encodeId("cluster", clusterId),
    status: clusterStatusCodec.name(row.status),
    generation: row.generation,
    observedGeneration: row.observed_generation,
    desiredCapacity: row.desired_capacity,
    nodes: Number(counted.nodes),
    active: Number(counted.active),
  };
}
