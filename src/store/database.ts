/**
 * The connection pool and what every connection is set to. Nothing else in the program opens a pooled connection; the dedicated
 * ones (session lock, LISTEN) are `store/session.ts`.
 */
import { Kysely, type PostgresCursor, PostgresDialect, type PostgresPool, type PostgresQueryResult } from "kysely";
import pg from "pg";
import { arrayText } from "./array-text.ts";
import { ConnectionLost, isFull } from "./failure.ts";
import { limitTransactions } from "./pooler.ts";
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
  /** Called for each statement that was refused because the server's disk is full. */
  readonly onFull?: () => void;
  /** Ends a statement of ours that takes longer, ms; 0: none. */
  readonly statementTimeoutMs?: number;
  /** A pooler in transaction mode stands between: nothing that belongs to a session lasts beyond a transaction (`pooler.ts`). */
  readonly pooler?: boolean;
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

/** How long the server lets us take, ms, by the names of its settings. */
export function serverLimits(statementTimeoutMs = usualTimeoutMs) {
  return { statement_timeout: statementTimeoutMs, lock_timeout: 5_000, idle_in_transaction_session_timeout: 10_000 } as const;
}

/** What every connection of ours is configured with, pooled or not. */
export function connectionConfig(options: Pick<DatabaseOptions, "url" | "applicationName" | "statementTimeoutMs" | "pooler">): pg.ClientConfig {
  const limits = serverLimits(options.statementTimeoutMs);
  return {
    connectionString: options.url,
    application_name: options.applicationName,
    types: typeParsers,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
    connectionTimeoutMillis: 5_000,
    ...(options.pooler === true ? {} : limits),
    // Later than the server's own: reached only when nobody answers any more. Without it a network that went silent would hold us for a
    // quarter of an hour.
    query_timeout: Math.ceil((limits.statement_timeout * 4) / 3),
  };
}

/** A Kysely over a pool whose statements fail with `ConnectionLost` when the connection breaks under them. */
export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({ ...connectionConfig(options), max: options.size, idleTimeoutMillis: 30_000 });
  pool.on("error", (error) => options.onIdleError?.(error));
  // One that breaks between two statements says so here, and the next statement then fails. From its first moment on: that it is there and that it
  // is ended may come in one go, before anybody could listen.
  pool.on("connect", (client) => client.on("error", () => undefined));
  const use = { pool, full: 0 };
  const limits = options.pooler === true ? serverLimits(options.statementTimeoutMs) : null;
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({
      pool: lossMarkingPool(pool, limits, () => {
        use.full += 1;
        options.onFull?.();
      }),
    }),
  });
  pools.set(db, use);
  return db;
}

/** Kysely keeps its pool to itself. */
const pools = new WeakMap<Database, { readonly pool: pg.Pool; full: number }>();

export interface PoolUse {
  /** Connections at most. */
  readonly limit: number;
  /** Connections there are. */
  readonly open: number;
  /** Of these, those nobody uses. */
  readonly idle: number;
  /** Statements and transactions that wait for one. */
  readonly waiting: number;
  /** Statements that were refused because the server's disk was full. */
  readonly full: number;
}

/** How the pool behind a database stands. */
export function poolUse(db: Database): PoolUse {
  const use = pools.get(db);
  if (use === undefined) throw new Error("no pool of ours is behind this database");
  const { pool, full } = use;
  return { full, limit: pool.options.max, open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
}

/**
 * Marks what is not PostgreSQL's own answer as a lost connection, at the one place where the difference can be told.
 * @param limits set in each transaction; null: the connection has them already
 */
function lossMarkingPool(pool: pg.Pool, limits: ReturnType<typeof serverLimits> | null, onFull: () => void): PostgresPool {
  return {
    end: () => pool.end(),
    connect: async () => {
      const client = await pool.connect().catch(markLoss);
      let lost = false;
      const run = (text: string, parameters: readonly unknown[]): Promise<unknown> =>
        client.query(text, parameters.map(arrayText)).catch((error: unknown) => {
          // What is fatal ends the connection, whether or not its end has been seen yet.
          lost ||= !(error instanceof pg.DatabaseError) || error.severity === "FATAL";
          if (isFull(error)) onFull();
          return markLoss(error);
        });
      const limited = limits === null ? run : limitTransactions(run, limits);
      function query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
      function query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
      function query(text: string | PostgresCursor<unknown>, parameters: readonly unknown[] = []): unknown {
        if (typeof text !== "string") throw new Error("cursors are not used here: pages are keysets");
        return limited(text, parameters);
      }
      return {
        query,
        // One that gave no answer may still give it, to whoever asks next.
        release: () => client.release(lost),
      };
    },
  };
}

function markLoss(error: unknown): never {
  throw error instanceof pg.DatabaseError ? error : new ConnectionLost(error);
}
