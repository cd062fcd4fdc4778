/**
 * Where the time goes: one load after the other, once under the profiler of Muster's processes, and once with PostgreSQL writing down how long each statement
 * took. Shares, not figures: to be looked at costs time itself.
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startPostgres, type TestPostgres } from "../test/support/postgres.ts";
import { startInstallation } from "./installation.ts";
import { type Load, type Scene, scenesOf } from "./loads.ts";
import { processTree } from "./process-tree.ts";
import { printTable, whole } from "./table.ts";

/** How many lines are told of each table. */
const told = 9;
const lookMs = 20;
/** The profiler itself is seen as `dispatch`. */
const notWork: ReadonlySet<string> = new Set(["(idle)", "dispatch"]);

/** What a unit's time was spent on. */
type Shares = ReadonlyMap<string, Share>;

interface Share {
  us: number;
  /** Of statements: how often. */
  times: number;
}

export async function benchProfile(members: number): Promise<void> {
  const rows: string[][] = [];
  for (const scene of scenesOf(members)) rows.push(...(await play(scene)));
  printTable(rows, { members }, ["what", "who", "on", "times", "µs", "share"]);
}

async function play(scene: Scene): Promise<string[][]> {
  const folder = mkdtempSync(join(tmpdir(), "muster-bench-profiles-"));
  cpSync(new URL("./profiler.cjs", import.meta.url), join(folder, "profiler.cjs"));
  const server = await startPostgres({ fsync: "on", full_page_writes: "on", autovacuum: "off", max_wal_size: "8GB" });
  const admin = new pg.Client({ connectionString: server.url("postgres") });
  await admin.connect();
  await admin.query("create database muster");
  const installation = await startInstallation(server.url("muster"), {
    ...scene.settings,
    NODE_OPTIONS: `--require ${join(folder, "profiler.cjs")}`,
  });
  try {
    const { loads, close } = await scene.loads(installation);
    const rows: string[][] = [];
    for (const load of loads) {
      await load.prepare?.();
      const processes = await underProfiler(load, installation.pid, folder);
      const statements = await underLog(load, admin, server);
      for (const [who, shares] of [...processes, ["PostgreSQL", statements] as const]) rows.push(...linesOf(load, who, shares));
    }
    await close();
    return rows;
  } finally {
    await installation.stop();
    await admin.end();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the API process, the workers and this bench itself spend the load's time on, by module; nothing of it is idle. */
async function underProfiler(load: Load, root: number, folder: string): Promise<(readonly [string, Shares])[]> {
  const watched = processTree(root).filter(({ title }) => /^muster (api|worker)/.test(title));
  for (const { pid } of watched) process.kill(pid, "SIGUSR2");
  const before = process.cpuUsage();
  await load.run();
  const { user, system } = process.cpuUsage(before);
  for (const { pid } of watched) process.kill(pid, "SIGUSR2");
  const found: (readonly [string, Shares])[] = [["who asks", new Map([["this bench", { us: (user + system) / load.units, times: 0 }]])]];
  for (const { pid, title } of watched) {
    const file = join(folder, `${pid}.cpuprofile`);
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, lookMs));
    found.push([title.replace(/^muster /, "").replace(/ \d+$/, ""), modulesIn(readFileSync(file, "utf8"), load.units)]);
    rmSync(file);
  }
  return found;
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string } }[];
  readonly samples: readonly number[];
  /** µs before each sample. */
  readonly timeDeltas: readonly number[];
}

function modulesIn(text: string, units: number): Shares {
  const { nodes, samples, timeDeltas }: CpuProfile = JSON.parse(text);
  const names = new Map(nodes.map(({ id, callFrame }) => [id, moduleOf(callFrame)]));
  const shares = new Map<string, Share>();
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? "";
    if (!notWork.has(name)) add(shares, name, (timeDeltas[i] ?? 0) / units, 0);
  }
  return shares;
}

function add(shares: Map<string, Share>, name: string, us: number, times: number): void {
  const share = shares.get(name) ?? { us: 0, times: 0 };
  shares.set(name, share);
  share.us += us;
  share.times += times;
}

function moduleOf({ functionName, url }: { readonly functionName: string; readonly url: string }): string {
  const library = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  const ours = /dist\/src\/([^/]+)\//.exec(url)?.[1];
  if (library !== undefined) return library;
  if (ours !== undefined) return `src/${ours}`;
  return url.startsWith("node:") ? "Node.js" : functionName;
}

/** How long PostgreSQL's processes were busy with each statement, by its name. */
async function underLog(load: Load, admin: pg.Client, { folder }: TestPostgres): Promise<Shares> {
  const log = join(folder, "log");
  const set = async (ms: 0 | -1): Promise<void> => {
    await admin.query(`alter system set log_min_duration_statement = ${ms}`);
    await admin.query("select pg_reload_conf()");
  };
  await set(0);
  const from = statSync(log).size;
  await load.run();
  await set(-1);
  const text = readFileSync(log).subarray(from).toString("utf8");
  const shares = new Map<string, Share>();
  for (const part of text.split(/(?=LOG: {2}duration: )/)) {
    const [, ms, phase] = /^LOG: {2}duration: ([\d.]+) ms {2}(\w+)/.exec(part) ?? [];
    if (ms === undefined) continue;
    const name = /\/\* ([\w.]+) \*\//.exec(part)?.[1] ?? /: (begin|commit|rollback)/.exec(part)?.[1] ?? "other";
    // Parsing and binding are told apart from it.
    const executes = phase === "execute" || phase === "statement";
    add(shares, name, (1_000 * Number(ms)) / load.units, executes ? 1 / load.units : 0);
  }
  return shares;
}

function linesOf({ name, unit }: Load, who: string, shares: Shares): string[][] {
  const sorted = [...shares].sort(([, a], [, b]) => b.us - a.us);
  const sumOf = (list: readonly (readonly [string, Share])[]): Share =>
    list.reduce((sum, [, { us, times }]) => ({ us: sum.us + us, times: sum.times + times }), { us: 0, times: 0 });
  const all = sumOf(sorted);
  const short = (value: number): string => (value < 10 ? value.toFixed(value < 1 ? 2 : 1) : whole(value));
  const line = (on: string, { us, times }: Share): string[] => [
    on,
    times === 0 ? "" : short(times),
    short(us),
    `${((100 * us) / all.us).toFixed(0)} %`,
  ];
  return [
    [name, who, ...line(`all, per ${unit}`, all)],
    ...sorted.slice(0, told).map(([on, share]) => ["", "", ...line(on, share)]),
    ["", "", ...line("the rest", sumOf(sorted.slice(told)))],
  ];
}
