/** A PgBouncer of a test's own in front of a PostgreSQL, gone when the process that started it is gone. */
import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { debianProgram } from "./debian.ts";
import { freePort } from "./postgres.ts";
import { programUser, reachableTmp } from "./postgres-programs.ts";

export interface Pgbouncer {
  /** Through it. */
  readonly url: string;
  /** SIGKILL: every connection through it breaks. */
  kill(): Promise<void>;
  /** Starts it again, on the same port. */
  start(): Promise<void>;
  /** The application names of those who are connected to it now. */
  clients(): Promise<string[]>;
  stop(): Promise<void>;
}

/** Runs the program as its child, and ends it as soon as nobody holds stdin open any more. */
const keeper = `
  "$@" < /dev/null > /dev/null 2>&1 &
  program=$!
  echo $program
  cat > /dev/null
  kill -KILL $program 2> /dev/null
  wait $program`;

/** @param settings further lines of the section [pgbouncer] */
export async function startPgbouncer(target: string, settings: Readonly<Record<string, string>> = {}): Promise<Pgbouncer> {
  const { path, environment } = debianProgram("pgbouncer");
  const user = process.getuid?.() === 0 ? programUser() : null;
  const { hostname, port: serverPort, username, password, pathname } = new URL(target);
  const port = await freePort();
  const folder = mkdtempSync(join(reachableTmp(), "muster-test-pgbouncer-"));
  const write = (name: string, lines: readonly string[]): void => writeFileSync(join(folder, name), `${lines.join("\n")}\n`, { mode: 0o644 });
  write("users", [`"${username}" "${password}"`]);
  write("pgbouncer.ini", [
    "[databases]",
    `* = host=${hostname} port=${serverPort}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = scram-sha-256",
    `auth_file = ${join(folder, "users")}`,
    `stats_users = ${username}`,
    `logfile = ${join(folder, "log")}`,
    "pool_mode = transaction",
    ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
  ]);
  if (user !== null) chownSync(folder, user.uid, user.gid);
  const url = `postgres://${username}:${password}@127.0.0.1:${port}${pathname}`;

  let running: ChildProcess | null = null;
  const start = async (): Promise<void> => {
    const child = spawn("/bin/sh", ["-c", keeper, "sh", path, join(folder, "pgbouncer.ini")], {
      ...user,
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
      cwd: folder,
      env: { PATH: process.env["PATH"], ...environment },
    });
    running = child;
    while (!(await listens(port))) {
      if (child.exitCode !== null) throw new Error(`PgBouncer did not start; ${folder}/log says why`);
    }
    child.unref();
  };
  const kill = async (): Promise<void> => {
    const child = running;
    if (child === null) return;
    running = null;
    child.ref();
    const closed = new Promise((resolve) => child.once("exit", resolve));
    child.stdin?.end();
    await closed;
  };
  await start();
  return {
    url,
    start,
    kill,
    clients: async () => {
      const console = new pg.Client({ connectionString: `postgres://${username}:${password}@127.0.0.1:${port}/pgbouncer` });
      await console.connect();
      try {
        const { rows } = await console.query<{ application_name: string }>("show clients");
        return rows.map((row) => row.application_name);
      } finally {
        await console.end();
      }
    },
    stop: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      // Its port is the only signal it gives.
      setTimeout(resolve, answer ? 0 : 10, answer);
    };
    socket.once("connect", end(true)).once("error", end(false));
  });
}
