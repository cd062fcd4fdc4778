/**
 * Idempotency keys: one row per project and key, the first thing a mutation writes, so that a second call with the same key waits
 * for the first one's end. It keeps an HMAC of the input, never the input, and the ids that the mutation answered with.
 */
import { sql } from "kysely";
import type { ProjectId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Database } from "./database.ts";

/** How long a key is remembered, hours. */
const keptHours = 24;

export interface KeyUse {
  readonly projectId: ProjectId;
  readonly key: string;
  readonly mutation: string;
  readonly inputHmac: Buffer;
  /** The same under every secret key that is known: a call from before they were changed is recognised. */
  readonly knownHmacs: readonly Buffer[];
}

/** The key is ours now, and this is the installation's secret check; or what was answered; or that the key stands for something else. */
export type KeyClaim = { readonly secretCheck: JsonObject | null } | { readonly payload: JsonObject } | "reused";

/** Takes the key, waiting (lock_timeout, 5 s) for a call that is using it. A key past its time is taken anew. */
export async function claimKey(db: Database, use: KeyUse): Promise<KeyClaim> {
  const taken = await sql<{ check: JsonObject | null }>`
    /* idempotency.claim */
    insert into muster.idempotency_key as k (project_id, key, mutation, input_hmac, payload, created_at)
    values (${use.projectId}, ${use.key}, ${use.mutation}, ${use.inputHmac}, '{}', clock_timestamp())
    on conflict (project_id, key) do update
       set mutation = excluded.mutation, input_hmac = excluded.input_hmac, payload = '{}', created_at = excluded.created_at
     where k.created_at < clock_timestamp() - make_interval(hours => ${keptHours})
    returning (select secret_check from muster.installation) as check`.execute(db);
  const [mine] = taken.rows;
  if (mine !== undefined) return { secretCheck: mine.check };
  const { rows } = await sql<{ mutation: string; input_hmac: Buffer; payload: JsonObject }>`
    /* idempotency.read */
    select mutation, input_hmac, payload from muster.idempotency_key
     where project_id = ${use.projectId} and key = ${use.key}`.execute(db);
  const [row] = rows;
  // It can only have been purged between the two statements: then it is free.
  if (row === undefined) return claimKey(db, use);
  return row.mutation === use.mutation && use.knownHmacs.some((hmac) => row.input_hmac.equals(hmac)) ? { payload: row.payload } : "reused";
}

/**
 * Takes keys that nobody has used, and their payloads with them: those that are ours now, and this is the installation's secret check. The others stand for something already, or are being
 * used just now and were waited for. No two are the same.
 */
export async function claimKeys(
  db: Database,
  uses: readonly (KeyUse & { readonly payload: JsonObject })[],
): Promise<{ readonly taken: ReadonlySet<string>; readonly secretCheck: JsonObject | null }> {
  const column = <T>(pick: (use: KeyUse & { readonly payload: JsonObject }) => T): T[] => uses.map(pick);
  // In one order, or two who take the same ones could wait for each other.
  const { rows } = await sql<{ key: string; check: JsonObject | null }>`
    /* idempotency.claim_many */
    insert into muster.idempotency_key (project_id, key, mutation, input_hmac, payload, created_at)
    select d.project_id, d.key, d.mutation, decode(d.hmac, 'hex'), d.payload, clock_timestamp()
      from unnest(${column((use) => use.projectId)}::uuid[], ${column((use) => use.key)}::text[], ${column((use) => use.mutation)}::text[],
                  ${column((use) => use.inputHmac.toString("hex"))}::text[], ${column((use) => JSON.stringify(use.payload))}::jsonb[])
        as d(project_id, key, mutation, hmac, payload)
     order by d.key collate "C"
    on conflict (project_id, key) do nothing
    returning key, (select secret_check from muster.installation) as check`.execute(db);
  return { taken: new Set(rows.map((row) => row.key)), secretCheck: rows[0]?.check ?? null };
}

/** Gives back keys whose mutation is refused after all. */
export async function releaseKeys(db: Database, projectId: ProjectId, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await sql`
    /* idempotency.release */
    delete from muster.idempotency_key where project_id = ${projectId} and key = any(${keys}::text[])`.execute(db);
}

/** Notes the ids that the mutation answers with. */
export async function keepPayload(db: Database, use: KeyUse, payload: JsonObject): Promise<void> {
  await sql`
    /* idempotency.keep */
    update muster.idempotency_key set payload = ${JSON.stringify(payload)}::jsonb
     where project_id = ${use.projectId} and key = ${use.key}`.execute(db);
}

/** Forgets up to `limit` keys past their time. Returns how many there were. */
export async function purgeKeys(db: Database, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    /* idempotency.purge */
    delete from muster.idempotency_key k
     using (select project_id, key from muster.idempotency_key
             where created_at < clock_timestamp() - make_interval(hours => ${keptHours})
             order by created_at limit ${limit} for update skip locked) old
     where k.project_id = old.project_id and k.key = old.key`.execute(db);
  return Number(numAffectedRows ?? 0n);
}
