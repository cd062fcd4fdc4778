/**
 * API tokens: how a secret is made and recognised, and their rows. A secret is `muster_`, 32 random characters of base 62 (190 bits)
 * and 6 of checksum, so that a mistyped or truncated one is told apart from an unknown one without asking the database, and leaked
 * ones can be found by scanners. Only its SHA-256 is stored: so many random bits need no slow hash.
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { sql } from "kysely";
import type { ProjectId, TokenId } from "../core/ids.ts";
import { type Principal, type Role, roleCodec } from "../core/principal.ts";
import type { Entropy } from "../core/runtime.ts";
import type { Database } from "./database.ts";
import { type Page, type PageRequest, pageOf, type Stretch, stretchOrder, stretchWithin } from "./page.ts";

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const randomLength = 32;
const checksumLength = 6;
const pattern = /^muster_[0-9A-Za-z]{38}$/;

/** A new secret. Shown once, never stored, never logged. */
export function mintTokenSecret(entropy: Entropy): string {
  let random = "";
  while (random.length < randomLength) {
    for (const byte of entropy.bytes(48)) {
      // 248 = 4 × 62: bytes above it would make some characters likelier.
      if (byte < 248 && random.length < randomLength) random += alphabet[byte % 62];
    }
  }
  return `muster_${random}${checksum(random)}`;
}

/** True for text that has the form and the checksum of a secret; says nothing about whether it is known. */
export function checkTokenSecret(text: string): boolean {
  if (!pattern.test(text)) return false;
  const body = text.slice("muster_".length);
  return checksum(body.slice(0, randomLength)) === body.slice(randomLength);
}

function checksum(random: string): string {
  let rest = crc32(random);
  let text = "";
  for (let i = 0; i < checksumLength; i++) {
    text = (alphabet[rest % 62] ?? "") + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/** What is stored of a secret. */
export function hashTokenSecret(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}

/** Who a secret's hash stands for, by PostgreSQL's clock. */
export async function findTokenByHash(db: Database, hash: Buffer): Promise<Principal | "expired" | "revoked" | null> {
  const { rows } = await sql<{
    id: TokenId;
    name: string;
    project_id: ProjectId;
    role: number;
    expires_at: Date | null;
    revoked: boolean;
    expired: boolean;
  }>`
    /* token.find_by_hash */
    select id, name, project_id, role, expires_at, revoked_at is not null as revoked,
           coalesce(expires_at <= clock_timestamp(), false) as expired
      from muster.token where hash = ${hash}`.execute(db);
  const [row] = rows;
  if (row === undefined) return null;
  if (row.revoked) return "revoked";
  if (row.expired) return "expired";
  return {
    tokenId: row.id,
    tokenName: row.name,
    projectId: row.project_id,
    role: roleCodec.name(row.role),
    expiresAtMs: row.expires_at?.getTime() ?? null,
  };
}

/** Notes that tokens were used; the caller gathers them and calls this now and then. Skips those noted within the last 10 s. */
export async function touchTokens(db: Database, ids: readonly TokenId[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`
    /* token.touch */
    update muster.token set last_used_at = clock_timestamp()
     where id = any(${ids}::uuid[]) and (last_used_at is null or last_used_at < clock_timestamp() - interval '10 seconds')`.execute(db);
}

/** A token as it is shown: nothing of its secret. */
export interface TokenRow {
  readonly id: TokenId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

interface Stored {
  readonly id: TokenId;
  readonly project_id: ProjectId;
  readonly name: string;
  readonly role: number;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly last_used_at: Date | null;
  readonly revoked_at: Date | null;
}

const columns = sql.raw("t.id, t.project_id, t.name, t.role, t.created_at, t.expires_at, t.last_used_at, t.revoked_at");

function toToken(row: Stored): TokenRow {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    role: roleCodec.name(row.role),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
  };
}

/** Tokens by id, in any order. `projectId` null: of all projects (OPERATOR). */
export async function getTokensByIds(db: Database, projectId: ProjectId | null, ids: readonly TokenId[]): Promise<TokenRow[]> {
  const { rows } = await sql<Stored>`
    /* token.get */
    select ${columns} from muster.token t
     where t.id = any(${ids}::uuid[]) and (${projectId}::uuid is null or t.project_id = ${projectId})`.execute(db);
  return rows.map(toToken);
}

/** The token that holds a name: of those with it, the one that is not revoked. */
export async function findTokenByName(db: Database, projectId: ProjectId, name: string): Promise<TokenRow | null> {
  const { rows } = await sql<Stored>`
    /* token.find */
    select ${columns} from muster.token t where t.project_id = ${projectId} and t.name = ${name} and t.revoked_at is null`.execute(db);
  const [row] = rows;
  return row === undefined ? null : toToken(row);
}

const stretchOf = (projectId: ProjectId): Stretch => ({
  parents: [{ column: sql.ref("t.project_id"), value: sql`${projectId}::uuid` }],
  id: sql.ref("t.id"),
});

/** The tokens of a project, revoked ones as well. */
export async function listTokens(db: Database, projectId: ProjectId, page: PageRequest): Promise<Page<TokenRow>> {
  const { rows } = await sql<Stored>`
    /* token.list */
    select ${columns} from muster.token t where ${stretchWithin(stretchOf(projectId), page)}
     order by ${stretchOrder(stretchOf(projectId), page.backward)} limit ${page.limit + 1}`.execute(db);
  return pageOf(rows.map(toToken), page);
}

export interface NewToken {
  readonly id: TokenId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly role: Role;
  readonly hash: Buffer;
  readonly expiresAt: Date | null;
  readonly now: Date;
}

export async function insertToken(db: Database, token: NewToken): Promise<void> {
  await sql`
    /* token.insert */
    insert into muster.token (id, project_id, name, role, hash, created_at, expires_at)
    values (${token.id}, ${token.projectId}, ${token.name}, ${roleCodec.code(token.role)}, ${token.hash}, ${token.now}, ${token.expiresAt})`.execute(
    db,
  );
}

/** False: it was revoked before. */
export async function revokeTokenRow(db: Database, id: TokenId, now: Date): Promise<boolean> {
  const { numAffectedRows } = await sql`
    /* token.revoke */
    update muster.token set revoked_at = ${now} where id = ${id} and revoked_at is null`.execute(db);
  return numAffectedRows === 1n;
}
