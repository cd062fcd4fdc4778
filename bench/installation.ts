/** A whole Muster for the bench: `muster start` from dist/ in a folder of its own, asked over its API like any other. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ApiClient, connect } from "../src/cli/client.ts";

export interface Installation {
  readonly pid: number;
  readonly client: ApiClient;
  /** Of its API, without a path. */
  readonly url: string;
  /** Of an OPERATOR. */
  readonly token: string;
  /** Its data folder. */
  readonly data: string;
  /** Its database, as it sees it itself. */
  readonly databaseUrl: string;
  stop(): Promise<void>;
}

const program = fileURLToPath(new URL("../dist/src/main/muster.js", import.meta.url));

/**
 * @param databaseUrl a server that runs already, instead of one of its own
 * @param settings besides those that every bench has
 */
export async function startInstallation(databaseUrl: string | null = null, settings: Readonly<Record<string, string>> = {}): Promise<Installation> {
  const folder = mkdtempSync(join(tmpdir(), "muster-bench-"));
  // Root's PostgreSQL runs as another user; closed to that one, its data would stand elsewhere and stay behind.
  chmodSync(folder, 0o755);
  const data = join(folder, "data");
  const token = `bench-${randomBytes(16).toString("hex")}`;
  const child = spawn(process.execPath, [program, "start"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"] ?? folder,
      MUSTER_DATA: data,
      MUSTER_PORT: "0",
      MUSTER_ADMIN_TOKEN: token,
      MUSTER_LOG_LEVEL: "warn",
      // The limit of one token is not what is measured.
      MUSTER_LIMIT_TOKEN_REQUESTS_PER_SECOND: "100000",
      ...(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl }),
      ...settings,
    },
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  // A bench that ends in an error, or is told to end, leaves nobody behind who would spoil the next one.
  const end = (): void => void child.kill("SIGINT");
  process.once("exit", end);
  const leave = (): never => process.exit(1);
  process.once("SIGTERM", leave).once("SIGINT", leave);
  const url = await new Promise<string>((resolve, reject) => {
    let output = "";
    const hear = (chunk: Buffer): void => {
      output += chunk.toString("utf8");
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("exit", () => reject(new Error(`muster did not start:\n${output}`)));
  });
  const client = connect({ url, token });
  return {
    pid: child.pid ?? 0,
    client,
    url,
    token,
    data,
    databaseUrl: databaseUrl ?? embeddedUrl(data),
    stop: async () => {
      await client.close();
      end();
      await exited;
      process.off("exit", end).off("SIGTERM", leave).off("SIGINT", leave);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Where the embedded server of a data folder is, as `muster start` remembers it. */
function embeddedUrl(data: string): string {
  const { port, password }: { port: number; password: string } = JSON.parse(readFileSync(join(data, "postgres.json"), "utf8"));
  return `postgres://muster:${password}@127.0.0.1:${port}/muster`;
}
