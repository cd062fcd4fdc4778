/**
 * The one thing in a simulation that is real: a PostgreSQL database. Its clock, NOTIFY and pg_terminate_backend are the controller's (a schema
 * that is searched before pg_catalog), so that nothing in it depends on real time. Server connections are kept and handed out
 * again, cleaned as the server cleans up after one that broke.
 */
import { createHash } from "node:crypto";
import pg from "pg";
import { connectionConfig, type Database, openDatabase } from "../../src/store/database.ts";
import { migrate } from "../../src/store/migrate.ts";

/** What the server answered to one statement, in full. */
export type Answer =
  | { readonly ok: true; readonly rows: readonly Readonly<Record<string, unknown>>[]; readonly rowCount: number; readonly command: string }
  | { readonly ok: false; readonly error: Error };

/** A connection as the server sees it. */
export interface Backend {
  readonly pid: number;
  /** @param nowMs what clock_timestamp() is for it, ms since the simulation's zero */
  run(text: string, values: readonly unknown[], nowMs?: number): Promise<Answer>;
  /** What statements asked of the stage or told it meanwhile: `terminate <pid>`, `notify <channel>`, `begun <lane>` (a step, by its row). */
  takeNotices(): string[];
  /** Stops the process that waits for a lock, and holds no other one's up: even if it is given the lock, it does not go on. */
  hold(): void;
  go(): void;
}

export interface SimulatedServer {
  /** For checks, outside of the simulation; its clock is the real one. */
  readonly db: Database;
  /** All tables as they were after the migration, time at zero. */
  reset(): Promise<void>;
  lease(applicationName: string): Promise<Backend>;
  /** Does what the server does when a connection is over: rolls back, frees locks. */
  recycle(backend: Backend): Promise<void>;
  /** Ends the statement that a connection is carrying out. */
  cancel(backend: Backend): Promise<void>;
  /** Who keeps whom waiting, of these. */
  blockers(pids: readonly number[]): Promise<Map<number, readonly number[]>>;
  setBirth(microseconds: number): Promise<void>;
  read<Row>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  close(): Promise<void>;
}

/** The simulation's zero, ms since 1970. */
export const zeroMs = Date.UTC(2026, 0, 1);

const stage = `
  create schema sim;
  create sequence sim.birth minvalue 0;
  create function sim.clock_timestamp() returns timestamptz volatile language plpgsql as
    $$ begin raise 'the stage says what time it is'; end $$;
  create function sim.pg_postmaster_start_time() returns timestamptz stable language sql as
    $$ select timestamptz '2025-12-31 00:00:00+00' + make_interval(secs => (select last_value from sim.birth) / 1e6) $$;
  create function sim.pg_notify(channel text, payload text) returns void volatile language plpgsql as
    $$ begin raise notice 'notify %', channel; end $$;
  create function sim.pg_terminate_backend(pid integer) returns boolean volatile language plpgsql as
    $$ begin raise notice 'terminate %', pid; return true; end $$;
  create function sim.tell_begun() returns trigger language plpgsql as
    $$ begin raise notice 'begun %', new.lane; return null; end $$;
  create trigger inserted_begun after insert on muster.task for each row when (new.begun_by <> 0) execute function sim.tell_begun();
  create trigger begun after update on muster.task for each row when (new.begun_by <> 0 and new.begun_by <> old.begun_by) execute function sim.tell_begun();`;

/** Plans must not depend on what was in the tables some seeds ago. */
const settings = {
  search_path: "sim,pg_catalog",
  plan_cache_mode: "force_generic_plan",
  enable_seqscan: "off",
  enable_bitmapscan: "off",
  jit: "off",
  // The stage finds rings by itself; a process that looks for them holds the table of locks, and must not be stopped meanwhile.
  deadlock_timeout: "1h",
  synchronous_commit: "off",
  timezone: "UTC",
};

/** Tables are vacuumed after so many scenarios. */
const vacuumEvery = 10;

/** @param superuserUrl with DATABASE in the place of the database's name */
export async function openSimulatedServer(superuserUrl: string, name: string): Promise<SimulatedServer> {
  await asAdmin(superuserUrl, `create database ${name}`);
  const url = superuserUrl.replace("DATABASE", name);
  await migrate(url);
  const db = openDatabase({ url, size: 6, applicationName: "checks" });
  const controller = new pg.Client({ ...plainConfig(url, "controller"), options: "" });
  await controller.connect();
  await controller.query(stage);
  await controller.query("set session_replication_role = replica; set synchronous_commit = off");
  const resetText = await prepareReset(controller);
  const free: PooledBackend[] = [];
  const all: PooledBackend[] = [];
  let resets = 0;
  return {
    db,
    reset: async () => {
      await controller.query(resetText);
      resets++;
      if (resets % vacuumEvery === 0) await controller.query("vacuum");
    },
    lease: async (applicationName) => {
      const backend = free.shift() ?? (await openBackend(url, all.length));
      if (!all.includes(backend)) all.push(backend);
      await backend.run("select set_config('application_name', $1, false)", [applicationName]);
      return backend;
    },
    recycle: async (backend) => {
      await backend.run("rollback; select pg_advisory_unlock_all(); reset all", []);
      backend.takeNotices();
      const pooled = all.find((each) => each === backend);
      if (pooled !== undefined) free.push(pooled);
      free.sort((a, b) => a.number - b.number);
    },
    cancel: async (backend) => {
      await controller.query({ name: "cancel", text: "select pg_cancel_backend($1)", values: [backend.pid] });
      backend.go();
    },
    blockers: async (pids) => {
      const { rows } = await controller.query<{ pid: number; by: number[] }>({
        name: "blockers",
        text: "select pid, pg_blocking_pids(pid) as by from unnest($1::int[]) as p(pid)",
        values: [[...pids]],
      });
      return new Map(rows.map((row) => [row.pid, row.by]));
    },
    setBirth: async (microseconds) => {
      await controller.query({ name: "birth", text: "select setval('sim.birth', $1)", values: [Math.round(microseconds)] });
    },
    read: async <Row>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> => {
      const result = await controller.query({ name: preparedOf(text, values.length).name, text, values: [...values] });
      return result.rows;
    },
    close: async () => {
      await db.destroy();
      for (const backend of all) await backend.end();
      await controller.end();
      await asAdmin(superuserUrl, `drop database ${name} with (force)`);
    },
  };
}

interface PooledBackend extends Backend {
  readonly number: number;
  end(): Promise<void>;
}

async function openBackend(url: string, number: number): Promise<PooledBackend> {
  const options = Object.entries(settings).map(([key, value]) => `-c ${key}=${value}`);
  const client = new pg.Client({ ...plainConfig(url, "simulated"), options: options.join(" ") });
  const notices: string[] = [];
  client.on("notice", ({ message }) => notices.push(message ?? ""));
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const pid = rows[0]?.pid;
  if (pid === undefined) throw new Error("the connection has no process");
  return {
    number,
    pid,
    run: async (text, values, nowMs = 0) => {
      const { name, timed } = preparedOf(text, values.length);
      try {
        const result = await client.query(
          timed === null ? { name, text, values: [...values] } : { name, text: timed, values: [...values, timestamp(nowMs)] },
        );
        return { ok: true, rows: result.rows, rowCount: result.rowCount ?? 0, command: result.command };
      } catch (error) {
        return { ok: false, error: error instanceof Error ? error : new Error(String(error)) };
      }
    },
    takeNotices: () => notices.splice(0),
    hold: () => process.kill(pid, "SIGSTOP"),
    go: () => process.kill(pid, "SIGCONT"),
    end: () => client.end(),
  };
}

interface Prepared {
  /** Statements are parsed once per connection: planning costs more than running them. "": this one is not. */
  readonly name: string;
  /** Its text with a last parameter for each clock_timestamp(); null: it does not ask for the time. */
  readonly timed: string | null;
}

const prepared = new Map<string, Prepared>();

function preparedOf(text: string, parameters: number): Prepared {
  const known = prepared.get(text);
  if (known !== undefined) return known;
  const plain = parameters === 0 && /^\s*(begin|commit|rollback|reset|set|start)\b/i.test(text);
  const timed = text.replaceAll("clock_timestamp()", `$${parameters + 1}::timestamptz`);
  const made = { name: plain ? "" : createHash("sha1").update(text).digest("base64").slice(0, 20), timed: timed === text ? null : timed };
  prepared.set(text, made);
  return made;
}

/** To the microsecond, as PostgreSQL's clock is. */
function timestamp(nowMs: number): string {
  const microseconds = Math.round(nowMs * 1_000);
  const ms = Math.floor(microseconds / 1_000);
  return `${new Date(zeroMs + ms).toISOString().slice(0, -1)}${String(microseconds % 1_000).padStart(3, "0")}Z`;
}

/** Nothing on the server ends by real time: time-outs are the controller's. */
function plainConfig(url: string, applicationName: string): pg.ClientConfig {
  const {
    statement_timeout: _s,
    query_timeout: _q,
    lock_timeout: _l,
    idle_in_transaction_session_timeout: _i,
    ...config
  } = connectionConfig({
    url,
    applicationName,
  });
  return config;
}

/** One text that puts every table back to what it holds now. */
async function prepareReset(controller: pg.Client): Promise<string> {
  const { rows } = await controller.query<{ name: string }>(
    `select relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'muster' and relkind in ('r', 'p') and not relispartition and relname <> 'migration' order by 1`,
  );
  const statements: string[] = [];
  for (const { name } of rows) {
    await controller.query(`create table sim.base_${name} as table muster.${name}`);
    statements.push(`delete from muster.${name}`);
    const { rowCount } = await controller.query(`select from sim.base_${name} limit 1`);
    if ((rowCount ?? 0) > 0) statements.push(`insert into muster.${name} overriding system value table sim.base_${name}`);
  }
  statements.push(
    "select setval('muster.batch', 1, false), setval(pg_get_serial_sequence('muster.host', 'number'), 1, false), setval('sim.birth', 0)",
  );
  return statements.join(";\n");
}

async function asAdmin(superuserUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: superuserUrl.replace("DATABASE", "postgres") });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
