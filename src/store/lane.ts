/** Lanes: who owns which, under which epoch. Every transaction that writes an outcome checks the epoch under a lock. */
import { sql } from "kysely";
import type { HostId, WorkerId } from "../core/ids.ts";
import { hostLanes } from "../core/lane.ts";
import type { Database } from "./database.ts";

/** Another worker owns a lane by now: nothing that this one still believes may be written. */
export class LaneLost extends Error {
  override readonly name = "LaneLost";
  /** With the epochs under which they were taken to be held. */
  readonly lanes: ReadonlyMap<number, bigint>;
  constructor(lanes: ReadonlyMap<number, bigint>) {
    super(`lanes ${[...lanes.keys()].join(", ")} have another epoch`);
    this.lanes = lanes;
  }
}

/** Locks lane rows in id order and compares their epochs. A plain read would be write skew with a takeover. @throws LaneLost */
export async function checkLanes(db: Database, held: ReadonlyMap<number, bigint>): Promise<void> {
  const { rows } = await sql<{ id: number; epoch: bigint }>`
    /* lane.check */
    select id, epoch from muster.lane where id = any(${[...held.keys()].sort((a, b) => a - b)}::int[]) order by id for share`.execute(db);
  const found = new Map(rows.map((row) => [row.id, row.epoch]));
  const lost = [...held].filter(([id, epoch]) => found.get(id) !== epoch);
  if (lost.length > 0) throw new LaneLost(new Map(lost));
}

/** Takes up to `limit` lanes that nobody owns: shared ones, or this host's. Raises their epochs. */
export async function claimLanes(
  db: Database,
  owner: WorkerId,
  lanes: { readonly shared: number; readonly host: number },
  hostId: HostId,
): Promise<Map<number, bigint>> {
  const { rows } = await sql<{ id: number; epoch: bigint }>`
    /* lane.claim */
    update muster.lane set owner = ${owner}, epoch = epoch + 1
     where id = any(array(
             (select id from muster.lane where owner is null and host_id is null order by id limit ${Math.max(0, lanes.shared)} for update skip locked)
           ) || array(
             (select id from muster.lane where owner is null and host_id = ${hostId} order by id limit ${Math.max(0, lanes.host)} for update skip locked)
           ))
       and owner is null
    returning id, epoch`.execute(db);
  return new Map(rows.map((row) => [row.id, row.epoch]));
}

/** Hands lanes back at once, for whoever asks next. */
export async function releaseLanes(db: Database, owner: WorkerId, lanes: readonly number[]): Promise<void> {
  if (lanes.length === 0) return;
  await sql`
    /* lane.release */
    update muster.lane set owner = null, epoch = epoch + 1
     where id = any(array(
             select id from muster.lane where owner = ${owner} and id = any(${lanes}::int[]) order by id for no key update))`.execute(db);
}

/**
 * Raises the epochs of all lanes of a dead worker and frees them; the first thing a judge does. Locks them by id, as whoever checks
 * their epochs does: a transaction of the dead one may still hold some. Returns how many.
 */
export async function freeLanesOf(db: Database, owner: WorkerId): Promise<number> {
  const { numAffectedRows } = await sql`
    /* lane.free */
    update muster.lane set owner = null, epoch = epoch + 1
     where id = any(array(select id from muster.lane where owner = ${owner} order by id for no key update))`.execute(db);
  return Number(numAffectedRows ?? 0n);
}

/** Makes the lanes of a host, if they are not there. */
export async function ensureHostLanes(db: Database, hostId: HostId, hostNumber: number): Promise<void> {
  await sql`
    /* lane.host */
    insert into muster.lane (id, host_id) select id, ${hostId} from unnest(${hostLanes(hostNumber)}::int[]) as l(id) on conflict (id) do nothing`.execute(
    db,
  );
}

export interface OwnedLane {
  /** null: shared. */
  readonly hostId: HostId | null;
  readonly epoch: bigint;
}

/** The lanes a worker owns. */
export async function ownedLanes(db: Database, owner: WorkerId): Promise<Map<number, OwnedLane>> {
  const { rows } = await sql<{ id: number; host_id: HostId | null; epoch: bigint }>`
    /* lane.owned */ select id, host_id, epoch from muster.lane where owner = ${owner} order by id`.execute(db);
  return new Map(rows.map((row) => [row.id, { hostId: row.host_id, epoch: row.epoch }]));
}

/** New epochs for these lanes, as far as the worker still owns them: whatever was begun under the old ones is void. */
export async function raiseLanes(db: Database, owner: WorkerId, lanes: readonly number[]): Promise<Map<number, bigint>> {
  const { rows } = await sql<{ id: number; epoch: bigint }>`
    /* lane.raise */
    update muster.lane set epoch = epoch + 1
     where id = any(array(
             select id from muster.lane where owner = ${owner} and id = any(${lanes}::int[]) order by id for no key update))
    returning id, epoch`.execute(db);
  return new Map(rows.map((row) => [row.id, row.epoch]));
}
