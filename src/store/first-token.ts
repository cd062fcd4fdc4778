/**
 * The first token of an installation, and tokens made straight on the database: without a principal, because whoever may do this
 * holds the database itself. Any number of processes may ask at once; one makes it.
 */
import { sql } from "kysely";
import { brandId, encodeId, type ProjectId, type TokenId } from "../core/ids.ts";
import { type Role, roleCodec } from "../core/principal.ts";
import type { Database } from "./database.ts";
import { firstTokenLock, singletonSpace } from "./ledger.ts";
import { hashTokenSecret, insertToken, revokeTokenRow } from "./token.ts";
import { type Store, type Tx, transaction } from "./transaction.ts";

/** The name of the token that the settings name. */
const configuredName = "admin";
const firstName = "first";

/** Makes sure that the token the settings name works; an earlier one of the settings' stops working. */
export async function ensureConfiguredToken(store: Store, secret: string): Promise<"made" | "there" | "revoked"> {
  return transaction(store, async (tx) => {
    const projectId = await enter(tx.db);
    const hash = hashTokenSecret(secret);
    const { rows } = await sql<{ revoked: boolean }>`
      /* token.configured */ select revoked_at is not null as revoked from muster.token where hash = ${hash}`.execute(tx.db);
    const [known] = rows;
    if (known !== undefined) return known.revoked ? "revoked" : "there";
    await revokeNamed(tx, projectId, configuredName);
    await addToken(store, tx, { projectId, name: configuredName, role: "OPERATOR", secret });
    return "made";
  });
}

/**
 * Where no token of the role OPERATOR lives, makes one. `keep` stores the secret for people before the transaction commits: a
 * token that nobody knows would lock everybody out.
 */
export async function ensureFirstToken(store: Store, secret: string, keep: () => void): Promise<"made" | "there"> {
  return transaction(store, async (tx) => {
    const projectId = await enter(tx.db);
    const { rows } = await sql<{ there: boolean }>`
      /* token.any_operator */
      select exists (select from muster.token where role = ${roleCodec.code("OPERATOR")} and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())) as there`.execute(
      tx.db,
    );
    if (rows[0]?.there === true) return "there";
    keep();
    await revokeNamed(tx, projectId, firstName);
    await addToken(store, tx, { projectId, name: firstName, role: "OPERATOR", secret });
    return "made";
  });
}

/** Makes a token on the database itself. False: there is no such project. */
export async function createLocalToken(
  store: Store,
  token: { readonly project: string; readonly name: string; readonly role: Role; readonly secret: string },
): Promise<boolean> {
  return transaction(store, async (tx) => {
    const { rows } = await sql<{ id: string }>`/* project.by_name */ select id from muster.project where name = ${token.project}`.execute(tx.db);
    const [project] = rows;
    if (project === undefined) return false;
    await addToken(store, tx, { ...token, projectId: brandId("project", project.id) });
    return true;
  });
}

/** One at a time; answers the project that first tokens belong to. */
async function enter(db: Database): Promise<ProjectId> {
  await sql`/* token.first_lock */ select pg_advisory_xact_lock(${singletonSpace}::int4, ${firstTokenLock}::int4)`.execute(db);
  const { rows } = await sql<{ id: string }>`
    /* project.first */
    select coalesce((select id from muster.project where name = 'default'), (select id from muster.project order by id limit 1)) as id
     where exists (select from muster.project)`.execute(db);
  const [project] = rows;
  if (project === undefined) throw new Error("there is no project");
  return brandId("project", project.id);
}

async function revokeNamed(tx: Tx, projectId: ProjectId, name: string): Promise<void> {
  const { rows } = await sql<{ id: TokenId }>`
    /* token.named */ select id from muster.token where project_id = ${projectId} and name = ${name} and revoked_at is null`.execute(tx.db);
  for (const { id } of rows) {
    await revokeTokenRow(tx.db, id, await tx.now());
    tx.events.push({ type: "token.revoked", projectId, data: { tokenId: encodeId("token", id), name } });
  }
}

async function addToken(
  store: Store,
  tx: Tx,
  token: { readonly projectId: ProjectId; readonly name: string; readonly role: Role; readonly secret: string },
): Promise<void> {
  const { projectId, name, role, secret } = token;
  const id = brandId("token", store.runtime.entropy.uuid());
  await insertToken(tx.db, { id, projectId, name, role, hash: hashTokenSecret(secret), expiresAt: null, now: await tx.now() });
  tx.events.push({ type: "token.created", projectId, data: { tokenId: encodeId("token", id), name, role } });
}
