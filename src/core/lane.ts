/** Lanes: shares of all nodes, by hash of the node's id. A worker owns lanes, not tasks. Stored: frozen. */
import type { ClusterId, NodeId } from "./ids.ts";

/** Lanes 0 … 255 are shared by all workers. */
export const sharedLanes = 256;
/** Lanes of each host, for drivers whose members stand on it: enough for its workers to share. */
export const lanesPerHost = 8;

/** FNV-1a over the id's text, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  // The low bits of FNV mix poorly for inputs that differ in few places: fold the high ones in.
  value ^= value >>> 15;
  return value >>> 0;
}

/** The lane of a node whose driver is bound to no host, or of a cluster's planning. */
export function laneOf(id: NodeId | ClusterId): number {
  return hash(id) % sharedLanes;
}

/** The lane of a node that stands on a host. */
export function hostLane(hostNumber: number, id: NodeId): number {
  return sharedLanes + hostNumber * lanesPerHost + (hash(id) % lanesPerHost);
}

/** All lanes of a host. */
export function hostLanes(hostNumber: number): number[] {
  return Array.from({ length: lanesPerHost }, (_, i) => sharedLanes + hostNumber * lanesPerHost + i);
}
