/** Which of the tokens that hold a connection open may keep it. */
import { sql } from "kysely";
import type { TokenId } from "../core/ids.ts";
import type { Database } from "./database.ts";

/** Those of the tokens that exist, are not revoked and have not expired, by PostgreSQL's clock. */
export async function findUsableTokens(db: Database, ids: readonly TokenId[]): Promise<ReadonlySet<TokenId>> {
  const { rows } = await sql<{ id: TokenId }>`
    /* token.find_usable */
    select id from muster.token
     where id = any(${ids}::uuid[]) and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())`.execute(db);
  return new Set(rows.map((row) => row.id));
}
