/** New members of a cluster, as rows to be: id, index, name, host and lane. */
import { brandId, type HostId, type NodeId } from "../core/ids.ts";
import { hostLane, laneOf } from "../core/lane.ts";
import { nodeName, randomText } from "../core/name.ts";
import type { Entropy } from "../core/runtime.ts";
import type { PlannedCluster } from "../store/cluster-plan.ts";
import type { PlannedNode } from "../store/node-write.ts";

export interface Host {
  readonly id: HostId;
  readonly number: number;
}

export function newIds(count: number, entropy: Entropy): NodeId[] {
  return Array.from({ length: count }, () => brandId("node", entropy.uuid()));
}

/**
 * @param firstIndex the first of as many indexes that were taken for them
 * @param hosts where they may stand, in turn; null: the driver is bound to no host
 */
export function newMembers(
  cluster: PlannedCluster,
  firstIndex: number,
  ids: readonly NodeId[],
  hosts: readonly Host[] | null,
  entropy: Entropy,
): PlannedNode[] {
  const random = (length: number): string => randomText(entropy, length);
  return ids.map((id, i): PlannedNode => {
    const index = firstIndex + i;
    const host = hosts === null ? null : (hosts[index % hosts.length] ?? null);
    return {
      id,
      projectId: cluster.projectId,
      clusterId: cluster.id,
      clusterName: cluster.name,
      profileId: cluster.profileId,
      lane: host === null ? laneOf(id) : hostLane(host.number, id),
      hostId: host?.id ?? null,
      index,
      name: nodeName(cluster.nodeNameFormat, { cluster: cluster.name, index, random }),
      role: null,
      metadata: null,
      ownProfile: false,
      actionId: null,
    };
  });
}
