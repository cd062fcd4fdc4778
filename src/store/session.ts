/**
 * One dedicated connection, never the pool's and never through a pooler: session locks and LISTEN live and die with
 * it. Who holds a session watches `lost` and opens a new one; nothing here connects again by itself.
 */
import net from "node:net";
import pg from "pg";
import { connectionConfig, serverLimits } from "./database.ts";
import { ConnectionLost, PoolerBetween } from "./failure.ts";

/** Wake-ups travel on these; their payload is always empty. */
export type Channel = "muster_work" | "muster_plan" | "muster_ledger" | "muster_feed";

export interface Session {
  /** @throws ConnectionLost when the connection broke, also when no answer came in time: the session is over then */
  query<Row>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  /** A session-level advisory lock: held until this session ends. False: somebody else holds it. */
  tryLock(space: number, key: number): Promise<boolean>;
  /** Calls `onNotify` after each wake-up on the channel. A second call for a channel replaces the first one's function. */
  listen(channel: Channel, onNotify: () => void): Promise<void>;
  readonly backendPid: number;
  /** Resolves once, when the connection breaks or is closed. Never rejects. */
  readonly lost: Promise<Error>;
  close(): Promise<void>;
}

/** How long a farewell may take before the socket is simply dropped, ms. */
const farewellMs = 1_000;
/** Statements that a session keeps prepared. */
const mostPrepared = 100;

/** @throws ConnectionLost, PoolerBetween, or PostgreSQL's refusal */
export async function openSession(options: { url: string; applicationName: string }): Promise<Session> {
  const socket = new net.Socket();
  const client = new pg.Client({ ...connectionConfig(options), stream: () => socket });
  const handlers = new Map<string, () => void>();
  let ended = false;
  const lost = new Promise<Error>((resolve) => {
    const end = (cause: unknown): void => {
      ended = true;
      socket.destroy();
      resolve(new ConnectionLost(cause));
    };
    client.on("error", end);
    client.on("end", () => end(new Error("the connection was closed")));
  });
  client.on("notification", ({ channel }) => handlers.get(channel)?.());
  const connected = client.connect();
  await connected.catch((error: unknown) => {
    socket.destroy();
    throw asLoss(error);
  });

  /** Statements with parameters are parsed and planned once per session: those of a session are few and come again and again. */
  const prepared = new Map<string, string>();
  const preparedName = (text: string, values: readonly unknown[]): { name?: string } => {
    if (values.length === 0 || (prepared.size >= mostPrepared && !prepared.has(text))) return {};
    const name = prepared.get(text) ?? `muster_${prepared.size}`;
    prepared.set(text, name);
    return { name };
  };
  const query = async <Row>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> => {
    try {
      const result = await client.query({ ...preparedName(text, values), text, values: [...values] });
      return result.rows;
    } catch (error) {
      const failure = asLoss(error);
      // No answer, or a broken one: a lock that may still be held by a connection nobody uses would be worse than its loss.
      if (failure instanceof ConnectionLost) socket.destroy();
      throw failure;
    }
  };
  const [backend] = await query<{ pid: number; limit_ms: number }>(`
    /* session.begin */
    select pg_backend_pid() as pid, (extract(epoch from current_setting('statement_timeout')::interval) * 1000)::float8 as limit_ms`);
  if (backend === undefined) throw new ConnectionLost(new Error("PostgreSQL did not say who answers"));
  // A pooler that was told to ignore what connections are begun with is known by having ignored it.
  if (backend.limit_ms !== serverLimits().statement_timeout) {
    socket.destroy();
    throw new PoolerBetween();
  }
  return {
    query,
    lost,
    backendPid: backend.pid,
    tryLock: async (space, key) => {
      const [row] = await query<{ held: boolean }>("/* session.lock */ select pg_try_advisory_lock($1::int4, $2::int4) as held", [space, key]);
      return row?.held === true;
    },
    listen: async (channel, onNotify) => {
      handlers.set(channel, onNotify);
      await query(`/* session.listen */ listen ${channel}`);
    },
    close: async () => {
      if (ended) return;
      socket.setTimeout(farewellMs, () => socket.destroy());
      await client.end().catch(() => socket.destroy());
      await lost;
    },
  };
}

function asLoss(error: unknown): Error {
  return error instanceof pg.DatabaseError ? error : new ConnectionLost(error);
}
