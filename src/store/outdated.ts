/**
 * Members that are of another profile than their cluster: found by an index in which all members of a cluster are equal but during a roll-out.
 * Each look reads so many entries of it and no further; members with a profile of their own, and those that are being replaced, are not in it.
 */
import { type RawBuilder, sql } from "kysely";
import { healthStatusCodes } from "../core/health.ts";
import type { ClusterId, NodeId, ProfileId } from "../core/ids.ts";
import { nodeStatusCodes } from "../core/node.ts";
import type { Outdated, RollOut } from "../core/plan/roll-out.ts";
import type { Database } from "./database.ts";

/** Entries of the index that one look reads on each side of the wanted profile. */
const readLimit = 5_000;

/** A cluster and what its members are to be made from. */
export interface Wish {
  readonly id: ClusterId;
  readonly profileId: ProfileId;
  /** Since when; null: since there is the cluster. */
  readonly profileChangedAt: Date | null;
}

/** The first of a cluster's outdated members; two ranges, because `<>` can be no condition of an index. */
function outdated({ id, profileId }: Pick<Wish, "id" | "profileId">, limit: number): RawBuilder<unknown> {
  const side = (than: "<" | ">"): RawBuilder<unknown> => sql`
    (select id, status, health, action_id, updated_at from muster.node
      where cluster_id = ${id} and not replacing and not own_profile and profile_id ${sql.raw(than)} ${profileId}
      order by cluster_id, profile_id limit ${limit})`;
  return sql`(${side("<")} union all ${side(">")}) o`;
}

/** Nothing works there: not begun, or sick since before the profile changed. Who fell sick later has its turn by the ladder. */
const isIdle = (wish: Wish): RawBuilder<unknown> =>
  sql`(o.status = ${nodeStatusCodes.PLANNED} or (o.status = ${nodeStatusCodes.ERROR} and o.updated_at < ${wish.profileChangedAt}::timestamptz))`;
/** Whom somebody asked something of by name answers first. */
const isWorking = sql`(o.status = any(${[nodeStatusCodes.ACTIVE, nodeStatusCodes.WARNING]}::smallint[]) and o.action_id is null)`;
/** They are not waited for: one is on its way out, the other is brought over when it is woken. */
const isIgnored = sql`o.status = any(${[nodeStatusCodes.DELETING, nodeStatusCodes.SUSPENDED]}::smallint[])`;

/** How many there are, as far as one look goes. */
export async function summarizeOutdated(db: Database, wish: Wish): Promise<Outdated> {
  const { rows } = await sql<{ left: bigint; idle: bigint; working: bigint }>`
    /* outdated.summary */
    select count(*) filter (where not ${isIgnored}) as "left", count(*) filter (where ${isIdle(wish)}) as idle, count(*) filter (where ${isWorking}) as working
      from ${outdated(wish, readLimit)}`.execute(db);
  const [row] = rows;
  return { left: Number(row?.left ?? 0), idle: Number(row?.idle ?? 0), working: Number(row?.working ?? 0) };
}

/** Whom to bring over next: idle ones, and of those that work first who is not well. */
export async function selectOutdated(db: Database, wish: Wish, { idle, working }: RollOut): Promise<NodeId[]> {
  const { rows } = await sql<{ id: NodeId }>`
    /* outdated.next */
    (select o.id from ${outdated(wish, readLimit)} where ${isIdle(wish)} order by o.id limit ${idle})
    union all
    (select o.id from ${outdated(wish, readLimit)} where ${isWorking} order by o.health = ${healthStatusCodes.HEALTHY}, o.id limit ${working})`.execute(
    db,
  );
  return rows.map((row) => row.id);
}

/**
 * How many members a change to this profile concerns. Exact where fewer than 5,000 members are of that profile already, or fewer are not;
 * else an upper bound.
 * @param standing members that are not on their way out
 */
export async function countOutdated(db: Database, wish: Pick<Wish, "id" | "profileId">, standing: number): Promise<number> {
  const { rows } = await sql<{ same: bigint; own: bigint; other: bigint }>`
    /* outdated.count */
    select (select count(*) from (select from muster.node
              where cluster_id = ${wish.id} and not replacing and not own_profile and profile_id = ${wish.profileId} and status <> ${nodeStatusCodes.DELETING}
              limit ${readLimit}) s) as same,
           (select count(*) from (select from muster.node
              where cluster_id = ${wish.id} and own_profile and status <> ${nodeStatusCodes.DELETING} limit ${readLimit}) w) as own,
           (select count(*) filter (where o.status <> ${nodeStatusCodes.DELETING}) from ${outdated(wish, readLimit)}) as other`.execute(db);
  const [same, own, other] = [Number(rows[0]?.same ?? 0), Number(rows[0]?.own ?? 0), Number(rows[0]?.other ?? 0)];
  const most = Math.max(0, standing - own - same);
  return same < readLimit ? most : Math.max(0, Math.min(most, other < readLimit ? other : most));
}
