/**
 * How long work stands still when a worker or PostgreSQL is struck while two workers have thousands of slow tasks in flight. Beside those, members of a
 * small cluster are checked all the time: how long such a check takes, from its mutation to its end, is what a user notices.
 */
import { sql } from "kysely";
import { createCluster } from "../src/commands/cluster.ts";
import type { CommandContext } from "../src/commands/command.ts";
import { checkClusterNode } from "../src/commands/node-job.ts";
import { createProfile } from "../src/commands/profile.ts";
import { actionKindCodec, actionStatusCodes } from "../src/core/action.ts";
import { encodeId, type NodeId } from "../src/core/ids.ts";
import { nodeStatusCodes } from "../src/core/node.ts";
import type { Runtime } from "../src/core/runtime.ts";
import { realRuntime } from "../src/main/runtime.ts";
import { type Database, openDatabase } from "../src/store/database.ts";
import { isAbsence } from "../src/store/failure.ts";
import { createWake } from "../src/store/wake.ts";
import { commandContext } from "../test/chaos/command-context.ts";
import { type Installation, type Part, startInstallation } from "../test/chaos/installation.ts";
import { watchLanes } from "../test/chaos/watcher.ts";
import { must } from "../test/support/cluster.ts";
import { against, type Goal, goals } from "./goal.ts";
import { printTable } from "./table.ts";

/** So many that none is checked again while a strike lasts: the second check would end the first. */
const beats = 300;
/** Between two checks, ms. */
const beatMs = 50;
/** Each has at most 4,000 calls in flight: so many together. */
const workers = 3;
const inFlight = 10_000;
/** Before a strike, and after everything is there again, ms. */
const calmMs = 3_000;

interface Strike {
  readonly name: string;
  /** Of the longest check; a worker that is told to stop has nothing to be found out. */
  readonly goal: Goal;
  /** Strikes, waits until it must have been noticed, mends. Resolves to the moment from which the database could be asked again, if it could not. */
  readonly work: (installation: Installation, victim: Part, runtime: Runtime) => Promise<Date | null>;
}

const strikes: readonly Strike[] = [
  {
    name: "kill -9",
    goal: goals.killedMs,
    work: async (_, victim, { timers }) => {
      await victim.kill();
      await timers.wait(4_000);
      await victim.revive();
      return null;
    },
  },
  {
    name: "SIGSTOP for 9 s",
    goal: goals.frozenMs,
    work: async (_, victim, { timers }) => {
      victim.freeze();
      await timers.wait(9_000);
      victim.thaw();
      return null;
    },
  },
  {
    name: "cut off without FIN for 9 s",
    goal: goals.frozenMs,
    work: async (_, victim, { timers }) => {
      victim.proxy.freeze();
      await timers.wait(9_000);
      victim.proxy.thaw();
      return null;
    },
  },
  {
    name: "SIGTERM and started again",
    goal: goals.handedOverMs,
    work: async (_, victim) => {
      await victim.stop();
      await victim.revive();
      return null;
    },
  },
  {
    name: "kill -9 of PostgreSQL, started again",
    goal: goals.postgresBackMs,
    work: async ({ postgres, restartPostgres }) => {
      await postgres.signal("SIGKILL");
      await restartPostgres();
      return new Date();
    },
  },
];

/** @param members being made while each strike falls */
export async function benchTakeover(members: number): Promise<void> {
  const runtime = realRuntime();
  const installation = await startInstallation(runtime.timers, { workers, apis: 1 });
  const db = openDatabase({ url: installation.url, size: 4, applicationName: "bench" });
  const wake = createWake(db, runtime);
  const rows: (readonly [string, string])[] = [];
  try {
    const context = await commandContext(installation, db, runtime, wake);
    await makeCluster(context, "beat", beats, 0);
    await until(runtime, async () => (await activeIn(db, "beat")) === beats);
    const nodes = await db.selectFrom("muster.node").select("id").execute();
    const watcher = watchLanes(db, runtime);
    for (const [n, { name, goal, work }] of strikes.entries()) {
      await makeCluster(context, `slow-${n}`, members, 20_000);
      const before = (await installation.provider.books()).created;
      // Each worker has so many calls in flight at most; the rest is due behind them.
      await until(runtime, async () => (await installation.provider.books()).created - before >= Math.min(members, inFlight));
      const ending = new AbortController();
      const calmFrom = new Date();
      const checking = check(
        context,
        nodes.map((node) => node.id),
        runtime,
        ending.signal,
      );
      await runtime.timers.wait(calmMs);
      const [victim] = installation.workers;
      if (victim === undefined) throw new Error("there is no worker");
      const calm = await longestCheck(db, calmFrom);
      const struckAt = new Date();
      watcher.struck(victim.name(), name);
      const backAt = await work(installation, victim, runtime);
      await runtime.timers.wait(calmMs);
      ending.abort();
      await checking;
      await until(runtime, () => allChecked(db));
      const taken = watcher.takeovers.find(({ kind }) => kind === name);
      const longest = await longestCheck(db, backAt ?? struckAt);
      rows.push([`${name}: lanes have another owner after`, backAt !== null || taken === undefined ? "-" : `${Math.round(taken.ms)} ms`]);
      rows.push([
        `${name}: longest check, ${backAt === null ? "from then on" : "of those begun since it accepts"} (before: ${calm} ms)`,
        `${longest} ms${against(longest, goal)}`,
      ]);
      console.error(
        rows
          .slice(-2)
          .map((row) => row.join(": "))
          .join("\n"),
      );
      watcher.disturbed();
      await until(runtime, async () => (await activeIn(db, `slow-${n}`)) === members);
    }
    await watcher.stop();
    const books = await installation.provider.books();
    const failed = await db.selectFrom("muster.action").select("id").where("status", "=", actionStatusCodes.FAILED).execute();
    rows.push(
      ["members made; wanted", `${books.created}; ${beats + strikes.length * members}`],
      ["members made twice, tokens shared, keys with two effects", `${books.doubles.length}, ${books.sharedFences.length}, ${books.repeated.length}`],
      ["effects refused for an old token", String(books.fencedOff)],
      ["actions FAILED", String(failed.length)],
    );
    printTable(rows, { takeover: Object.fromEntries(rows) });
  } finally {
    await wake.close();
    await db.destroy();
    await installation.stop({ keep: false });
  }
}

async function makeCluster(context: CommandContext, name: string, desiredCapacity: number, createMs: number): Promise<void> {
  must(await createProfile(context, { name, type: "sim", spec: { createMs } }));
  must(await createCluster(context, { name, profile: { name }, desiredCapacity, minSize: 0, timeoutSeconds: 3_600 }));
}

/** Has one member after the other checked; while the database is away nobody can ask. */
async function check(context: CommandContext, nodes: readonly NodeId[], { timers }: Runtime, signal: AbortSignal): Promise<void> {
  for (let n = 0; !signal.aborted; n++) {
    const id = nodes[n % nodes.length];
    if (id === undefined) throw new Error("there is no member");
    await checkClusterNode(context, { node: { id: encodeId("node", id) } }).catch((error: unknown) => {
      if (!isAbsence(error)) throw error;
    });
    await timers.wait(beatMs, signal);
  }
}

const checks = actionKindCodec.code("NODE_CHECK");

async function longestCheck(db: Database, since: Date): Promise<number> {
  const { rows } = await sql<{ ms: string | null }>`
    /* bench.checks */
    select max(extract(epoch from finished_at - created_at)) * 1000 as ms from muster.action where kind = ${checks} and created_at >= ${since}`.execute(
    db,
  );
  return Math.round(Number(rows[0]?.ms ?? 0));
}

async function allChecked(db: Database): Promise<boolean> {
  const open = await db.selectFrom("muster.action").select("id").where("kind", "=", checks).where("finished_at", "is", null).limit(1).execute();
  return open.length === 0;
}

async function activeIn(db: Database, name: string): Promise<number> {
  const row = await db
    .selectFrom("muster.node as n")
    .innerJoin("muster.cluster as c", "c.id", "n.cluster_id")
    .select((e) => e.fn.countAll<bigint>().as("active"))
    .where("c.name", "=", name)
    .where("n.status", "=", nodeStatusCodes.ACTIVE)
    .executeTakeFirstOrThrow();
  return Number(row.active);
}

async function until({ timers }: Runtime, look: () => Promise<boolean>): Promise<void> {
  while (!(await look())) await timers.wait(100);
}
