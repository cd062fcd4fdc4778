/**
 * Lists of nodes. The node table has no index on status or health (it would slow every write), so a filter goes one
 * of two ways. For what is *unusual* candidates come from narrow tables: `notable`, and the tasks of members being made or taken
 * away. For the rest the key is walked, a bounded number of rows: a walk that finds too little answers a short page that says where
 * it stopped.
 */
import { type RawBuilder, sql } from "kysely";
import { type HealthStatus, healthStatusCodec } from "../core/health.ts";
import type { ClusterId, NodeId, ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { type NodeStatus, nodeStatusCodec, taskKindCodes } from "../core/node.ts";
import type { Database } from "./database.ts";
import { type NodeRow, nodeColumns, type StoredNode, toNode } from "./node.ts";
import { type Order, ordered, type Page, type PageRequest, pageOf, type Stretch, stretchOrder, stretchWithin, within } from "./page.ts";

export interface NodeFilter {
  readonly ids?: readonly NodeId[] | null | undefined;
  readonly clusters?: readonly ClusterId[] | null | undefined;
  readonly orphan?: boolean | null | undefined;
  readonly status?: readonly NodeStatus[] | null | undefined;
  readonly health?: readonly HealthStatus[] | null | undefined;
  readonly roles?: readonly string[] | null | undefined;
  readonly zones?: readonly string[] | null | undefined;
  readonly hosts?: readonly string[] | null | undefined;
  /** Contained in the node's. */
  readonly metadata?: JsonObject | null | undefined;
}

/** Rows one walk may read: a few tens of milliseconds. */
const walkLimit = 10_000;
/** Clusters whose members are merged exactly; a list over more of them walks the key. */
const mergeLimit = 1_000;

const byId: Order = { by: null, id: sql.ref("n.id"), descending: false };

/** A row of a walk: `hit` where it belongs to the page; the walk's last row is kept to say where it stopped. */
type Walked = StoredNode & { readonly hit: boolean; readonly step: number };

/** What must hold of a node by itself, whichever way it was found. */
function matching(filter: NodeFilter): RawBuilder<unknown> | null {
  const { ids, status, health, roles, zones, hosts, metadata } = filter;
  const parts: RawBuilder<unknown>[] = [];
  if (ids != null) parts.push(sql`n.id = any(${ids}::uuid[])`);
  if (status != null) parts.push(sql`n.status = any(${status.map(nodeStatusCodec.code)}::smallint[])`);
  if (health != null) parts.push(sql`n.health = any(${health.map(healthStatusCodec.code)}::smallint[])`);
  if (roles != null) parts.push(sql`n.role = any(${roles}::text[])`);
  if (zones != null) parts.push(sql`n.placement ->> 'zone' = any(${zones}::text[])`);
  if (hosts != null) parts.push(sql`n.placement ->> 'host' = any(${hosts}::text[])`);
  if (metadata != null) parts.push(sql`coalesce(n.metadata, '{}') @> ${JSON.stringify(metadata)}::jsonb`);
  return parts.length === 0 ? null : sql.join(parts, sql` and `);
}

/** The tasks' kinds behind the statuses a filter wants: PLANNED and CREATING nodes have a create, DELETING ones a delete. */
function candidateTasks(filter: NodeFilter): number[] {
  const { status } = filter;
  const wants = (name: NodeStatus): boolean => status == null || status.includes(name);
  return [...(wants("PLANNED") || wants("CREATING") ? [taskKindCodes.CREATE] : []), ...(wants("DELETING") ? [taskKindCodes.DELETE] : [])];
}

/** True where no plainly ACTIVE and HEALTHY member can match. */
function unusualOnly(filter: NodeFilter): boolean {
  return (filter.status != null && !filter.status.includes("ACTIVE")) || (filter.health != null && !filter.health.includes("HEALTHY"));
}

/** Where nodes are looked for: members of a cluster (an expression), or nodes without one. */
type Place = { readonly cluster: RawBuilder<unknown> } | { readonly orphansOf: ProjectId };

/** A place's rows in a table with an index over (cluster, …, id). */
function stretchOf(table: string, id: string, place: Place, kind?: number): { readonly stretch: Stretch; readonly and: RawBuilder<unknown> } {
  const at = (column: string): RawBuilder<unknown> => sql.ref(`${table}.${column}`);
  const inner = kind === undefined ? [] : [{ column: at("kind"), value: sql`${kind}::smallint` }];
  if ("cluster" in place) return { stretch: { parents: [{ column: at("cluster_id"), value: place.cluster }, ...inner], id: at(id) }, and: sql`` };
  return {
    stretch: { parents: [{ column: at("project_id"), value: sql`${place.orphansOf}::uuid` }, ...inner], id: at(id) },
    and: sql`and ${at("cluster_id")} is null`,
  };
}

/** True where the candidates of an unusual filter need no second look at the node. */
function candidatesAreExact(filter: NodeFilter): boolean {
  const { status, health, roles, zones, hosts, metadata } = filter;
  if (roles != null || zones != null || hosts != null || metadata != null) return false;
  if (candidateTasks(filter).length === 0) return true;
  return health == null && (status == null || status.includes("PLANNED") === status.includes("CREATING"));
}

/** How many rows are looked at for one page of one place. */
function lengthOf(filter: NodeFilter, page: PageRequest, walk: number): number {
  return unusualOnly(filter) && candidatesAreExact(filter) ? page.limit + 1 : walk;
}

/** Ids of nodes that an unusual filter may mean, from the narrow tables: the first `length` of each source. */
function candidates(place: Place, filter: NodeFilter, page: PageRequest, length: number): RawBuilder<unknown> {
  const { status, health } = filter;
  const source = (table: "notable" | "task", kind?: number): RawBuilder<unknown> => {
    const { stretch, and } = stretchOf("t", "node_id", place, kind);
    const own: RawBuilder<unknown>[] = [];
    if (table === "notable" && status != null) own.push(sql`and t.status = any(${status.map(nodeStatusCodec.code)}::smallint[])`);
    if (table === "notable" && health != null) own.push(sql`and t.health = any(${health.map(healthStatusCodec.code)}::smallint[])`);
    return sql`(select t.node_id from ${sql.ref(`muster.${table}`)} t where ${stretchWithin(stretch, page)} ${and} ${sql.join(own, sql` `)}
                 order by ${stretchOrder(stretch, page.backward)} limit ${length})`;
  };
  return sql.join([source("notable"), ...candidateTasks(filter).map((kind) => source("task", kind))], sql` union all `);
}

/** One page's rows (and the last row that was looked at) of one place, as a subquery. */
function pageAt(place: Place, filter: NodeFilter, page: PageRequest, walk: number): RawBuilder<unknown> {
  const match = matching(filter);
  const length = lengthOf(filter, page, walk);
  const direction = sql.raw(page.backward ? "desc" : "asc");
  const { stretch, and } = stretchOf("n", "id", place);
  const order = stretchOrder(stretch, page.backward);
  if (filter.ids != null || match === null) {
    return sql`
      select ${nodeColumns}, true as hit, 0 as step from muster.node n
       where ${stretchWithin(stretch, page)} ${and} ${match === null ? sql`` : sql`and ${match}`} order by ${order} limit ${page.limit + 1}`;
  }
  if (unusualOnly(filter)) {
    const home = "cluster" in place ? sql`n.cluster_id = ${place.cluster}` : sql`n.cluster_id is null and n.project_id = ${place.orphansOf}`;
    return sql`
      select ${nodeColumns}, (${match} and ${home}) as hit, k.step from (
        select m.node_id, row_number() over (order by m.node_id ${direction})::int as step from (${candidates(place, filter, page, length)}) m
         order by m.node_id ${direction} limit ${length}) k
       cross join lateral (select * from muster.node n where n.id = k.node_id limit 1) n
       where (${match} and ${home}) or k.step = ${length} order by k.node_id ${direction} limit ${page.limit + 2}`;
  }
  return sql`
    select w.* from (
      select n.*, ${match} as hit from (
        select ${nodeColumns}, row_number() over (order by ${order})::int as step from muster.node n
         where ${stretchWithin(stretch, page)} ${and} order by ${order} limit ${length}) n
    ) w where w.hit or w.step = ${length} order by ${stretchOrder(stretchOf("w", "id", place).stretch, page.backward)} limit ${page.limit + 2}`;
}

/** A page from what a walk found. */
function pageOfWalk(rows: readonly Walked[], page: PageRequest, walk: number): Page<NodeRow> {
  const found = pageOf(
    rows
      .filter((row) => row.hit)
      .slice(0, page.limit + 1)
      .map(toNode),
    page,
  );
  const last = rows.at(-1);
  const full = page.backward ? found.hasPrevious : found.hasNext;
  if (full || last?.step !== walk) return found;
  const stoppedAt = { id: last.id };
  return page.backward ? { ...found, hasPrevious: true, stoppedAt } : { ...found, hasNext: true, stoppedAt };
}

/** The same page of the members of each of many clusters, in one statement. Another project's clusters have none. */
export async function listNodesOfClusters(
  db: Database,
  projectId: ProjectId,
  clusterIds: readonly ClusterId[],
  filter: NodeFilter,
  page: PageRequest,
): Promise<Map<ClusterId, Page<NodeRow>>> {
  const nothing: Page<NodeRow> = { rows: [], hasNext: false, hasPrevious: false };
  const asked = clusterIds.filter((id) => filter.orphan !== true && (filter.clusters == null || filter.clusters.includes(id)));
  const walk = Math.max(page.limit + 1, Math.floor(walkLimit / Math.max(1, asked.length)));
  const { rows } =
    asked.length === 0
      ? { rows: [] }
      : await sql<Walked>`
        /* node.list_of_clusters */
        select l.* from unnest(${asked}::uuid[]) as a(id)
          join muster.cluster c on c.id = a.id and c.project_id = ${projectId}
         cross join lateral (${pageAt({ cluster: sql.ref("c.id") }, filter, page, walk)}) l`.execute(db);
  const grouped = new Map<ClusterId, Walked[]>(asked.map((id) => [id, []]));
  for (const row of rows) if (row.cluster_id !== null) grouped.get(row.cluster_id)?.push(row);
  return new Map(
    clusterIds.map((id) => {
      const own = grouped.get(id);
      return [id, own === undefined ? nothing : pageOfWalk(own, page, lengthOf(filter, page, walk))];
    }),
  );
}

/** A page of a project's nodes, by id. */
export async function listNodes(db: Database, projectId: ProjectId, filter: NodeFilter, page: PageRequest): Promise<Page<NodeRow>> {
  if (filter.orphan === true && filter.clusters != null) return { rows: [], hasNext: false, hasPrevious: false };
  if (filter.orphan === true) return listAt(db, { orphansOf: projectId }, filter, page);
  const [only, ...others] = filter.clusters ?? [];
  if (only !== undefined && others.length === 0) {
    const pages = await listNodesOfClusters(db, projectId, [only], filter, page);
    return pages.get(only) ?? { rows: [], hasNext: false, hasPrevious: false };
  }
  const clusters = await sql<{ id: ClusterId }>`
    /* cluster.ids */
    select id from muster.cluster where project_id = ${projectId}
       ${filter.clusters == null ? sql`` : sql`and id = any(${filter.clusters}::uuid[])`} limit ${mergeLimit + 1}`.execute(db);
  const ids = clusters.rows.map((row) => row.id);
  const orphans = filter.orphan !== false && filter.clusters == null;
  const bounded = filter.ids != null || (unusualOnly(filter) && candidatesAreExact(filter)) || matching(filter) === null;
  return bounded && ids.length <= mergeLimit
    ? listMerged(db, projectId, ids, orphans, filter, page)
    : listByWalk(db, projectId, orphans, filter, page);
}

async function listAt(db: Database, place: Place, filter: NodeFilter, page: PageRequest): Promise<Page<NodeRow>> {
  const { rows } = await sql<Walked>`/* node.list_orphans */ ${pageAt(place, filter, page, walkLimit)}`.execute(db);
  return pageOfWalk(rows, page, lengthOf(filter, page, walkLimit));
}

/** Exact: the first rows of each cluster, merged. */
async function listMerged(
  db: Database,
  projectId: ProjectId,
  clusterIds: readonly ClusterId[],
  orphans: boolean,
  filter: NodeFilter,
  page: PageRequest,
): Promise<Page<NodeRow>> {
  const alone = orphans ? sql`union all (${pageAt({ orphansOf: projectId }, filter, page, walkLimit)})` : sql``;
  const { rows } = await sql<Walked>`
    /* node.list_merged */
    select n.* from (
      select l.* from unnest(${clusterIds}::uuid[]) as a(id) cross join lateral (${pageAt({ cluster: sql.ref("a.id") }, filter, page, walkLimit)}) l
      ${alone}
    ) n where n.hit ${ordered(byId, page)}`.execute(db);
  return pageOf(rows.map(toNode), page);
}

/** Bounded: the next rows of the whole table, those that match kept. */
async function listByWalk(db: Database, projectId: ProjectId, orphans: boolean, filter: NodeFilter, page: PageRequest): Promise<Page<NodeRow>> {
  const direction = sql.raw(page.backward ? "desc" : "asc");
  const match = sql.join(
    [
      sql`n.project_id = ${projectId}`,
      ...(orphans ? [] : [sql`n.cluster_id is not null`]),
      ...(filter.clusters == null ? [] : [sql`n.cluster_id = any(${filter.clusters}::uuid[])`]),
      ...[matching(filter)].filter((part) => part !== null),
    ],
    sql` and `,
  );
  const { rows } = await sql<Walked>`
    /* node.walk */
    select w.* from (
      select n.*, coalesce(${match}, false) as hit from (
        select ${nodeColumns}, row_number() over (order by n.id ${direction})::int as step from muster.node n
         where true ${within(byId, page)} order by n.id ${direction} limit ${walkLimit}) n
    ) w where w.hit or w.step = ${walkLimit} order by w.id ${direction} limit ${page.limit + 2}`.execute(db);
  return pageOfWalk(rows, page, walkLimit);
}
