/**
 * Who gets which event. Each listener stands in one index, the narrowest its filter has: by node, action, cluster, project, or
 * none. An event is offered only to those who stand where it points, so thousands of subscribers cost what the few concerned do.
 */
import type { LedgerEvent, LedgerFilter } from "../store/ledger-event.ts";
import type { Weighed } from "./mailbox.ts";

export interface Listener {
  readonly filter: LedgerFilter;
  /** Called for each event that its index says may concern it. */
  offer(weighed: Weighed): void;
}

export interface Bus {
  /** Returns the function that removes it again. */
  add(listener: Listener): () => void;
  publish(weighed: Weighed): void;
  listeners(): Iterable<Listener>;
  readonly size: number;
}

type Index = "node" | "action" | "cluster" | "project" | "all";

function placesOf(filter: LedgerFilter): { index: Index; keys: readonly string[] } {
  if (filter.nodeIds !== undefined) return { index: "node", keys: filter.nodeIds };
  if (filter.actionIds !== undefined) return { index: "action", keys: filter.actionIds };
  if (filter.clusterIds !== undefined) return { index: "cluster", keys: filter.clusterIds };
  if (filter.projectId !== null) return { index: "project", keys: [filter.projectId] };
  return { index: "all", keys: [""] };
}

export function createBus(): Bus {
  const indexes: Record<Index, Map<string, Set<Listener>>> = {
    node: new Map(),
    action: new Map(),
    cluster: new Map(),
    project: new Map(),
    all: new Map(),
  };
  const all = new Set<Listener>();
  const offer = (index: Index, key: string | null, weighed: Weighed): void => {
    if (key === null) return;
    const standing = indexes[index].get(key);
    if (standing !== undefined) for (const listener of standing) listener.offer(weighed);
  };
  return {
    add: (listener) => {
      const { index, keys } = placesOf(listener.filter);
      all.add(listener);
      for (const key of keys) {
        const standing = indexes[index].get(key) ?? new Set();
        standing.add(listener);
        indexes[index].set(key, standing);
      }
      return () => {
        all.delete(listener);
        for (const key of keys) {
          const standing = indexes[index].get(key);
          standing?.delete(listener);
          if (standing?.size === 0) indexes[index].delete(key);
        }
      };
    },
    publish: (weighed) => {
      const event: LedgerEvent = weighed.event;
      offer("node", event.nodeId, weighed);
      offer("action", event.actionId, weighed);
      offer("cluster", event.clusterId, weighed);
      offer("project", event.projectId, weighed);
      offer("all", "", weighed);
    },
    listeners: () => all,
    get size() {
      return all.size;
    },
  };
}
