/** Scratch: CPU per member, one process. */
import { execSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { randomBytes } from "node:crypto";
import pg from "pg";
import { sql } from "kysely";
import { startPostgres } from "./test/support/postgres.ts";
import { openDatabase } from "./src/store/database.ts";
import { migrate } from "./src/store/migrate.ts";
import { realRuntime } from "./src/main/runtime.ts";
import { createWake } from "./src/store/wake.ts";
import { createVault } from "./src/store/vault.ts";
import { createSimDriver } from "./src/drivers/sim/index.ts";
import { startSequencer } from "./src/engine/sequencer.ts";
import { startWorker } from "./src/engine/worker.ts";
import { openSession } from "./src/store/session.ts";
import { readInstallation } from "./src/store/installation.ts";
import { brandId } from "./src/core/ids.ts";
import { startFeed } from "./src/live/feed.ts";
import { createCluster, deleteCluster } from "./src/commands/cluster.ts";
import { createProfile } from "./src/commands/profile.ts";
import { checkCluster } from "./src/commands/cluster-job.ts";
import { defaultLimits } from "./src/core/limits.ts";

const members = Number(process.argv[2] ?? 50000);
const withFeed = !process.argv.includes("--nofeed");
const log: any = { level: "info", debug() {}, info() {}, warn: (...a: unknown[]) => console.log("warn", ...a), error: (...a: unknown[]) => console.log("error", ...a) };
log.child = () => log;
const postgres = await startPostgres({ fsync: "on", full_page_writes: "on", shared_preload_libraries: "pg_stat_statements", max_wal_size: "4GB", shared_buffers: "1GB", track_activity_query_size: "4096" });
const admin = new pg.Client({ connectionString: postgres.url("postgres") });
await admin.connect();
await admin.query("create database bench");
await admin.end();
const url = postgres.url("bench");
const db = openDatabase({ url, size: 8, applicationName: "bench" });
const runtime = realRuntime();
await migrate(url);
await sql`create extension if not exists pg_stat_statements`.execute(db);
const wake = createWake(db, runtime);
const store = { db, runtime, wake, writer: 0 };
const vault = createVault([randomBytes(32)]);
const sim = createSimDriver({ ...runtime, logger: log });
const drivers = new Map([[sim.type, sim]]);
const installation = (await readInstallation(db)).id;
const sequencer = startSequencer({ store, openSession: () => openSession({ url, applicationName: "seq" }), logger: log });
const worker = startWorker({ db, runtime, wake, openSession: () => openSession({ url, applicationName: "w" }), drivers, vault, logger: log, installation, host: { id: brandId("host", runtime.entropy.uuid()), name: "h", incarnation: "x", folder: "/tmp" }, pid: process.pid, version: "0", applicationName: "w" });
const feed = withFeed ? await startFeed({ store, openSession: () => openSession({ url, applicationName: "feed" }), logger: log, limits: defaultLimits }) : null;
const abort = new AbortController();
if (feed) void (async () => { for await (const _ of feed.subscribe({ filter: { projectId: null, typeCodes: [] }, after: null, signal: abort.signal })) { /* none */ } })();
const projectId = (await sql<{ id: string }>`select id from muster.project`.execute(db)).rows[0]!.id;
const context: any = { store, vault, drivers, limits: defaultLimits, principal: { tokenId: brandId("token", runtime.entropy.uuid()), tokenName: "t", projectId, role: "OPERATOR", expiresAtMs: null }, processPolicy: { mode: "off" } };
const ticks = 100;
const pgCpu = (): number => {
  let sum = 0;
  const pm = String(postgres.pid());
  for (const pid of readdirSync("/proc").filter((n) => /^\d+$/.test(n))) {
    try { const s = readFileSync(`/proc/${pid}/stat`, "utf8"); const f = s.slice(s.lastIndexOf(")") + 2).split(" "); if (f[1] === pm || pid === pm) sum += Number(f[11]) + Number(f[12]) + (pid === pm ? Number(f[13]) + Number(f[14]) : 0); } catch { /* gone */ }
  }
  return sum / ticks;
};
const until = async (f: () => Promise<boolean>): Promise<void> => { while (!(await f())) await new Promise((r) => setTimeout(r, 50)); };
const finished = async (id: string): Promise<boolean> => ((await sql<{ f: boolean }>`select finished_at is not null as f from muster.action where id = ${id}`.execute(db)).rows[0]?.f ?? true);
async function measure(name: string, n: number, act: () => Promise<string>): Promise<void> {
  await sql`select pg_stat_statements_reset()`.execute(db);
  const c0 = process.cpuUsage(), p0 = pgCpu(), t0 = performance.now();
  const e0 = Number((await sql<{ c: string }>`select last_value as c from muster.batch`.execute(db)).rows[0]!.c);
  const id = await act();
  await until(() => finished(id));
  const wall = performance.now() - t0, c = process.cpuUsage(c0), p = pgCpu() - p0;
  console.log(`\n== ${name}: ${n} in ${(wall / 1000).toFixed(2)} s = ${Math.round(n / wall * 1000)}/s; node ${((c.user + c.system) / n).toFixed(1)} µs, postgres ${(p * 1e6 / n).toFixed(1)} µs each; sum ${(((c.user + c.system) + p * 1e6) / n).toFixed(1)}`);
  void e0;
  const { rows } = await sql<{ q: string; calls: string; us: string; rows: string }>`select left(regexp_replace(query, '[[:space:]]+', ' ', 'g'), 60) as q, calls, round((total_exec_time + total_plan_time)::numeric * 1000 / ${n}, 2) as us, rows from pg_stat_statements order by total_exec_time desc limit 16`.execute(db);
  for (const r of rows) console.log(`  ${String(r.us).padStart(8)} µs  ${String(r.calls).padStart(6)}×  ${String(r.rows).padStart(9)} rows  ${r.q}`);
}

const must = (r: any): any => { if (!r.ok) throw new Error(JSON.stringify(r)); return r.value; };
must(await createProfile(context, { name: "p", type: "sim", spec: {} } as never));
let clusterId = "";
await new Promise((r) => setTimeout(r, 1500));
await measure("grow", members, async () => { const v = must(await createCluster(context, { name: "c", profile: { name: "p" }, desiredCapacity: members, minSize: 0, timeoutSeconds: 3600 } as never)); clusterId = v.clusterId; return v.actionId; });
await new Promise((r) => setTimeout(r, 1000));
if (process.argv.includes("--check")) await measure("check", members, async () => must(await checkCluster(context, { cluster: { name: "c" } } as never)).actionId);
if (process.argv.includes("--delete")) await measure("delete", members, async () => must(await deleteCluster(context, { cluster: { name: "c" }, abandon: false } as never)).actionId);
void clusterId;
abort.abort(); await feed?.close(); await worker.stop(); await sequencer.stop(); await wake.close(); await db.destroy(); await postgres.stop(); void execSync;
process.exit(0);
