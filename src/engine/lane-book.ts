/** Which lanes this worker owns, under which epochs, in memory. The truth is in the database: every write is checked against it there. */
import type { NodeId } from "../core/ids.ts";

export interface LaneBook {
  /** Lanes owned now, with their epochs. */
  readonly held: ReadonlyMap<number, bigint>;
  add(lanes: ReadonlyMap<number, bigint>): void;
  remove(lanes: readonly number[]): void;
  clear(): void;
  /** Nodes on which a driver call of ours is under way, by id, with their lane. */
  readonly inFlight: ReadonlyMap<NodeId, number>;
  begin(nodeId: NodeId, lane: number): void;
  end(nodeId: NodeId): void;
}

export function createLaneBook(): LaneBook {
  const held = new Map<number, bigint>();
  const inFlight = new Map<NodeId, number>();
  return {
    held,
    add: (lanes) => {
      for (const [lane, epoch] of lanes) held.set(lane, epoch);
    },
    remove: (lanes) => {
      for (const lane of lanes) held.delete(lane);
    },
    clear: () => held.clear(),
    inFlight,
    begin: (nodeId, lane) => inFlight.set(nodeId, lane),
    end: (nodeId) => inFlight.delete(nodeId),
  };
}
