/** Clusters as they are read: what is wanted, what the planner observes, and, in the same statement, never more than one page. */
import { type RawBuilder, sql } from "kysely";
import { type ClusterStatus, type Condition, clusterStatusCodec, clusterStatusCodes } from "../core/cluster.ts";
import type { ActionId, ClusterId, ProfileId, ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Database } from "./database.ts";
import {
  type Keyset,
  type Order,
  ordered,
  type Page,
  type PageRequest,
  pageOf,
  pagesByParent,
  type Stretch,
  stretchOrder,
  stretchWithin,
  within,
} from "./page.ts";

export interface ClusterRow {
  readonly id: ClusterId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly profileId: ProfileId;
  readonly desiredCapacity: number;
  readonly minSize: number;
  readonly maxSize: number | null;
  readonly generation: number;
  readonly deleting: boolean;
  readonly abandon: boolean;
  readonly nodeNameFormat: string;
  readonly timeoutSeconds: number;
  readonly metadata: JsonObject;
  readonly sizeActionId: ActionId | null;
  readonly existenceActionId: ActionId | null;
  readonly profileActionId: ActionId | null;
  /** The profile before the last change of it: what cancelling the roll-out brings back. */
  readonly formerProfileId: ProfileId | null;
  /** null: it never changed. */
  readonly profileChangedAt: Date | null;
  readonly status: ClusterStatus;
  readonly statusReason: string | null;
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly createdAt: Date;
  /** The newer of: what is wanted changed, what is observed changed. */
  readonly updatedAt: Date;
}

interface Stored {
  readonly id: ClusterId;
  readonly project_id: ProjectId;
  readonly name: string;
  readonly profile_id: ProfileId;
  readonly desired_capacity: number;
  readonly min_size: number;
  readonly max_size: number | null;
  readonly generation: number;
  readonly deleting: boolean;
  readonly abandon: boolean;
  readonly node_name_format: string;
  readonly timeout_seconds: number;
  readonly metadata: JsonObject;
  readonly size_action_id: ActionId | null;
  readonly existence_action_id: ActionId | null;
  readonly profile_action_id: ActionId | null;
  readonly former_profile_id: ProfileId | null;
  readonly profile_changed_at: Date | null;
  readonly status: number;
  readonly status_reason: string | null;
  readonly observed_generation: number;
  readonly conditions: readonly Condition[];
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** A cluster that is wanted gone shows so at once, whatever the planner wrote last. */
const statusColumn = sql.raw(`(case when c.deleting then ${clusterStatusCodes.DELETING} else s.status end)::smallint`);
const updatedColumn = sql.raw("greatest(c.updated_at, s.updated_at)");

/** Of `muster.cluster c` joined with `muster.cluster_state s`. */
export const clusterColumns = sql`c.id, c.project_id, c.name, c.profile_id, c.desired_capacity, c.min_size, c.max_size, c.generation, c.deleting, c.abandon,
  c.node_name_format, c.timeout_seconds, c.metadata, c.size_action_id, c.existence_action_id,
  c.profile_action_id, c.former_profile_id, c.profile_changed_at, ${statusColumn} as status, s.status_reason,
  s.observed_generation, s.conditions, c.created_at, ${updatedColumn} as updated_at`;

export type StoredCluster = Stored;

export function toCluster(row: Stored): ClusterRow {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    profileId: row.profile_id,
    desiredCapacity: row.desired_capacity,
    minSize: row.min_size,
    maxSize: row.max_size,
    generation: row.generation,
    deleting: row.deleting,
    abandon: row.abandon,
    nodeNameFormat: row.node_name_format,
    timeoutSeconds: row.timeout_seconds,
    metadata: row.metadata,
    sizeActionId: row.size_action_id,
    existenceActionId: row.existence_action_id,
    profileActionId: row.profile_action_id,
    formerProfileId: row.former_profile_id,
    profileChangedAt: row.profile_changed_at,
    status: clusterStatusCodec.name(row.status),
    statusReason: row.status_reason,
    observedGeneration: row.observed_generation,
    conditions: row.conditions,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Clusters by id, in any order; foreign and unknown ids are left out. */
export async function getClustersByIds(db: Database, projectId: ProjectId, ids: readonly ClusterId[]): Promise<ClusterRow[]> {
  const { rows } = await sql<Stored>`
    /* cluster.get */
    select ${clusterColumns} from muster.cluster c join muster.cluster_state s on s.cluster_id = c.id
     where c.id = any(${ids}::uuid[]) and c.project_id = ${projectId}`.execute(db);
  return rows.map(toCluster);
}

export async function findClusterByName(db: Database, projectId: ProjectId, name: string): Promise<ClusterRow | null> {
  const { rows } = await sql<Stored>`
    /* cluster.find */
    select ${clusterColumns} from muster.cluster c join muster.cluster_state s on s.cluster_id = c.id
     where c.project_id = ${projectId} and c.name = ${name}`.execute(db);
  const [row] = rows;
  return row === undefined ? null : toCluster(row);
}

export interface ClusterFilter {
  readonly ids?: readonly ClusterId[] | null | undefined;
  readonly nameContains?: string | null | undefined;
  readonly status?: readonly ClusterStatus[] | null | undefined;
  /** By id, or the newest revision of a name. */
  readonly profile?: { readonly id: ProfileId } | { readonly name: string } | null | undefined;
  readonly converged?: boolean | null | undefined;
  /** Contained in the cluster's. */
  readonly metadata?: JsonObject | null | undefined;
  readonly updatedSince?: Date | null | undefined;
}

export type ClusterOrderField = "CREATED_AT" | "NAME" | "STATUS" | "UPDATED_AT";
export interface ClusterOrder {
  readonly field: ClusterOrderField;
  readonly descending: boolean;
}

/** Ids grow with time, so the order of creation is that of ids. */
const orderColumns = {
  CREATED_AT: null,
  NAME: { column: sql.ref("c.name"), cast: "text" },
  STATUS: { column: statusColumn, cast: "smallint" },
  UPDATED_AT: { column: updatedColumn, cast: "timestamptz" },
} as const satisfies Record<ClusterOrderField, Order["by"]>;

/** The place of a row in an order: what a cursor holds. */
export function clusterKeyset(row: ClusterRow, field: ClusterOrderField): Keyset {
  switch (field) {
    case "CREATED_AT":
      return { id: row.id };
    case "NAME":
      return { id: row.id, value: row.name };
    case "STATUS":
      return { id: row.id, value: clusterStatusCodec.code(row.status) };
    case "UPDATED_AT":
      return { id: row.id, value: row.updatedAt.toISOString() };
  }
}

const convergedCondition = sql.raw(
  `(not c.deleting and s.observed_generation = c.generation and s.conditions @> '[{"type":"CONVERGED","status":"TRUE"}]')`,
);

function matching(filter: ClusterFilter): RawBuilder<unknown> {
  const { ids, nameContains, status, profile, converged, metadata, updatedSince } = filter;
  const parts: RawBuilder<unknown>[] = [];
  if (ids != null) parts.push(sql`and c.id = any(${ids}::uuid[])`);
  if (nameContains != null) parts.push(sql`and strpos(lower(c.name), lower(${nameContains})) > 0`);
  if (status != null) parts.push(sql`and ${statusColumn} = any(${status.map(clusterStatusCodec.code)}::smallint[])`);
  if (profile != null && "id" in profile) parts.push(sql`and c.profile_id = ${profile.id}`);
  if (profile != null && "name" in profile) {
    parts.push(
      sql`and c.profile_id = (select id from muster.profile p where p.project_id = c.project_id and p.name = ${profile.name} order by revision desc limit 1)`,
    );
  }
  if (converged != null) parts.push(converged ? sql`and ${convergedCondition}` : sql`and not ${convergedCondition}`);
  if (metadata != null) parts.push(sql`and c.metadata @> ${JSON.stringify(metadata)}::jsonb`);
  if (updatedSince != null) parts.push(sql`and ${updatedColumn} >= ${updatedSince}::timestamptz`);
  return sql.join(parts, sql` `);
}

export async function listClusters(
  db: Database,
  projectId: ProjectId,
  filter: ClusterFilter,
  orderBy: ClusterOrder,
  page: PageRequest,
): Promise<Page<ClusterRow>> {
  const order: Order = { by: orderColumns[orderBy.field], id: sql.ref("c.id"), descending: orderBy.descending };
  const stretch: Stretch = { parents: [{ column: sql.ref("c.project_id"), value: sql`${projectId}::uuid` }], id: sql.ref("c.id") };
  const backward = page.backward !== orderBy.descending;
  // In a descending order what comes after has smaller ids.
  const bounds = orderBy.descending ? { ...page, after: page.before, before: page.after } : page;
  const range =
    order.by === null
      ? sql`${stretchWithin(stretch, bounds)} ${matching(filter)} order by ${stretchOrder(stretch, backward)} limit ${page.limit + 1}`
      : sql`c.project_id = ${projectId} ${matching(filter)} ${within(order, page)} ${ordered(order, page)}`;
  const { rows } = await sql<Stored>`
    /* cluster.list */
    select ${clusterColumns} from muster.cluster c
     -- The limit changes nothing but the plan: each state is looked up, the table is never read whole.
     cross join lateral (select * from muster.cluster_state where cluster_id = c.id limit 1) s
     where ${range}`.execute(db);
  return pageOf(rows.map(toCluster), page);
}

const byId: Order = { by: null, id: sql.ref("c.id"), descending: false };

/** The same page of the clusters of each of many profiles. */
export async function listClustersOfProfiles(
  db: Database,
  projectId: ProjectId,
  profileIds: readonly ProfileId[],
  page: PageRequest,
): Promise<Map<ProfileId, Page<ClusterRow>>> {
  const { rows } = await sql<Stored>`
    /* cluster.list_of_profiles */
    select l.* from unnest(${profileIds}::uuid[]) with ordinality as p(id, at)
     cross join lateral (
       select ${clusterColumns} from muster.cluster c join muster.cluster_state s on s.cluster_id = c.id
        where c.profile_id = p.id and c.project_id = ${projectId} ${within(byId, page)} ${ordered(byId, page)}) l`.execute(db);
  return pagesByParent(profileIds, rows.map(toCluster), (row) => row.profileId, page);
}
