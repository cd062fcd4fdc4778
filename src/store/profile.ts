/**
 * Profiles: one row per revision, immutable but for name and metadata. What is read here for people is masked; the sealed spec is
 * read apart, by who hands it to a driver.
 */
import { sql } from "kysely";
import type { ProfileId, ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Database } from "./database.ts";
import { type Page, type PageRequest, pageOf, type Stretch, stretchOrder, stretchWithin } from "./page.ts";
import { maskSpec } from "./vault.ts";

export interface ProfileRow {
  readonly id: ProfileId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly revision: number;
  readonly type: string;
  /** `writeOnly` values as `{"$secret": "hmac:…"}`. */
  readonly spec: JsonObject;
  readonly metadata: JsonObject;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface Stored {
  readonly id: ProfileId;
  readonly project_id: ProjectId;
  readonly name: string;
  readonly revision: number;
  readonly type: string;
  readonly spec: JsonObject;
  readonly metadata: JsonObject;
  readonly created_at: Date;
  readonly updated_at: Date;
}

const columns = sql.raw("p.id, p.project_id, p.name, p.revision, p.type, p.spec, p.metadata, p.created_at, p.updated_at");

function toProfile(row: Stored): ProfileRow {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    revision: row.revision,
    type: row.type,
    spec: maskSpec(row.spec),
    metadata: row.metadata,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Profiles by id, in any order; foreign and unknown ids are left out. */
export async function getProfilesByIds(db: Database, projectId: ProjectId, ids: readonly ProfileId[]): Promise<ProfileRow[]> {
  const { rows } = await sql<Stored>`
    /* profile.get */
    select ${columns} from muster.profile p where p.id = any(${ids}::uuid[]) and p.project_id = ${projectId}`.execute(db);
  return rows.map(toProfile);
}

/** The newest revision of a name. */
export async function findProfileByName(db: Database, projectId: ProjectId, name: string): Promise<ProfileRow | null> {
  const { rows } = await sql<Stored>`
    /* profile.find */
    select ${columns} from muster.profile p where p.project_id = ${projectId} and p.name = ${name}
     order by p.revision desc limit 1`.execute(db);
  const [row] = rows;
  return row === undefined ? null : toProfile(row);
}

export interface ProfileFilter {
  readonly nameContains?: string | null | undefined;
  readonly types?: readonly string[] | null | undefined;
  readonly allRevisions?: boolean | null | undefined;
}

const stretchOf = (projectId: ProjectId): Stretch => ({
  parents: [{ column: sql.ref("p.project_id"), value: sql`${projectId}::uuid` }],
  id: sql.ref("p.id"),
});

export async function listProfiles(db: Database, projectId: ProjectId, filter: ProfileFilter, page: PageRequest): Promise<Page<ProfileRow>> {
  const newest =
    filter.allRevisions === true
      ? sql``
      : sql`and not exists (select 1 from muster.profile q where q.project_id = p.project_id and q.name = p.name and q.revision > p.revision)`;
  const named = filter.nameContains == null ? sql`` : sql`and strpos(lower(p.name), lower(${filter.nameContains})) > 0`;
  const typed = filter.types == null ? sql`` : sql`and p.type = any(${filter.types}::text[])`;
  const { rows } = await sql<Stored>`
    /* profile.list */
    select ${columns} from muster.profile p
     where ${stretchWithin(stretchOf(projectId), page)} ${newest} ${named} ${typed}
     order by ${stretchOrder(stretchOf(projectId), page.backward)} limit ${page.limit + 1}`.execute(db);
  return pageOf(rows.map(toProfile), page);
}

/** A profile for use: its spec is sealed, not masked. */
export interface SealedProfile extends Omit<ProfileRow, "spec"> {
  readonly sealedSpec: JsonObject;
}

export type ProfileKey = { readonly id: ProfileId } | { readonly name: string };

/**
 * Finds a profile (by name: the newest revision) and locks its row.
 * @param lock `share`: it cannot be deleted meanwhile. `change`: nobody else changes or deletes it.
 */
export async function lockProfile(db: Database, projectId: ProjectId, key: ProfileKey, lock: "share" | "change"): Promise<SealedProfile | null> {
  const found =
    "id" in key
      ? sql`p.id = ${key.id}`
      : sql`p.id = (select id from muster.profile where project_id = ${projectId} and name = ${key.name} order by revision desc limit 1)`;
  const { rows } = await sql<Stored>`
    /* profile.lock */
    select ${columns} from muster.profile p
     where p.project_id = ${projectId} and ${found} for ${sql.raw(lock === "share" ? "key share" : "update")}`.execute(db);
  const [row] = rows;
  if (row === undefined) return null;
  const { spec: _, ...profile } = toProfile(row);
  return { ...profile, sealedSpec: row.spec };
}

/** The space of locks on profiles' names (pg_advisory_lock's first key); the second is a hash of project and name. */
const nameLockSpace = 0x70726f66;

/** One at a time makes, revises or renames profiles of these names; what is read afterwards stays so until the transaction ends. */
export async function lockProfileNames(db: Database, projectId: ProjectId, names: readonly string[]): Promise<void> {
  await sql`
    /* profile.lock_names */
    select pg_advisory_xact_lock(${nameLockSpace}, hashtext(${projectId}::text || name)) from unnest(${[...names].sort()}::text[]) as n(name)`.execute(
    db,
  );
}

export async function newestRevision(db: Database, projectId: ProjectId, name: string): Promise<number> {
  const { rows } = await sql<{ newest: number | null }>`
    /* profile.newest */
    select max(revision) as newest from muster.profile where project_id = ${projectId} and name = ${name}`.execute(db);
  return rows[0]?.newest ?? 0;
}

export interface NewProfile {
  readonly id: ProfileId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly revision: number;
  readonly type: string;
  readonly sealedSpec: JsonObject;
  readonly metadata: JsonObject;
  readonly now: Date;
}

export async function insertProfile(db: Database, profile: NewProfile): Promise<void> {
  await sql`
    /* profile.insert */
    insert into muster.profile (id, project_id, name, revision, type, spec, metadata, created_at, updated_at)
    values (${profile.id}, ${profile.projectId}, ${profile.name}, ${profile.revision}, ${profile.type}, ${JSON.stringify(profile.sealedSpec)}::jsonb,
            ${JSON.stringify(profile.metadata)}::jsonb, ${profile.now}, ${profile.now})`.execute(db);
}

/** Gives all revisions of a name another one. */
export async function renameProfile(db: Database, projectId: ProjectId, from: string, to: string, now: Date): Promise<void> {
  await sql`
    /* profile.rename */
    update muster.profile set name = ${to}, updated_at = ${now} where project_id = ${projectId} and name = ${from}`.execute(db);
}

export async function setProfileMetadata(db: Database, id: ProfileId, metadata: JsonObject, now: Date): Promise<void> {
  await sql`
    /* profile.describe */
    update muster.profile set metadata = ${JSON.stringify(metadata)}::jsonb, updated_at = ${now} where id = ${id}`.execute(db);
}

/**
 * Keeps profiles from being deleted until the transaction ends, for members that are to be made from them. Returns those that are still there.
 * Whoever deletes one waits for nobody else while it holds the row, so this may be asked for at any point of a transaction.
 */
export async function holdProfiles(db: Database, ids: readonly ProfileId[]): Promise<Set<ProfileId>> {
  if (ids.length === 0) return new Set();
  const { rows } = await sql<{ id: ProfileId }>`
    /* profile.hold */ select id from muster.profile where id = any(${[...ids].sort()}::uuid[]) order by id for key share`.execute(db);
  return new Set(rows.map((row) => row.id));
}

/** Who still uses a profile revision: a cluster (also one that would go back to it, were its roll-out cancelled), a node, or a forgotten member that may come back; null: nobody. */
export async function findProfileUser(
  db: Database,
  id: ProfileId,
): Promise<{ readonly type: "cluster" | "node" | "tombstone"; readonly id: string } | null> {
  const { rows } = await sql<{ type: "cluster" | "node" | "tombstone"; id: string }>`
    /* profile.user */
    (select 'cluster' as type, id from muster.cluster where profile_id = ${id} limit 1)
    union all (select 'cluster', c.id from muster.cluster c join muster.action a on a.id = c.profile_action_id
                where c.former_profile_id = ${id} and a.finished_at is null limit 1)
    union all (select 'node', id from muster.node where profile_id = ${id} limit 1)
    union all (select 'tombstone', node_id from muster.tombstone where profile_id = ${id} limit 1)`.execute(db);
  return rows[0] ?? null;
}

export async function deleteProfileRow(db: Database, id: ProfileId): Promise<void> {
  await sql`/* profile.delete */ delete from muster.profile where id = ${id}`.execute(db);
}
