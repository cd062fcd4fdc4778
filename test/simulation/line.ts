/**
 * A connection as a simulated process has it: each statement is handed to the stage, which decides when it reaches the server, when its
 * answer comes back, and whether. Over lines stand the pool behind Kysely and the dedicated sessions.
 */
import { Kysely, PostgresDialect, type PostgresPoolClient, type PostgresQueryResult } from "kysely";
import type { Database } from "../../src/store/database.ts";
import { ConnectionLost } from "../../src/store/failure.ts";
import type { Channel, Session } from "../../src/store/session.ts";
import type { Tables } from "../../src/store/tables.ts";
import type { SimulatedProcess } from "./process.ts";
import type { Answer, Backend } from "./server.ts";

export interface Request {
  readonly text: string;
  readonly name: string;
  readonly values: readonly unknown[];
  /** waiting: with the process. running, blocked: on the server. answered: the answer is on its way back. */
  state: "waiting" | "running" | "blocked" | "answered";
  answer: Answer | null;
  /** Its place among those that wait for locks: where it came last. */
  blockedAs: number;
  /** Resolves when the server has answered. */
  settled: Promise<void>;
  /** The stage has taken note of the answer. */
  noted: boolean;
  deliver(answer: Answer): void;
  break(): void;
}

export class Line {
  readonly number: number;
  readonly process: SimulatedProcess;
  readonly kind: "pool" | "session";
  backend: Backend | null = null;
  request: Request | null = null;
  private readonly queue: Request[] = [];
  inTransaction = false;
  /** Lanes whose epochs the present transaction has checked, and whether it wrote what needs that. */
  lanesChecked: number[] = [];
  wroteOutcome: string | null = null;
  /** Lanes of the steps that the present transaction has begun. */
  lanesBegun: number[] = [];
  /** When a statement reached the server last. */
  servedAtMs = 0;
  /** The process knows that it is broken. */
  lost = false;
  /** The process is gone from it, the server does not know yet. */
  orphan = false;
  closed = false;
  readonly channels = new Map<Channel, () => void>();
  private readonly hearers: ((error: Error) => void)[] = [];

  constructor(number: number, process: SimulatedProcess, kind: Line["kind"]) {
    this.number = number;
    this.process = process;
    this.kind = kind;
  }

  /** Resolves with the server's answer; rejects with its refusal, or when the line breaks. Of a dead process: never. */
  ask(text: string, values: readonly unknown[]): Promise<Extract<Answer, { ok: true }>> {
    return new Promise((resolve, reject) => {
      if (this.lost) {
        reject(new ConnectionLost(new Error("simulated")));
        return;
      }
      this.queue.push({
        text,
        name: statementName(text),
        values,
        state: "waiting",
        answer: null,
        blockedAs: 0,
        settled: Promise.resolve(),
        noted: false,
        deliver: (answer) => {
          if (answer.ok) resolve(answer);
          else reject(answer.error);
        },
        break: () => reject(new ConnectionLost(new Error("simulated"))),
      });
      this.next();
    });
  }

  private next(): void {
    if (this.request === null) this.request = this.queue.shift() ?? null;
  }

  /** The answer has reached the process. */
  take(): void {
    const { request } = this;
    if (request?.answer == null) throw new Error("there is no answer");
    this.request = null;
    request.deliver(request.answer);
    this.next();
  }

  /** The process finds out that the line is broken. What the server makes of it is another matter. */
  breakForProcess(): void {
    if (this.lost) return;
    this.lost = true;
    const error = new ConnectionLost(new Error("simulated"));
    if (this.process.alive) {
      this.request?.break();
      for (const request of this.queue.splice(0)) request.break();
      for (const hear of this.hearers) hear(error);
    }
  }

  onLost(hear: (error: Error) => void): void {
    this.hearers.push(hear);
  }
}

function statementName(text: string): string {
  return /\/\*\s*([\w.-]+)\s*\*\//.exec(text)?.[1] ?? text.trim().split(/\s+/)[0] ?? "";
}

/** A Kysely whose connections are lines of this process. */
export function simulatedDatabase(process: SimulatedProcess, size: number): Database {
  const idle: Line[] = [];
  const waiting: ((client: PostgresPoolClient) => void)[] = [];
  const clients = new Map<Line, PostgresPoolClient>();
  let open = 0;
  const clientOf = (line: Line): PostgresPoolClient => {
    const known = clients.get(line);
    if (known !== undefined) return known;
    const client = {
      query: async <R>(text: unknown, values: readonly unknown[] = []): Promise<PostgresQueryResult<R>> => {
        if (typeof text !== "string") throw new Error("no cursors");
        const { rows, rowCount, command } = await line.ask(text, values);
        return { rows: rows as R[], rowCount, command: command as "SELECT" };
      },
      release: (): void => {
        if (line.lost) {
          clients.delete(line);
          open--;
          const next = waiting.shift();
          if (next !== undefined) next(clientOf(openLine()));
          return;
        }
        const next = waiting.shift();
        if (next !== undefined) next(client);
        else idle.push(line);
      },
    } as PostgresPoolClient;
    clients.set(line, client);
    return client;
  };
  const openLine = (): Line => {
    open++;
    return process.openLine("pool");
  };
  return new Kysely<Tables>({
    dialect: new PostgresDialect({
      pool: {
        connect: async () => {
          if (!process.reachable()) throw new ConnectionLost(new Error("simulated: no server there"));
          for (let line = idle.shift(); line !== undefined; line = idle.shift()) {
            if (!line.lost) return clientOf(line);
            // A pool finds out that an idle connection broke, and forgets it.
            clients.delete(line);
            open--;
          }
          if (open < size) return clientOf(openLine());
          return new Promise((resolve) => waiting.push(resolve));
        },
        end: () => Promise.resolve(),
      },
    }),
  });
}

/** A dedicated connection of this process. */
export async function openSimulatedSession(process: SimulatedProcess): Promise<Session> {
  if (!process.reachable()) throw new ConnectionLost(new Error("simulated: no server there"));
  const line = process.openLine("session");
  const lost = new Promise<Error>((resolve) => line.onLost(resolve));
  const query = async <Row>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> => {
    const { rows } = await line.ask(text, values);
    return rows as unknown[] as Row[];
  };
  await query("/* session.pid */ select 1");
  return {
    query,
    lost,
    get backendPid() {
      return line.backend?.pid ?? 0;
    },
    tryLock: async (space, key) => {
      const [row] = await query<{ held: boolean }>("/* session.lock */ select pg_try_advisory_lock($1::int4, $2::int4) as held", [space, key]);
      return row?.held === true;
    },
    listen: async (channel, onNotify) => {
      line.channels.set(channel, onNotify);
      await query(`/* session.listen */ select $1::text`, [channel]);
    },
    close: async () => {
      process.closeLine(line);
      await lost;
    },
  };
}
