/**
 * The connection pool and what every connection is set to. Nothing else in the program opens a pooled connection; the dedicated
 * ones (session lock, LISTEN) are `store/session.ts`.
 */
import { Kysely, type PostgresCursor, PostgresDialect, type PostgresPool, type PostgresQueryResult } from "kysely";
import pg from "pg";
import { arrayText } from "./array-text.ts";
import { ConnectionLost } from "./failure.ts";
import type { Tables } from "./tables.ts";

export type Database = Kysely<Tables>;

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most. */
  readonly size: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Called for each connection that breaks while idle; it is replaced by itself. */
  readonly onIdleError?: (error: Error) => void;
  /** Ends a statement of ours that takes longer, ms; 0: none. */
  readonly statementTimeoutMs?: number;
}

/** int8 as bigint: positions and epochs outgrow 2^53 in principle, and a silent string adds up to nonsense. */
const int8Oid = 20;
/** The shape pg asks of `types`, whose own declaration binds the oid to pg's built-in list. */
const typeParsers: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: string) => {
    if (oid === int8Oid && format !== "binary") return (text: string) => BigInt(text);
    return pg.types.getTypeParser(oid, format === "binary" ? "binary" : "text");
  },
};

const usualTimeoutMs = 15_000;

/** What every connection of ours is configured with, pooled or not. */
export function connectionConfig(options: Pick<DatabaseOptions, "url" | "applicationName" | "statementTimeoutMs">): pg.ClientConfig {
  const { statementTimeoutMs = usualTimeoutMs } = options;
  return {
    connectionString: options.url,
    application_name: options.applicationName,
    types: typeParsers,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
    connectionTimeoutMillis: 5_000,
    statement_timeout: statementTimeoutMs,
    // Later than the server's own: reached only when nobody answers any more. Without it a network that went silent would hold us for a
    // quarter of an hour.
    query_timeout: Math.ceil((statementTimeoutMs * 4) / 3),
    lock_timeout: 5_000,
    idle_in_transaction_session_timeout: 10_000,
  };
}

/** A Kysely over a pool whose statements fail with `ConnectionLost` when the connection breaks under them. */
export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({ ...connectionConfig(options), max: options.size, idleTimeoutMillis: 30_000 });
  pool.on("error", (error) => options.onIdleError?.(error));
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: lossMarkingPool(pool) }) });
  pools.set(db, pool);
  return db;
}

/** Kysely keeps its pool to itself. */
const pools = new WeakMap<Database, pg.Pool>();

export interface PoolUse {
  /** Connections at most. */
  readonly limit: number;
  /** Connections there are. */
  readonly open: number;
  /** Of these, those nobody uses. */
  readonly idle: number;
  /** Statements and transactions that wait for one. */
  readonly waiting: number;
}

/** How the pool behind a database stands. */
export function poolUse(db: Database): PoolUse {
  const pool = pools.get(db);
  if (pool === undefined) throw new Error("no pool of ours is behind this database");
  return { limit: pool.options.max, open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
}

/** Marks what is not PostgreSQL's own answer as a lost connection, at the one place where the difference can be told. */
function lossMarkingPool(pool: pg.Pool): PostgresPool {
  return {
    end: () => pool.end(),
    connect: async () => {
      const client = await pool.connect().catch(markLoss);
      // A connection that breaks between two statements says so here; the next statement then fails.
      const onError = (): void => undefined;
      client.on("error", onError);
      let lost = false;
      function query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
      function query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
      function query(text: string | PostgresCursor<unknown>, parameters: readonly unknown[] = []): unknown {
        if (typeof text !== "string") throw new Error("cursors are not used here: pages are keysets");
        return client.query(text, parameters.map(arrayText)).catch((error: unknown) => {
          lost ||= !(error instanceof pg.DatabaseError);
          return markLoss(error);
        });
      }
      return {
        query,
        release: () => {
          client.off("error", onError);
          // One that gave no answer may still give it, to whoever asks next.
          client.release(lost);
        },
      };
    },
  };
}

function markLoss(error: unknown): never {
  throw error instanceof pg.DatabaseError ? error : new ConnectionLost(error);
}
