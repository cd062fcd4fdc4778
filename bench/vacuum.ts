/**
 * Whether autovacuum keeps up with what rewrites rows: three passes in which every member's health changes (written as the engine's outbox writes it: in
 * windows, with notable rows, events and counts), then three checks of all members, each a row of the task table made, begun and removed. Muster runs meanwhile.
 * Growth beyond what is stated here ends the program with 1.
 */
import { sql } from "kysely";
import type { HealthStatus } from "../src/core/health.ts";
import { decodeId, type NodeId } from "../src/core/ids.ts";
import { realRuntime } from "../src/main/runtime.ts";
import { type Database, openDatabase } from "../src/store/database.ts";
import { lockNodes, saveNodes } from "../src/store/node-write.ts";
import { type Store, transaction } from "../src/store/transaction.ts";
import { createWake } from "../src/store/wake.ts";
import { check, listen, makeCluster, makeProfile } from "./ask.ts";
import { startInstallation } from "./installation.ts";
import { printTable, whole } from "./table.ts";

/** Of one transaction, as the outbox writes them. */
const windowSize = 1_000;
const passes = 3;
/** Of the node table with its indexes, after the passes against before them; of the narrow tables, after the last pass against after the first. */
const mostGrowth = 1.5;
/** With fewer members it is over before autovacuum has come round (every 10 s). */
const fewestJudged = 100_000;
/** What the passes change. */
const tables = ["node", "notable", "task"] as const;

interface TableState {
  readonly table: string;
  /** With indexes and TOAST. */
  readonly bytes: number;
  readonly heapBytes: number;
  readonly dead: number;
  readonly updates: number;
  readonly hot: number;
  readonly vacuums: number;
}

interface Pass {
  readonly name: string;
  readonly perSecond: number;
  readonly states: readonly TableState[];
}

export async function benchVacuum(members: number): Promise<void> {
  const { client, databaseUrl, stop } = await startInstallation();
  const runtime = realRuntime();
  const db = openDatabase({ url: databaseUrl, size: 4, applicationName: "bench" });
  const wake = createWake(db, runtime);
  const store: Store = { db, runtime, wake, writer: 0 };
  try {
    await makeProfile(client, "worn", "sim", {});
    const ends = await listen(client, ["action.finished"]);
    const done: Pass[] = [];
    const timed = async (name: string, work: () => Promise<void>): Promise<void> => {
      const startedMs = performance.now();
      await work();
      const perSecond = members / ((performance.now() - startedMs) / 1_000);
      done.push({ name, perSecond, states: await look(db) });
      console.error(`${name}: ${whole(perSecond)} members/s`);
    };
    const ended = async (actionId: string): Promise<void> => {
      const line = await ends.next((each) => each.actionId === actionId);
      if (line.data["status"] !== "SUCCEEDED") throw new Error(`the action ended as ${String(line.data["status"])}`);
    };
    let cluster = "";
    await timed("made", async () => {
      const { clusterId, actionId } = await makeCluster(client, "worn", members);
      cluster = clusterId;
      await ended(actionId);
    });
    for (let pass = 1; pass <= passes; pass++) {
      await timed(`health ${pass}`, () => changeHealth(store, cluster, pass % 2 === 1 ? "UNKNOWN" : "HEALTHY"));
    }
    for (let pass = 1; pass <= passes; pass++) await timed(`check ${pass}`, async () => ended(await check(client, cluster)));
    ends.close();
    tell(members, done);
  } finally {
    await wake.close();
    await db.destroy();
    await stop();
  }
}

/** Writes that of every member, in id order. */
async function changeHealth(store: Store, cluster: string, health: HealthStatus): Promise<void> {
  const clusterId = decodeId("cluster", cluster);
  if (clusterId === null) throw new Error("not a cluster's id");
  let after: NodeId | null = null;
  for (;;) {
    const ids: NodeId[] = await nextMembers(store.db, clusterId, after);
    if (ids.length === 0) return;
    await transaction(store, async (tx) => {
      const nodes = await lockNodes(tx.db, ids);
      const now = await tx.now();
      const patch = { health, healthReason: "BENCH" };
      await saveNodes(
        tx,
        now,
        nodes.map((node) => ({ node, patch })),
      );
    });
    after = ids.at(-1) ?? null;
  }
}

async function nextMembers(db: Database, clusterId: string, after: NodeId | null): Promise<NodeId[]> {
  const { rows } = await sql<{ id: NodeId }>`
    /* bench.members */
    select id from muster.node
     where cluster_id = ${clusterId} and id > coalesce(${after}::uuid, '00000000-0000-0000-0000-000000000000') order by id limit ${windowSize}`.execute(
    db,
  );
  return rows.map(({ id }) => id);
}

async function look(db: Database): Promise<TableState[]> {
  // Counts reach the books about a second after they happened.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const { rows } = await sql<Record<keyof TableState, string>>`
    /* bench.tables */
    select relname as table, pg_total_relation_size(relid) as bytes, pg_relation_size(relid) as "heapBytes", n_dead_tup as dead,
           n_tup_upd as updates, n_tup_hot_upd as hot, autovacuum_count as vacuums
      from pg_stat_user_tables where schemaname = 'muster' and relname = any(${tables}::text[])`.execute(db);
  return rows.map(({ table, ...numbers }) => ({
    table,
    bytes: Number(numbers.bytes),
    heapBytes: Number(numbers.heapBytes),
    dead: Number(numbers.dead),
    updates: Number(numbers.updates),
    hot: Number(numbers.hot),
    vacuums: Number(numbers.vacuums),
  }));
}

function tell(members: number, done: readonly Pass[]): void {
  const rows: (readonly [string, string])[] = [];
  for (const [n, { name, perSecond, states }] of done.entries()) {
    rows.push([`${name}: members/s`, whole(perSecond)]);
    for (const state of states) {
      const before = done[n - 1]?.states.find(({ table }) => table === state.table);
      const updates = state.updates - (before?.updates ?? 0);
      const hot = updates === 0 ? "-" : `${Math.round((100 * (state.hot - (before?.hot ?? 0))) / updates)} %`;
      const size = `${mib(state.bytes)} (${mib(state.heapBytes)}) MiB, ${whole(state.dead)}, ${hot}, ${state.vacuums - (before?.vacuums ?? 0)}`;
      rows.push([`${name}: ${state.table} with indexes (heap), dead rows, updates that were HOT, autovacuums`, size]);
    }
  }
  const bytes = (name: string, table: string): number =>
    done.find((pass) => pass.name === name)?.states.find((state) => state.table === table)?.bytes ?? 0;
  const growth = {
    node: bytes(`check ${passes}`, "node") / bytes("made", "node"),
    notable: bytes(`health ${passes}`, "notable") / bytes("health 1", "notable"),
    task: bytes(`check ${passes}`, "task") / bytes("check 1", "task"),
  };
  for (const [table, factor] of Object.entries(growth)) {
    const verdict = members < fewestJudged ? " (too few members to judge)" : factor > mostGrowth ? " MISSED" : "";
    rows.push([`${table} has grown by a factor of (at most ${mostGrowth})`, `${factor.toFixed(2)}${verdict}`]);
    if (verdict === " MISSED") process.exitCode = 1;
  }
  printTable(rows, { members, passes: done, growth, mostGrowth });
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
