/** What PostgreSQL's own books say of an installation: sizes, rows written. */
import pg from "pg";

export interface Books {
  /** Bytes of what a member at rest is made of: node, task and what is remembered of it, with their indexes. */
  memberBytes(): Promise<number>;
  /** Bytes of the ledger. */
  ledgerBytes(): Promise<number>;
  /** Rows inserted, updated and deleted so far, the ledger's apart. */
  rowsWritten(): Promise<number>;
  /** Resolves when what is put off has been done (vacuum, writing out what a checkpoint covers), after six minutes at the latest. Returns whether it has. */
  rest(): Promise<boolean>;
  close(): Promise<void>;
}

/**
 * At rest it is when nothing was vacuumed for so long, and no more pages were written out than a beating heart dirties; and so long that is waited for, ms. An
 * API process keeps for half a minute what its subscribers read, and then has it to throw away.
 */
const quietMs = 45_000;
const quietWrites = 150;
const patienceMs = 360_000;
const lookMs = 1_000;

const memberTables = ["node", "task", "notable", "node_health", "node_crash", "probe"];

export async function openBooks(databaseUrl: string): Promise<Books> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const number = async (text: string, values: unknown[] = []): Promise<number> => {
    const { rows } = await client.query<{ value: string }>(text, values);
    return Number(rows[0]?.value ?? 0);
  };
  return {
    memberBytes: () => number("select sum(pg_total_relation_size(('muster.' || t)::regclass)) as value from unnest($1::text[]) t", [memberTables]),
    ledgerBytes: () =>
      number(`select sum(pg_total_relation_size(c.oid)) as value from pg_class c
               where c.relnamespace = 'muster'::regnamespace and c.relkind = 'r' and (c.relname like 'event%' or c.relname like 'position%')`),
    rowsWritten: async () => {
      // Each backend hands its counts in about once a second, at its next transaction's end.
      await client.query("select pg_stat_force_next_flush(), pg_stat_clear_snapshot()");
      return number(`select sum(n_tup_ins + n_tup_upd + n_tup_del) as value from pg_stat_user_tables
                      where schemaname = 'muster' and relname not like 'event%' and relname not like 'position%' and relname not in ('marker', 'worker', 'host', 'ledger')`);
    },
    rest: async () => {
      const startedMs = performance.now();
      let [former, sinceMs] = [Number.NEGATIVE_INFINITY, startedMs];
      while (performance.now() - sinceMs < quietMs) {
        if (performance.now() - startedMs > patienceMs) return false;
        await new Promise((resolve) => setTimeout(resolve, lookMs));
        const vacuums = await number("select count(*) as value from pg_stat_activity where backend_type = 'autovacuum worker'");
        const written = await number("select sum(writes) as value from pg_stat_io where backend_type in ('checkpointer', 'background writer')");
        if (vacuums === 0 && written - former <= quietWrites) continue;
        [former, sinceMs] = [written, performance.now()];
      }
      return true;
    },
    close: () => client.end(),
  };
}
