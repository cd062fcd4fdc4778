/**
 * A TCP proxy between us and PostgreSQL that misbehaves on request: cuts with FIN, with RST or silently, delays, freezes, holds a chosen statement, and
 * loses a COMMIT or its answer. It understands messages, so that it can say which transaction it hurts.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Message, MessageSplitter, startupParameter, statementName, statementText } from "./postgres-wire.ts";

/** What a connection is about to do. */
export interface Step {
  readonly applicationName: string;
  /** The statement's name, or `begin`, `commit`, `rollback`. */
  readonly statement: string;
  /** The names of the statements of this transaction so far, this one last. */
  readonly transaction: readonly string[];
}

/** A connection that stands still before a step. */
export interface Held {
  readonly step: Step;
  /** Lets the step, and what follows, go on. */
  release(): void;
  /** Cuts the connection; the step never reaches the server. */
  cut(): void;
}

/** fin: closed in order; rst: reset; silence: nobody hears anything any more, and nobody is told. */
export type Cut = "fin" | "rst" | "silence";

interface Trap {
  readonly when: (step: Step) => boolean;
  readonly spring: (connection: Connection, message: Message, step: Step) => void;
}

export interface DatabaseProxy {
  /** The connection string, through the proxy. */
  readonly url: string;
  /** Names of all statements that passed, in order. */
  readonly statements: readonly string[];
  /** Cuts every connection there is; new ones are let through. */
  cut(how: Cut): void;
  /** Nothing passes any more, in either direction, on old and new connections, until `thaw`. */
  freeze(): void;
  thaw(): void;
  /** Holds every message back for so many milliseconds. */
  delay(ms: number): void;
  /** Holds the next step that matches. */
  hold(when: (step: Step) => boolean): Promise<Held>;
  /** The next step that matches takes effect, and nothing is heard of it or after it on its connection. Resolves when the server has answered. */
  holdReply(when: (step: Step) => boolean): Promise<Step>;
  /** The same, but what the server answered is kept, and heard when it is released. */
  holdAnswer(when: (step: Step) => boolean): Promise<{ release(): void }>;
  /** The next COMMIT that matches takes effect, and its answer is lost with the connection. Resolves when that has happened. */
  loseCommitReply(when?: (step: Step) => boolean): Promise<Step>;
  /** The next COMMIT that matches never arrives, and the connection is lost. */
  loseCommit(when?: (step: Step) => boolean): Promise<Step>;
  close(): Promise<void>;
}

class Connection {
  readonly toServer = new MessageSplitter(true);
  readonly toClient = new MessageSplitter(false);
  applicationName = "";
  transaction: string[] = [];
  /** While set, what the client sends waits here. */
  waiting: Message[] | null = null;
  /** While set, what the server answers is swallowed, and this is called with each message. */
  swallow: ((message: Message) => void) | null = null;
  silent = false;

  readonly client: Socket;
  readonly server: Socket;

  constructor(client: Socket, server: Socket) {
    this.client = client;
    this.server = server;
  }

  end(how: Cut): void {
    if (how === "silence") {
      this.silent = true;
      return;
    }
    for (const socket of [this.client, this.server]) {
      if (how === "rst") socket.resetAndDestroy();
      else socket.destroy();
    }
  }
}

export async function startProxy(target: string): Promise<DatabaseProxy> {
  const upstream = new URL(target);
  const connections = new Set<Connection>();
  const traps: Trap[] = [];
  const statements: string[] = [];
  let frozen = false;
  let delayMs = 0;
  let thawed: (() => void)[] = [];

  const whenPassable = (action: () => void): void => {
    if (frozen) thawed.push(() => whenPassable(action));
    else if (delayMs > 0) setTimeout(action, delayMs);
    else action();
  };

  const pass = (connection: Connection, message: Message): void => {
    if (connection.waiting !== null) {
      connection.waiting.push(message);
      return;
    }
    if (message.type === "startup") connection.applicationName = startupParameter(message, "application_name");
    const text = statementText(message);
    if (text !== null) {
      const statement = statementName(text);
      if (statement === "begin") connection.transaction = [];
      connection.transaction.push(statement);
      statements.push(statement);
      const step = { applicationName: connection.applicationName, statement, transaction: [...connection.transaction] };
      const index = traps.findIndex((trap) => trap.when(step));
      const [trap] = index < 0 ? [] : traps.splice(index, 1);
      if (trap !== undefined) {
        trap.spring(connection, message, step);
        return;
      }
    }
    if (!connection.silent) connection.server.write(message.bytes);
  };

  const server = createServer((client) => {
    const connection = new Connection(client, connect(Number(upstream.port), upstream.hostname));
    connections.add(connection);
    client.setNoDelay(true);
    connection.server.setNoDelay(true);
    client.on("data", (chunk: Buffer) => {
      for (const message of connection.toServer.push(chunk)) whenPassable(() => pass(connection, message));
    });
    connection.server.on("data", (chunk: Buffer) => {
      for (const message of connection.toClient.push(chunk)) {
        whenPassable(() => {
          if (connection.swallow !== null) connection.swallow(message);
          else if (!connection.silent) client.write(message.bytes);
        });
      }
    });
    const over = (other: Socket): void => {
      if (connection.silent) return;
      connections.delete(connection);
      other.destroy();
    };
    client.on("error", () => undefined).on("close", () => over(connection.server));
    connection.server.on("error", () => undefined).on("close", () => over(client));
  });
  const port = await listen(server);
  const url = new URL(target);
  url.hostname = "127.0.0.1";
  url.port = String(port);

  const trap = <T>(when: Trap["when"], spring: (resolve: (value: T) => void) => Trap["spring"]): Promise<T> =>
    new Promise((resolve) => traps.push({ when, spring: spring(resolve) }));
  const isCommit =
    (when: (step: Step) => boolean) =>
    (step: Step): boolean =>
      step.statement === "commit" && when(step);

  return {
    url: url.href,
    statements,
    cut: (how) => {
      for (const connection of connections) connection.end(how);
    },
    freeze: () => {
      frozen = true;
    },
    thaw: () => {
      frozen = false;
      const waiting = thawed;
      thawed = [];
      for (const action of waiting) action();
    },
    delay: (ms) => {
      delayMs = ms;
    },
    hold: (when) =>
      trap<Held>(when, (resolve) => (connection, message, step) => {
        connection.waiting = [];
        const release = (): void => {
          const waiting = connection.waiting ?? [];
          connection.waiting = null;
          connection.server.write(message.bytes);
          for (const later of waiting) pass(connection, later);
        };
        resolve({ step, release, cut: () => connection.end("rst") });
      }),
    holdReply: (when) =>
      trap<Step>(when, (resolve) => (connection, message, step) => {
        connection.swallow = (answer) => {
          // Ready for the next query: it has taken effect.
          if (answer.type === "Z") resolve(step);
        };
        connection.server.write(message.bytes);
      }),
    holdAnswer: (when) =>
      trap<{ release(): void }>(when, (resolve) => (connection, message) => {
        const kept: Message[] = [];
        const release = (): void => {
          connection.swallow = null;
          for (const answer of kept) connection.client.write(answer.bytes);
        };
        connection.swallow = (answer) => {
          kept.push(answer);
          if (answer.type === "Z") resolve({ release });
        };
        connection.server.write(message.bytes);
      }),
    loseCommitReply: (when = () => true) =>
      trap<Step>(isCommit(when), (resolve) => (connection, message, step) => {
        connection.swallow = (answer) => {
          // Ready for the next query: it is committed.
          if (answer.type !== "Z") return;
          connection.end("rst");
          resolve(step);
        };
        connection.server.write(message.bytes);
      }),
    loseCommit: (when = () => true) =>
      trap<Step>(isCommit(when), (resolve) => (connection, _message, step) => {
        connection.end("rst");
        resolve(step);
      }),
    close: async () => {
      for (const connection of connections) {
        connection.client.destroy();
        connection.server.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address !== null && typeof address === "object") resolve(address.port);
      else reject(new Error("the proxy got no port"));
    });
  });
}
