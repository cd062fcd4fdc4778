/**
 * Actions as people read them. The progress of an unfinished one is not stored: it is where the cluster's running totals stand
 * beside its goal, summed in the same statement.
 */
import { type RawBuilder, sql } from "kysely";
import {
  type ActionCause,
  type ActionKind,
  type ActionStatus,
  actionCauseCodec,
  actionCounterCodec,
  actionKindCodec,
  actionProgress,
  actionStatusCodec,
  isFinished,
} from "../core/action.ts";
import type { ActionId, ClusterId, NodeId, ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Database } from "./database.ts";
import { mergePages, type Order, ordered, type Page, type PageRequest, pageOf, type Stretch, stretchOrder, stretchWithin, within } from "./page.ts";

export interface ActionRow {
  readonly id: ActionId;
  readonly projectId: ProjectId;
  readonly kind: ActionKind;
  readonly status: ActionStatus;
  readonly statusReason: string | null;
  readonly cause: ActionCause;
  readonly initiator: string | null;
  readonly clusterId: ClusterId | null;
  readonly nodeId: NodeId | null;
  readonly subjectName: string | null;
  readonly generation: number | null;
  readonly inputs: JsonObject;
  readonly outputs: JsonObject | null;
  readonly progress: { readonly total: number; readonly done: number; readonly failed: number };
  /** The next one of its chain. */
  readonly supersededBy: ActionId | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

interface Stored {
  readonly id: ActionId;
  readonly project_id: ProjectId;
  readonly kind: number;
  readonly status: number;
  readonly status_reason: string | null;
  readonly cause: number;
  readonly initiator: string | null;
  readonly cluster_id: ClusterId | null;
  readonly node_id: NodeId | null;
  readonly subject_name: string | null;
  readonly generation: number | null;
  readonly inputs: JsonObject;
  readonly outputs: JsonObject | null;
  readonly counter: number | null;
  readonly total: number;
  readonly goal: bigint;
  readonly failed_base: bigint;
  readonly done: number;
  readonly failed: number;
  readonly superseded_by: ActionId | null;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
  readonly reached: number | null;
  readonly failed_total: number | null;
}

const columns =
  sql.raw(`a.id, a.project_id, a.kind, a.status, a.status_reason, a.cause, a.initiator, a.cluster_id, a.node_id, a.subject_name, a.generation,
  a.inputs, a.outputs, a.counter, a.total, a.goal, a.failed_base, a.done, a.failed, a.superseded_by, a.created_at, a.started_at, a.finished_at`);

/** Beside `columns`: where the running totals stand that an unfinished action counts by. */
const reached = sql.raw("t.reached, t.failed_total");
const totals = sql.raw(`
  left join lateral (
    select coalesce(sum(case a.counter when ${actionCounterCodec.code("CREATED")} then c.created_total when ${actionCounterCodec.code("DELETED")} then c.deleted_total
                                       when ${actionCounterCodec.code("RECOVERED")} then c.recovered_total when ${actionCounterCodec.code("UPDATED")} then c.updated_total
                                       else c.checked_total end), 0)::float8 as reached,
           coalesce(sum(case a.counter when ${actionCounterCodec.code("UPDATED")} then c.update_failed_total else c.failed_total end), 0)::float8 as failed_total
      from muster.cluster_count c where c.cluster_id = a.cluster_id
  ) t on a.finished_at is null and a.counter is not null`);

function toAction(row: Stored): ActionRow {
  return {
    id: row.id,
    projectId: row.project_id,
    kind: actionKindCodec.name(row.kind),
    status: actionStatusCodec.name(row.status),
    statusReason: row.status_reason,
    cause: actionCauseCodec.name(row.cause),
    initiator: row.initiator,
    clusterId: row.cluster_id,
    nodeId: row.node_id,
    subjectName: row.subject_name,
    generation: row.generation,
    inputs: row.inputs,
    outputs: row.outputs,
    progress: { total: row.total, ...progressOf(row) },
    supersededBy: row.superseded_by,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

function progressOf(row: Stored): { readonly done: number; readonly failed: number } {
  if (row.reached === null || row.failed_total === null) return { done: row.done, failed: row.failed };
  const { total, reached: now, failed_total: failedTotal } = row;
  return actionProgress({ total, goal: Number(row.goal), reached: now, failedBase: Number(row.failed_base), failedTotal });
}

/** Actions by id, in any order; foreign and unknown ids are left out. */
export async function getActionsByIds(db: Database, projectId: ProjectId, ids: readonly ActionId[]): Promise<ActionRow[]> {
  const { rows } = await sql<Stored>`
    /* action.get */
    select ${columns}, ${reached} from muster.action a ${totals} where a.id = any(${ids}::uuid[]) and a.project_id = ${projectId}`.execute(db);
  return rows.map(toAction);
}

export interface ActionFilter {
  readonly kinds?: readonly ActionKind[] | null | undefined;
  readonly status?: readonly ActionStatus[] | null | undefined;
  readonly causes?: readonly ActionCause[] | null | undefined;
  readonly clusters?: readonly ClusterId[] | null | undefined;
  readonly nodes?: readonly NodeId[] | null | undefined;
  readonly finished?: boolean | null | undefined;
}

const byId: Order = { by: null, id: sql.ref("a.id"), descending: false };

/** Rows one walk may read: a few tens of milliseconds. */
const walkLimit = 10_000;

/** What must hold of an action by itself. */
function matching(filter: ActionFilter): RawBuilder<unknown> | null {
  const { kinds, status, causes, clusters, nodes, finished } = filter;
  const parts: RawBuilder<unknown>[] = [];
  if (kinds != null) parts.push(sql`a.kind = any(${kinds.map(actionKindCodec.code)}::smallint[])`);
  if (status != null) parts.push(sql`a.status = any(${status.map(actionStatusCodec.code)}::smallint[])`);
  if (causes != null) parts.push(sql`a.cause = any(${causes.map(actionCauseCodec.code)}::smallint[])`);
  if (clusters != null) parts.push(sql`a.cluster_id = any(${clusters}::uuid[])`);
  if (nodes != null) parts.push(sql`a.node_id = any(${nodes}::uuid[])`);
  if (finished === true) parts.push(sql`a.finished_at is not null`);
  return parts.length === 0 ? null : sql.join(parts, sql` and `);
}

/** Unfinished ones have an index of their own: they are found without a walk past the finished. */
function openOnly(filter: ActionFilter): boolean {
  return filter.finished === false || (filter.status != null && !filter.status.some(isFinished));
}

type Walked = Stored & { readonly hit: boolean | null; readonly step: number };

/** Whose actions: one parent's, by the column and index that name it. */
interface Place {
  readonly column: "project_id" | "cluster_id" | "node_id";
  readonly value: RawBuilder<unknown>;
  readonly projectId: ProjectId;
}

/** One page's rows (and the walk's last) of one place. */
function pageAt(place: Place, filter: ActionFilter, page: PageRequest, walk: number): RawBuilder<unknown> {
  const open = openOnly(filter);
  const match = matching(filter);
  const stretch = (table: string): Stretch => ({
    parents: [{ column: sql.ref(`${table}.${place.column}`), value: place.value }],
    id: sql.ref(`${table}.id`),
  });
  const order = stretchOrder(stretch("a"), page.backward);
  const own = place.column === "project_id" ? sql`` : sql`and a.project_id = ${place.projectId}`;
  const range = sql`${stretchWithin(stretch("a"), page)} ${own}`;
  if (open) {
    // By the index of the unfinished: equality, for it has no project.
    const parent = sql`${sql.ref(`a.${place.column}`)} = ${place.value} ${own}`;
    return sql`
      select ${columns}, ${reached}, true as hit, 0 as step from muster.action a ${totals}
       where a.finished_at is null and ${parent} ${match === null ? sql`` : sql`and ${match}`} ${within(byId, page)} ${ordered(byId, page)}`;
  }
  if (match === null) {
    return sql`select ${columns}, ${reached}, true as hit, 0 as step from muster.action a ${totals} where ${range} order by ${order} limit ${page.limit + 1}`;
  }
  return sql`
    select ${columns}, ${reached}, a.hit, a.step from (
      select w.* from (
        select a.*, ${match} as hit from (
          select ${columns}, row_number() over (order by ${order})::int as step from muster.action a where ${range} order by ${order} limit ${walk}) a
      ) w where w.hit or w.step = ${walk} order by ${stretchOrder(stretch("w"), page.backward)} limit ${page.limit + 2}
    ) a ${totals} order by a.step`;
}

function pageOfWalk(rows: readonly Walked[], page: PageRequest, walk: number): Page<ActionRow> {
  const hits = rows.filter((row) => row.hit === true).slice(0, page.limit + 1);
  const found = pageOf(hits.map(toAction), page);
  const last = rows.at(-1);
  const full = page.backward ? found.hasPrevious : found.hasNext;
  if (full || last?.step !== walk) return found;
  const stoppedAt = { id: last.id };
  return page.backward ? { ...found, hasPrevious: true, stoppedAt } : { ...found, hasNext: true, stoppedAt };
}

/** A page of a project's actions, by id: oldest first. */
export async function listActions(db: Database, projectId: ProjectId, filter: ActionFilter, page: PageRequest): Promise<Page<ActionRow>> {
  const { nodes, clusters, ...rest } = filter;
  if (nodes != null) return listTogether(db, projectId, "node", nodes, { ...rest, clusters }, page);
  if (clusters != null) return listTogether(db, projectId, "cluster", clusters, rest, page);
  const place: Place = { column: "project_id", value: sql`${projectId}::uuid`, projectId };
  const { rows } = await sql<Walked>`/* action.list */ ${pageAt(place, rest, page, walkLimit)}`.execute(db);
  return pageOfWalk(rows, page, walkLimit);
}

/** The same page of the actions of each of many clusters (on the whole and on members) or nodes, in one statement. */
export async function listActionsOf<Parent extends ClusterId | NodeId>(
  db: Database,
  projectId: ProjectId,
  subject: "cluster" | "node",
  parents: readonly Parent[],
  filter: ActionFilter,
  page: PageRequest,
): Promise<Map<Parent, Page<ActionRow>>> {
  const { walk, lists } = listsOf(projectId, subject, parents, filter, page);
  const { rows } = await sql<Walked & { readonly parent: Parent }>`/* action.list_of */ ${lists}`.execute(db);
  return pagesOf(parents, rows, page, walk);
}

/** The rows of each parent's page (and its walk's last), beside the parent. */
function listsOf(
  projectId: ProjectId,
  subject: "cluster" | "node",
  parents: readonly (ClusterId | NodeId)[],
  filter: ActionFilter,
  page: PageRequest,
): { readonly walk: number; readonly lists: RawBuilder<unknown> } {
  const walk = Math.max(page.limit + 1, Math.floor(walkLimit / Math.max(1, parents.length)));
  const place: Place = { column: subject === "cluster" ? "cluster_id" : "node_id", value: sql.ref("p.parent"), projectId };
  return {
    walk,
    lists: sql`select p.parent, l.* from unnest(${parents}::uuid[]) as p(parent) cross join lateral (${pageAt(place, filter, page, walk)}) l`,
  };
}

function pagesOf<Parent extends ClusterId | NodeId>(
  parents: readonly Parent[],
  rows: readonly (Walked & { readonly parent: Parent })[],
  page: PageRequest,
  walk: number,
): Map<Parent, Page<ActionRow>> {
  const grouped = new Map<Parent, (typeof rows)[number][]>(parents.map((parent) => [parent, []]));
  for (const row of rows) grouped.get(row.parent)?.push(row);
  return new Map([...grouped].map(([parent, own]) => [parent, pageOfWalk(own, page, walk)]));
}

/** A page of what many clusters or nodes have together: of all their pages no more than that one leaves the database. */
async function listTogether(
  db: Database,
  projectId: ProjectId,
  subject: "cluster" | "node",
  named: readonly (ClusterId | NodeId)[],
  filter: ActionFilter,
  page: PageRequest,
): Promise<Page<ActionRow>> {
  const parents = [...new Set(named)];
  const direction = sql.raw(page.backward ? "desc" : "asc");
  const { walk, lists } = listsOf(projectId, subject, parents, filter, page);
  const { rows } = await sql<Walked & { readonly parent: ClusterId | NodeId }>`
    /* action.list_together */
    select * from (select o.*, row_number() over (partition by o.hit is true order by o.id ${direction}) as place from (${lists}) o) o
     where o.hit is not true or o.place <= ${page.limit + 1} order by o.id ${direction}`.execute(db);
  return mergePages([...pagesOf(parents, rows, page, walk).values()], page);
}

/** Hops of a chain that are followed; a longer one ends at its facet's live action. */
const chainLimit = 256;

/**
 * The ends of chains of superseded actions. One statement for all: a chain that many actions stand in is followed once. Where
 * somebody supersedes faster than a chain can be followed, the cluster's facet names the live action.
 */
export async function liveActionsOf(db: Database, projectId: ProjectId, ids: readonly ActionId[]): Promise<Map<ActionId, ActionId>> {
  const { rows } = await sql<{ id: ActionId; next: ActionId | null; facet: ActionId | null }>`
    /* action.live */
    with recursive chain(id, next, cluster_id, kind, hops) as (
      select a.id, a.superseded_by, a.cluster_id, a.kind, 0 from muster.action a where a.id = any(${ids}::uuid[]) and a.project_id = ${projectId}
      union
      select a.id, a.superseded_by, a.cluster_id, a.kind, h.hops + 1 from chain h join muster.action a on a.id = h.next where h.hops < ${chainLimit}
    )
    select distinct on (h.id) h.id, h.next, coalesce(c.existence_action_id, case h.kind when ${actionKindCodec.code("CLUSTER_UPDATE")} then c.profile_action_id else c.size_action_id end) as facet
      from chain h left join muster.cluster c on c.id = h.cluster_id and h.hops = ${chainLimit} order by h.id, h.hops desc`.execute(db);
  const known = new Map(rows.map((row) => [row.id, row]));
  const ends = new Map<ActionId, ActionId>();
  for (const id of ids) {
    let at = known.get(id);
    const seen = new Set<ActionId>();
    while (at !== undefined && at.next !== null && !seen.has(at.id)) {
      seen.add(at.id);
      const next = known.get(at.next);
      if (next === undefined) {
        ends.set(id, at.facet ?? at.next);
        break;
      }
      at = next;
    }
    if (at !== undefined && !ends.has(id)) ends.set(id, at.id);
  }
  return ends;
}
