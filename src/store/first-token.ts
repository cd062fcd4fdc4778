/** What first tokens need of the database: a lock that one process holds, and a look at what is there already. */
import { sql } from "kysely";
import { brandId, type ProjectId, type TokenId } from "../core/ids.ts";
import { roleCodec } from "../core/principal.ts";
import type { Database } from "./database.ts";
import { firstTokenLock, singletonSpace } from "./ledger.ts";

/** One process at a time, until its transaction ends. */
export async function lockFirstToken(db: Database): Promise<void> {
  await sql`/* token.first_lock */ select pg_advisory_xact_lock(${singletonSpace}::int4, ${firstTokenLock}::int4)`.execute(db);
}

/** The project that first tokens belong to: `default`, or the oldest. */
export async function findFirstProject(db: Database): Promise<ProjectId> {
  const { rows } = await sql<{ id: string }>`
    /* project.first */
    select coalesce((select id from muster.project where name = 'default'), (select id from muster.project order by id limit 1)) as id
     where exists (select from muster.project)`.execute(db);
  const [project] = rows;
  if (project === undefined) throw new Error("there is no project");
  return brandId("project", project.id);
}

/** Whether a token with this secret is there, revoked or not. */
export async function findTokenByHash(db: Database, hash: Buffer): Promise<"there" | "revoked" | null> {
  const { rows } = await sql<{ revoked: boolean }>`
    /* token.configured */ select revoked_at is not null as revoked from muster.token where hash = ${hash}`.execute(db);
  const [known] = rows;
  return known === undefined ? null : known.revoked ? "revoked" : "there";
}

/** Whether any token of the role OPERATOR works. */
export async function isOperatorThere(db: Database): Promise<boolean> {
  const { rows } = await sql<{ there: boolean }>`
    /* token.any_operator */
    select exists (select from muster.token where role = ${roleCodec.code("OPERATOR")} and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())) as there`.execute(
    db,
  );
  return rows[0]?.there === true;
}

/** Tokens of that name that are not revoked. */
export async function listTokensNamed(db: Database, projectId: ProjectId, name: string): Promise<TokenId[]> {
  const { rows } = await sql<{ id: TokenId }>`
    /* token.named */ select id from muster.token where project_id = ${projectId} and name = ${name} and revoked_at is null`.execute(db);
  return rows.map((row) => row.id);
}
