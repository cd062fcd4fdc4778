/** Following the ledger: the newest lines in the order of positions, read over a session of the follower's own. */
import { type LedgerCursor, lastOrdinal } from "../core/cursor.ts";
import type { ActionId, ClusterId, NodeId } from "../core/ids.ts";
import type { LedgerState } from "./ledger.ts";
import { type EventRow, eventColumns, eventsOf, type LedgerEvent } from "./ledger-event.ts";
import type { Session } from "./session.ts";

export interface TailPage {
  readonly ledger: LedgerState;
  /** Everything that was asked for behind `after` up to `end`. */
  readonly events: readonly LedgerEvent[];
  readonly end: LedgerCursor;
}

/** Which lines are read: all, or those that any of the keys names. */
export interface TailFilter {
  readonly all: boolean;
  readonly keys: {
    readonly nodeIds: readonly NodeId[];
    readonly actionIds: readonly ActionId[];
    readonly clusterIds: readonly ClusterId[];
    readonly typeCodes: readonly number[];
  };
}

export const noLines: TailFilter = { all: false, keys: { nodeIds: [], actionIds: [], clusterIds: [], typeCodes: [] } };
export const allLines: TailFilter = { ...noLines, all: true };

/** Positions per page: each holds an event at least. */
const mostPositions = 500;

interface TailRow extends Omit<EventRow, "position"> {
  readonly incarnation: number;
  readonly head: bigint;
  readonly top_batch: bigint;
  readonly max_lag: bigint;
  readonly oldest: bigint;
  /** null: no event at all. */
  readonly position: bigint | null;
}

/** The ledger's state over a session. @throws when the installation was never migrated */
export async function readLedgerIn(session: Session): Promise<LedgerState> {
  const [row] = await session.query<Omit<TailRow, keyof EventRow>>(`
    /* ledger.state.session */ select incarnation, position as head, top_batch, max_lag, oldest from muster.ledger`);
  return stateOf(row);
}

/** The next page behind a cursor of this incarnation; which incarnation it is by now stands in the answer. */
export async function readTail(session: Session, after: LedgerCursor, limit: number, { all, keys }: TailFilter = allLines): Promise<TailPage> {
  // Where nobody listens no line is looked at.
  const some = all || Object.values(keys).some((each) => each.length > 0);
  const rows = await session.query<TailRow>(
    `
    /* ledger.tail */
    with l as materialized (select incarnation, position as head, top_batch, max_lag, oldest from muster.ledger)
    select l.*, t.*
      from l left join lateral (
        select p.position, e.*
          from (select position, batch from muster.position
                 where position >= $1::bigint and position <= $1::bigint + ${mostPositions} and position <= l.head order by position) p
          cross join lateral (
            select ${eventColumns} from muster.event e
             where $4::boolean and e.batch = p.batch
               and ($5::boolean or e.type = any($6::smallint[]) or e.cluster_id = any($7::uuid[]) or e.node_id = any($8::uuid[])
                    or e.action_id = any($9::uuid[]))
               and e.ordinal > case when p.position = $1::bigint then $2::integer else 0 end
             order by e.ordinal limit $3::integer) e
         order by p.position, e.ordinal limit $3::integer
      ) t on true
     order by t.position, t.ordinal`,
    [after.position, after.ordinal, limit, some, all, keys.typeCodes, keys.clusterIds, keys.nodeIds, keys.actionIds],
  );
  const ledger = stateOf(rows[0]);
  const found = rows.filter((row): row is TailRow & EventRow => row.position !== null);
  const last = found.length >= limit ? found.at(-1) : undefined;
  const reached = after.position + BigInt(mostPositions);
  const { incarnation } = ledger;
  const end =
    last === undefined
      ? { incarnation, position: reached < ledger.head ? reached : ledger.head, ordinal: lastOrdinal }
      : { incarnation, position: last.position, ordinal: last.ordinal };
  return { ledger, events: eventsOf(found, incarnation), end };
}

function stateOf(row: Omit<TailRow, keyof EventRow> | undefined): LedgerState {
  if (row === undefined) throw new Error("the ledger has no first row: the database is not migrated");
  return { incarnation: row.incarnation, head: row.head, topBatch: row.top_batch, maxLag: row.max_lag, oldest: row.oldest };
}
