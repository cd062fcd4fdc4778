/** A Muster of a test's own, as a user starts it: real processes, asked over HTTP, and looked for when it is over. */
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Muster, type SpawnOptions, spawnMuster } from "./spawn.ts";

export interface TestInstallation {
  readonly muster: Muster;
  readonly url: string;
  readonly token: string;
}

/** A folder to start in; its path holds a space, as some do. What runs there is found by its working directory. */
export function startFolder(mode = 0o755): string {
  const folder = mkdtempSync(join(tmpdir(), "muster start "));
  chmodSync(folder, mode);
  return folder;
}

/** Starts `muster start` in the folder and waits until it says where it is. */
export async function startMuster(folder: string, options: Partial<SpawnOptions> = {}): Promise<TestInstallation> {
  const muster = spawnMuster({ args: ["start"], cwd: folder, ...options, env: { MUSTER_PORT: "0", MUSTER_WORKERS: "1", ...options.env } });
  const [, url = ""] = await muster.line(/GraphQL +(http:\S+)\/graphql$/);
  return { muster, url, token: readFileSync(join(folder, ".muster/admin-token"), "utf8").trim() };
}

export interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly { readonly message: string }[];
}

export async function ask({ url, token }: Pick<TestInstallation, "url" | "token">, query: string, variables: object = {}): Promise<Answer> {
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as Answer;
}

/** Asks until the answer is as wanted; a server that is away is asked again. The test's own time-out ends it. */
export async function askUntil(at: Pick<TestInstallation, "url" | "token">, query: string, wanted: (answer: Answer) => boolean): Promise<Answer> {
  for (;;) {
    try {
      const answer = await ask(at, query);
      if (wanted(answer)) return answer;
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    }
    await pause();
  }
}

/** Resolves when the condition holds. The system gives no signal for what processes of others do: it is looked at again and again. */
export async function until<T>(look: () => T | null | undefined | false | Promise<T | null | undefined | false>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    await pause();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

export interface Seen {
  readonly pid: number;
  readonly parent: number;
  readonly title: string;
}

/** The processes that run in the folder or below it, or in the place of its database: our own, PostgreSQL's and members. */
export function runningIn(folder: string): Seen[] {
  const places = [folder, databaseOf(folder)];
  return readdirSync("/proc").flatMap((entry) => {
    try {
      const at = /^\d+$/.test(entry) ? readlinkSync(`/proc/${entry}/cwd`) : "";
      if (!places.some((place) => at === place || at.startsWith(`${place}/`))) return [];
      const [state, parent] = statOf(entry);
      const title = readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      return state === "Z" ? [] : [{ pid: Number(entry), parent: Number(parent), title }];
    } catch {
      // It ended meanwhile, or is somebody else's.
      return [];
    }
  });
}

/** Where the embedded PostgreSQL keeps its data: below the folder, or where its user can reach it. */
export function databaseOf(folder: string): string {
  for (const state of [".muster/postgres.json", ".muster/demo/postgres.json"]) {
    const file = join(folder, state);
    if (existsSync(file)) return (JSON.parse(readFileSync(file, "utf8")) as { folder: string }).folder;
  }
  return folder;
}

function statOf(pid: string): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

export function find(folder: string, title: RegExp): Seen | undefined {
  return runningIn(folder).find((seen) => title.test(seen.title));
}

/** The same, where it must be there. Never lets a missing one become pid 0, which would mean ourselves. */
export function pidOf(folder: string, title: RegExp): number {
  const seen = find(folder, title);
  if (seen === undefined) throw new Error(`nothing runs that is called ${String(title)}`);
  return seen.pid;
}

/** kill -9 of everything that runs in the folder; some of it ends by itself while the rest is being killed. */
export function killAllIn(folder: string): void {
  for (const { pid } of runningIn(folder)) killIfThere(pid);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** Ends whatever is left and removes the folder, and the database where it stands elsewhere. */
export function clearFolder(folder: string): void {
  killAllIn(folder);
  for (const place of [databaseOf(folder), folder]) rmSync(place, { recursive: true, force: true, maxRetries: 5 });
}
