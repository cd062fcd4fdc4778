/**
 * Giving positions: the statements of the sequencer. Each runs on the session that holds the lock and checks the
 * epoch in the ledger's row, under its lock: whoever took over has raised it, and the former one's statements change nothing any more.
 */
import { sequencerLock, singletonSpace } from "./ledger.ts";
import type { Session } from "./session.ts";

export interface Lead {
  readonly epoch: bigint;
  /** The newest position. */
  readonly position: bigint;
  /** The highest batch that has one. */
  readonly topBatch: bigint;
  /** The batches not far below it that have none, ascending: they may be about to be committed. */
  readonly missing: readonly bigint[];
}

/** How far below the highest batch a new sequencer looks for numbers that were passed over. */
const lookBack = 5_000;

/** Makes this session's owner the sequencer, and whoever was it before harmless. The session must hold the lock. */
export async function takeLead(session: Session): Promise<Lead> {
  // A position that a crash of the server took back would be given twice, to different batches. And the table of markers is
  // small in rows and large in dead ones: read whole it would look cheap to the planner, and is not.
  await session.query(`
    /* sequencer.settings */
    select set_config('enable_seqscan', 'off', false),
           case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', false) end`);
  const [row] = await session.query<{ sequencer_epoch: bigint; position: bigint; top_batch: bigint }>(`
    /* sequencer.lead */
    update muster.ledger set sequencer_epoch = sequencer_epoch + 1 returning sequencer_epoch, position, top_batch`);
  if (row === undefined) throw new Error("the ledger has no first row: the database is not migrated");
  const gaps = await session.query<{ batch: bigint }>(
    `
    /* sequencer.gaps */
    select generate_series(greatest(1, $1::bigint - $2::bigint), $1::bigint) as batch
    except select batch from muster.position where batch >= $1::bigint - $2::bigint
    order by batch`,
    [row.top_batch, lookBack],
  );
  return { epoch: row.sequencer_epoch, position: row.position, topBatch: row.top_batch, missing: gaps.map(({ batch }) => batch) };
}

export interface Tick {
  readonly epoch: bigint;
  /** Markers above this number are looked for, and those of these numbers. */
  readonly above: bigint;
  readonly missing: readonly bigint[];
  readonly limit: number;
}

export interface Ticked {
  readonly position: bigint;
  readonly topBatch: bigint;
  /** The batches that got a position now, ascending. */
  readonly batches: readonly bigint[];
}

/**
 * Moves visible markers to positions, in their order, and wakes the feeds, all in one statement. Marker entries that were moved stay
 * in the index for as long as a stranger's transaction might see them; looking only above the highest number and at the ones
 * known to be missing never meets them.
 * @returns null when there was nothing; "fenced" when somebody else leads
 */
export async function positionMarkers(session: Session, tick: Tick): Promise<Ticked | "fenced" | null> {
  const [row] = await session.query<{ seen: boolean; position: bigint | null; top_batch: bigint | null; batches: readonly string[] | null }>(
    `
    /* sequencer.tick */
    with seen as materialized (
      select batch from (select batch from muster.marker where batch > $2::bigint order by batch limit $4::integer) above
      union
      select batch from muster.marker where batch = any($3::bigint[])
    ), fence as materialized (
      select position, top_batch from muster.ledger where sequencer_epoch = $1::bigint and exists (select from seen) for update
    ), taken as (
      delete from muster.marker where batch = any(array(select batch from seen)) and exists (select from fence) returning batch, events
    ), placed as materialized (
      select t.batch, t.events, f.position + row_number() over (order by t.batch) as position,
             t.batch < f.top_batch as late, f.top_batch - t.batch as lag
        from taken t cross join fence f
    ), inserted as (
      insert into muster.position (position, batch, events, late) select position, batch, events, late from placed
    ), moved as (
      update muster.ledger l
         set position = p.position, top_batch = greatest(l.top_batch, p.top_batch), max_lag = greatest(l.max_lag, p.lag)
        from (select max(position) as position, max(batch) as top_batch, max(lag) as lag, array_agg(batch order by batch) as batches from placed) p
       where l.sequencer_epoch = $1::bigint and p.position is not null
      returning l.position, l.top_batch, p.batches, pg_notify('muster_feed', '')
    )
    select exists (select from seen) as seen, moved.position, moved.top_batch, moved.batches from (values (1)) one left join moved on true`,
    [tick.epoch, tick.above, tick.missing, tick.limit],
  );
  if (row === undefined || !row.seen) return null;
  // Markers were there and none was moved: the epoch is not ours any more.
  if (row.position === null || row.top_batch === null || row.batches === null) return "fenced";
  return { position: row.position, topBatch: row.top_batch, batches: row.batches.map(BigInt) };
}

export interface Standing {
  /** True: the lock is now this session's. */
  readonly held: boolean;
  /** The first marker that waits for a position beyond all that have one; null: none. */
  readonly waiting: bigint | null;
}

/** A candidate's question: may I lead? And if not, does the one who does get on? */
export async function standForLead(session: Session): Promise<Standing> {
  const [row] = await session.query<Standing>(
    `
    /* sequencer.stand */
    select pg_try_advisory_lock($1::integer, $2::integer) as held,
           (select m.batch from muster.marker m where m.batch > (select top_batch from muster.ledger) order by m.batch limit 1) as waiting`,
    [singletonSpace, sequencerLock],
  );
  return row ?? { held: false, waiting: null };
}

/** Ends the session of whoever holds the lock: a process that is frozen keeps it without using it. Returns how many were ended. */
export async function endLeader(session: Session): Promise<number> {
  const rows = await session.query<{ ended: boolean }>(
    `
    /* sequencer.end-leader */
    select pg_terminate_backend(pid) as ended from pg_locks
     where locktype = 'advisory' and classid = $1::bigint::oid and objid = $2::bigint::oid and objsubid = 2 and granted
       and database = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid()`,
    [singletonSpace, sequencerLock],
  );
  return rows.filter((row) => row.ended).length;
}
