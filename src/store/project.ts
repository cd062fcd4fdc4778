/**
 * Projects: their rows, the lock under which their quotas are counted, and what of these is used. The lock is advisory: shared for
 * requests that may pass side by side, exclusive near a limit and for deleting the project; so the row itself is never waited for.
 */
import { sql } from "kysely";
import type { ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { QuotaUse } from "../core/quota.ts";
import type { Database } from "./database.ts";
import { type Order, ordered, type Page, type PageRequest, pageOf, within } from "./page.ts";

export interface ProjectRow {
  readonly id: ProjectId;
  readonly name: string;
  /** What an OPERATOR set; `quotaOf` adds the defaults. */
  readonly quota: JsonObject;
  readonly createdAt: Date;
}

interface Stored {
  readonly id: ProjectId;
  readonly name: string;
  readonly quota: JsonObject;
  readonly created_at: Date;
}

function toProject(row: Stored): ProjectRow {
  return { id: row.id, name: row.name, quota: row.quota, createdAt: row.created_at };
}

export type ProjectLock = "shared" | "exclusive";

/** The space of projects' locks (pg_advisory_lock's first key); the second is a hash of the id. */
const projectLockSpace = 0x70726f6a;

/** Locks a project until the transaction ends, and reads it. null: it is gone. */
export async function lockProject(db: Database, id: ProjectId, lock: ProjectLock): Promise<ProjectRow | null> {
  const take = sql.raw(lock === "shared" ? "pg_advisory_xact_lock_shared" : "pg_advisory_xact_lock");
  await sql`/* project.lock */ select ${take}(${projectLockSpace}, hashtext(${id}::text))`.execute(db);
  // A statement of its own: its snapshot must be newer than the lock.
  const [row] = await getProjectsByIds(db, [id]);
  return row ?? null;
}

/** Projects by id, in any order; unknown ids are left out. */
export async function getProjectsByIds(db: Database, ids: readonly ProjectId[]): Promise<ProjectRow[]> {
  const { rows } = await sql<Stored>`
    /* project.get */
    select id, name, quota, created_at from muster.project where id = any(${ids}::uuid[])`.execute(db);
  return rows.map(toProject);
}

export async function findProjectByName(db: Database, name: string): Promise<ProjectRow | null> {
  const { rows } = await sql<Stored>`
    /* project.find */
    select id, name, quota, created_at from muster.project where name = ${name}`.execute(db);
  const [row] = rows;
  return row === undefined ? null : toProject(row);
}

const byId: Order = { by: null, id: sql.ref("p.id"), descending: false };

export async function listProjects(db: Database, page: PageRequest): Promise<Page<ProjectRow>> {
  const { rows } = await sql<Stored>`
    /* project.list */
    select p.id, p.name, p.quota, p.created_at from muster.project p where true ${within(byId, page)} ${ordered(byId, page)}`.execute(db);
  return pageOf(rows.map(toProject), page);
}

export async function insertProject(db: Database, project: { readonly id: ProjectId; readonly name: string; readonly now: Date }): Promise<void> {
  await sql`
    /* project.insert */
    insert into muster.project (id, name, quota, created_at, updated_at)
    values (${project.id}, ${project.name}, '{}', ${project.now}, ${project.now})`.execute(db);
}

export async function updateProjectRow(
  db: Database,
  change: { readonly id: ProjectId; readonly name: string; readonly quota: JsonObject; readonly now: Date },
): Promise<void> {
  await sql`
    /* project.update */
    update muster.project set name = ${change.name}, quota = ${JSON.stringify(change.quota)}::jsonb, updated_at = ${change.now}
     where id = ${change.id}`.execute(db);
}

/** Removes an empty project with its tokens, remembered keys and what it used. Its history stays in the ledger. */
export async function deleteProjectRow(db: Database, id: ProjectId): Promise<void> {
  await sql`
    /* project.delete_tokens */
    with tokens as (delete from muster.token where project_id = ${id}),
         keys as (delete from muster.idempotency_key where project_id = ${id}),
         use as (delete from muster.project_use where project_id = ${id})
    select 1`.execute(db);
  await sql`/* project.delete */ delete from muster.project where id = ${id}`.execute(db);
}

/**
 * What of its quotas each project uses. Clusters that are being deleted want no members any more.
 * @param counted what is counted one by one, and how far, which is enough to know that a limit is passed; else all, to the end
 */
export async function quotaUseOf(
  db: Database,
  projectIds: readonly ProjectId[],
  counted: { readonly profiles: number | null; readonly tokens: number | null } = { profiles: null, tokens: null },
): Promise<Map<ProjectId, QuotaUse>> {
  const { rows } = await sql<{ id: ProjectId; clusters: number; nodes: number; profiles: number; tokens: number }>`
    /* project.use */
    select p.id, u.clusters, u.nodes, r.profiles, t.tokens
      from unnest(${projectIds}::uuid[]) as p(id)
      cross join lateral (select coalesce(sum(clusters), 0)::float8 as clusters, coalesce(sum(wanted + lone), 0)::float8 as nodes
                            from muster.project_use where project_id = p.id) u
      cross join lateral (select count(*)::int as profiles
                            from (select from muster.profile where project_id = p.id limit ${counted.profiles}::bigint) made) r
      cross join lateral (select count(*)::int as tokens
                            from (select from muster.token where project_id = p.id and revoked_at is null limit ${counted.tokens}::bigint) good) t`.execute(
    db,
  );
  return new Map(rows.map(({ id, ...use }) => [id, use]));
}

/** What a project still holds that keeps it from being deleted; null: nothing. */
export async function findProjectUser(db: Database, id: ProjectId): Promise<"cluster" | "node" | "profile" | null> {
  const { rows } = await sql<{ type: "cluster" | "node" | "profile" }>`
    /* project.user */
    (select 'cluster' as type from muster.cluster where project_id = ${id} limit 1)
    union all (select 'node' from muster.node where project_id = ${id} and cluster_id is null limit 1)
    union all (select 'profile' from muster.profile where project_id = ${id} limit 1)`.execute(db);
  return rows[0]?.type ?? null;
}
