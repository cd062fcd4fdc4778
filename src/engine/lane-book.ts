/** Which lanes this worker owns, under which epochs, in memory. The truth is in the database: every write is checked against it there. */
import type { ClusterId, NodeId } from "../core/ids.ts";

export interface LaneBook {
  /** Lanes owned now, with their epochs. */
  readonly held: ReadonlyMap<number, bigint>;
  add(lanes: ReadonlyMap<number, bigint>): void;
  remove(lanes: readonly number[]): void;
  /** Lets go of lanes that somebody else was found to own, unless they are held under newer epochs by now. */
  lose(lanes: ReadonlyMap<number, bigint>): void;
  clear(): void;
  /** Lanes in which steps may be written as begun that nobody carries out: a COMMIT was not answered. They are to be read again. */
  readonly doubtful: Set<number>;
  /** Nodes on which a driver call of ours is under way, by id, with their lane. */
  readonly inFlight: ReadonlyMap<NodeId, number>;
  begin(nodeId: NodeId, lane: number, clusterId: ClusterId | null): void;
  end(nodeId: NodeId): void;
  /** How many of them are a cluster's, those not counted that are only looked at on the way through all of it. */
  inFlightOf(clusterId: ClusterId): number;
}

/** Whether these are the same lanes under the same epochs. */
export function isSameHold(one: ReadonlyMap<number, bigint>, other: ReadonlyMap<number, bigint>): boolean {
  if (one.size !== other.size) return false;
  for (const [lane, epoch] of one) if (other.get(lane) !== epoch) return false;
  return true;
}

export function createLaneBook(): LaneBook {
  const held = new Map<number, bigint>();
  const doubtful = new Set<number>();
  const inFlight = new Map<NodeId, number>();
  const clusters = new Map<NodeId, ClusterId>();
  const perCluster = new Map<ClusterId, number>();
  const add = (clusterId: ClusterId, n: number): void => {
    const count = (perCluster.get(clusterId) ?? 0) + n;
    if (count === 0) perCluster.delete(clusterId);
    else perCluster.set(clusterId, count);
  };
  return {
    held,
    add: (lanes) => {
      for (const [lane, epoch] of lanes) held.set(lane, epoch);
    },
    remove: (lanes) => {
      for (const lane of lanes) held.delete(lane);
    },
    lose: (lanes) => {
      for (const [lane, epoch] of lanes) if (held.get(lane) === epoch) held.delete(lane);
    },
    clear: () => held.clear(),
    doubtful,
    inFlight,
    begin: (nodeId, lane, clusterId) => {
      if (clusterId !== null && !inFlight.has(nodeId)) {
        clusters.set(nodeId, clusterId);
        add(clusterId, 1);
      }
      inFlight.set(nodeId, lane);
    },
    end: (nodeId) => {
      inFlight.delete(nodeId);
      const clusterId = clusters.get(nodeId);
      if (clusterId !== undefined && clusters.delete(nodeId)) add(clusterId, -1);
    },
    inFlightOf: (clusterId) => perCluster.get(clusterId) ?? 0,
  };
}
