/**
 * The batched reads of one request: whatever many objects of a page ask for in the same breath is read in one statement, within what the
 * caller may see; what is read by id, also with other requests (`shared-reads.ts`). A loader is made when it is first used; all of them are
 * thrown away together (`ApiContext.forget`).
 */
import DataLoader from "dataloader";
import type { ActionId, ClusterId, EventId, NodeId, ProfileId, ProjectId, TokenId, WorkerId } from "../core/ids.ts";
import { mayAct, type Principal } from "../core/principal.ts";
import type { QuotaUse } from "../core/quota.ts";
import { type ActionFilter, type ActionRow, listActionsOf, liveActionsOf } from "../store/action.ts";
import { type ClusterRow, listClustersOfProfiles } from "../store/cluster.ts";
import type { Counts } from "../store/count.ts";
import type { LedgerEvent, LedgerFilter } from "../store/ledger-event.ts";
import { type EventsOf, type Expired, type HistoryPage, type HistoryRange, readEventsById, readEventsOf } from "../store/ledger-read.ts";
import { type NodeHealthRow, type NodeRow, nodeHealthOf } from "../store/node.ts";
import { listNodesOfClusters, type NodeFilter } from "../store/node-list.ts";
import type { Page, PageRequest } from "../store/page.ts";
import type { ProfileRow } from "../store/profile.ts";
import { getProjectsByIds, type ProjectRow, quotaUseOf } from "../store/project.ts";
import { getTokensByIds, type TokenRow } from "../store/token.ts";
import { getWorkersByIds, type WorkerRow } from "../store/worker.ts";
import type { ApiDeps } from "./context.ts";
import { sharedReadsOf } from "./shared-reads.ts";

/** A loader over a read that answers with values of those keys it knows. */
function knownOf<Key, Value>(read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>): DataLoader<Key, Value | null> {
  return new DataLoader(async (keys) => {
    const values = await read(keys);
    return keys.map((key) => values.get(key) ?? null);
  });
}

/** A loader over a read that answers with rows, in any order, of those ids it knows. */
function rowsById<Id extends string, Row extends { readonly id: Id }>(
  read: (ids: readonly Id[]) => Promise<readonly Row[]>,
): DataLoader<Id, Row | null> {
  return knownOf(async (ids) => new Map((await read(ids)).map((row) => [row.id, row])));
}

/** A loader over a read that answers with a value for every key. */
function valuesOf<Key, Value>(read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>): DataLoader<Key, Value> {
  return new DataLoader(async (keys) => {
    const values = await read(keys);
    return keys.map((key) => values.get(key) ?? new Error("a batched read left a key out"));
  });
}

/** One loader for each way a list is asked for: filter and page are the same for all objects of a batch. */
class ListLoaders<Key, Value> {
  readonly #loaders = new Map<string, DataLoader<Key, Value>>();

  of(way: readonly unknown[], read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>): DataLoader<Key, Value> {
    const name = JSON.stringify(way, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value));
    const known = this.#loaders.get(name);
    if (known !== undefined) return known;
    const made = valuesOf(read);
    this.#loaders.set(name, made);
    return made;
  }
}

/** The batched reads of one operation of one caller. */
export type Loaders = ReturnType<typeof createLoaders>;

export function createLoaders({ store: { db } }: Pick<ApiDeps, "store">, { projectId, role }: Pick<Principal, "projectId" | "role">) {
  const wholeInstallation = mayAct(role, "OPERATOR");
  const shared = sharedReadsOf(db);
  const lists = {
    clusters: new ListLoaders<ProfileId, Page<ClusterRow>>(),
    nodes: new ListLoaders<ClusterId, Page<NodeRow>>(),
    clusterActions: new ListLoaders<ClusterId, Page<ActionRow>>(),
    nodeActions: new ListLoaders<NodeId, Page<ActionRow>>(),
    events: new ListLoaders<string, HistoryPage | Expired>(),
  };
  return {
    clusters: knownOf<ClusterId, ClusterRow>((ids) => shared.clusters(projectId, ids)),
    nodes: knownOf<NodeId, NodeRow>((ids) => shared.nodes(projectId, ids)),
    profiles: knownOf<ProfileId, ProfileRow>((ids) => shared.profiles(projectId, ids)),
    actions: knownOf<ActionId, ActionRow>((ids) => shared.actions(projectId, ids)),
    tokens: rowsById<TokenId, TokenRow>((ids) => getTokensByIds(db, wholeInstallation ? null : projectId, ids)),
    projects: rowsById<ProjectId, ProjectRow>((ids) => getProjectsByIds(db, wholeInstallation ? ids : ids.filter((id) => id === projectId))),
    events: new DataLoader<EventId, LedgerEvent | null>((ids) => readEventsById(db, ids, projectId)),
    workers: rowsById<WorkerId, WorkerRow>(async (ids) => [...(await getWorkersByIds(db, ids)).values()]),

    counts: valuesOf<ClusterId, Counts>((ids) => shared.counts(projectId, ids)),
    liveActions: valuesOf<ActionId, ActionId>((ids) => liveActionsOf(db, projectId, ids)),
    quotaUse: valuesOf<ProjectId, QuotaUse>((ids) => quotaUseOf(db, ids)),
    nodeHealth: new DataLoader<NodeRow, NodeHealthRow, NodeId>(
      async (nodes) => {
        const health = await nodeHealthOf(db, nodes);
        return nodes.map((node) => health.get(node.id) ?? new Error("a batched read left a node out"));
      },
      { cacheKeyFn: (node) => node.id },
    ),

    clustersOfProfiles: (page: PageRequest) => lists.clusters.of([page], (ids) => listClustersOfProfiles(db, projectId, ids, page)),
    nodesOfClusters: (filter: NodeFilter, page: PageRequest) =>
      lists.nodes.of([filter, page], (ids) => listNodesOfClusters(db, projectId, ids, filter, page)),
    actionsOfClusters: (filter: ActionFilter, page: PageRequest) =>
      lists.clusterActions.of([filter, page], (ids) => listActionsOf(db, projectId, "cluster", ids, filter, page)),
    actionsOfNodes: (filter: ActionFilter, page: PageRequest) =>
      lists.nodeActions.of([filter, page], (ids) => listActionsOf(db, projectId, "node", ids, filter, page)),
    eventsOf: (by: EventsOf["by"], filter: LedgerFilter, range: HistoryRange) =>
      lists.events.of([by, filter, range], async (ids) => {
        const found = await readEventsOf(db, { by, ids, filter, range });
        return "expired" in found ? new Map(ids.map((id) => [id, found])) : found;
      }),
  };
}
