/**
 * Reads by id that several operations of this process ask for in the same breath, as one statement: changes of one cluster that were written together are
 * answered together, and a thousand subscribers read what an event is about at the same moment. Nothing is kept: who asks later reads anew.
 */
import DataLoader from "dataloader";
import type { ActionId, ClusterId, NodeId, ProfileId, ProjectId } from "../core/ids.ts";
import { type ActionRow, getActionsByIds } from "../store/action.ts";
import { type ClusterRow, getClustersByIds } from "../store/cluster.ts";
import { type Counts, readCounts } from "../store/count.ts";
import type { Database } from "../store/database.ts";
import { getNodesByIds, type NodeRow } from "../store/node.ts";
import { getProfilesByIds, type ProfileRow } from "../store/profile.ts";

/** Values by id, of those ids that the project knows. @throws what the statement ended with */
type SharedRead<Id, Value> = (projectId: ProjectId, ids: readonly Id[]) => Promise<ReadonlyMap<Id, Value>>;

/** One per process. */
export interface SharedReads {
  readonly clusters: SharedRead<ClusterId, ClusterRow>;
  readonly nodes: SharedRead<NodeId, NodeRow>;
  readonly profiles: SharedRead<ProfileId, ProfileRow>;
  readonly actions: SharedRead<ActionId, ActionRow>;
  /** Of clusters that the caller may see. */
  readonly counts: SharedRead<ClusterId, Counts>;
}

/** So many ids go in one statement at most. */
const mostTogether = 1_000;

const known = new WeakMap<Database, SharedReads>();

/** A database is one process's pool. */
export function sharedReadsOf(db: Database): SharedReads {
  const made = known.get(db) ?? createSharedReads(db);
  known.set(db, made);
  return made;
}

function createSharedReads(db: Database): SharedReads {
  return {
    clusters: rows((projectId, ids) => getClustersByIds(db, projectId, ids)),
    nodes: rows((projectId, ids) => getNodesByIds(db, projectId, ids)),
    profiles: rows((projectId, ids) => getProfilesByIds(db, projectId, ids)),
    actions: rows((projectId, ids) => getActionsByIds(db, projectId, ids)),
    counts: shared((_projectId, ids) => readCounts(db, ids)),
  };
}

function rows<Id, Row extends { readonly id: Id }>(read: (projectId: ProjectId, ids: readonly Id[]) => Promise<readonly Row[]>): SharedRead<Id, Row> {
  return shared(async (projectId, ids) => new Map((await read(projectId, ids)).map((row) => [row.id, row])));
}

function shared<Id, Value>(read: SharedRead<Id, Value>): SharedRead<Id, Value> {
  /** What is being gathered, by project: gone as soon as it is read. */
  const gathering = new Map<ProjectId, DataLoader<Id, Value | null>>();
  const gather = (projectId: ProjectId): DataLoader<Id, Value | null> => {
    const loader = new DataLoader<Id, Value | null>(
      async (ids) => {
        if (gathering.get(projectId) === loader) gathering.delete(projectId);
        const found = await read(projectId, [...new Set(ids)]);
        return ids.map((id) => found.get(id) ?? null);
      },
      { cache: false, maxBatchSize: mostTogether },
    );
    gathering.set(projectId, loader);
    return loader;
  };
  return async (projectId, ids) => {
    const loader = gathering.get(projectId) ?? gather(projectId);
    const found = new Map<Id, Value>();
    const values = await Promise.all(ids.map((id) => loader.load(id)));
    for (const [i, value] of values.entries()) {
      const id = ids[i];
      if (id !== undefined && value !== null) found.set(id, value);
    }
    return found;
  };
}
