/**
 * Muster beside graphile-worker and pg-boss, in one run: no-op work a second, how soon one piece begins, and who takes over from a worker that was killed. All on
 * one server with the settings of `muster start`, one after the other, each on a database of its own; nobody else works meanwhile.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { connectionsAllowed } from "../src/main/connections.ts";
import { startEmbedded } from "../src/main/postgres.ts";
import { realRuntime } from "../src/main/runtime.ts";
import { createTestLog } from "../test/support/log.ts";
import { against, beside, goals } from "./goal.ts";
import { type Mode, measurePeer, type PeerFigures, type PeerSize, peerWorkers } from "./peer/measure.ts";
import { type MusterSize, measureThroughput, measureTiming, type Throughput, type Timing } from "./peer/muster.ts";
import { type PeerName, peerVersions } from "./peer/package.ts";
import type { Latency } from "./statistic.ts";
import { latency, printTable, spread, whole } from "./table.ts";

/** What their documentation says of work that a dead worker held. */
const documented: Readonly<Record<PeerName, string>> = {
  "graphile-worker": "documented: locked up to 4 h",
  "pg-boss": "documented: until it expires, 15 min by default",
};

/** @param jobs of a batched round, and members of Muster's cluster */
export async function benchPeers(jobs: number, quick: boolean): Promise<void> {
  const [rounds, singles, patienceMs] = quick ? [1, 20, 5_000] : [3, 200, 60_000];
  const plain: Readonly<Record<PeerName, number>> = quick
    ? { "graphile-worker": 200, "pg-boss": 40 }
    : { "graphile-worker": 10_000, "pg-boss": 1_000 };
  const sizeOf = (name: PeerName): PeerSize => ({ jobs: { batched: jobs, plain: plain[name] }, rounds, singles, patienceMs });
  const musterSize: MusterSize = { members: jobs, rounds, singles, patienceMs };
  const server = await startServer();
  try {
    const throughput = await measureThroughput(await server.database("muster_throughput"), musterSize);
    console.error(`muster: ${spread(throughput.checked)} checks/s`);
    const timing = await measureTiming(await server.database("muster_timing"), musterSize);
    const graphile = await measurePeer("graphile-worker", await server.database("graphile"), sizeOf("graphile-worker"));
    console.error(`graphile-worker: ${spread(graphile.perSecond.batched)} jobs/s`);
    const boss = await measurePeer("pg-boss", await server.database("boss"), sizeOf("pg-boss"));
    tell({ throughput, timing, graphile, boss, jobs, rounds, patienceMs });
  } finally {
    await server.stop();
  }
}

interface Results {
  readonly throughput: Throughput;
  readonly timing: Timing;
  readonly graphile: PeerFigures;
  readonly boss: PeerFigures;
  readonly jobs: number;
  readonly rounds: number;
  readonly patienceMs: number;
}

function tell(results: Results): void {
  const { throughput, timing, graphile, boss, jobs, rounds, patienceMs } = results;
  const peers: readonly (readonly [PeerName, PeerFigures])[] = [
    ["graphile-worker", graphile],
    ["pg-boss", boss],
  ];
  const worked = (mode: Mode): string[] =>
    peers.map(([, { perSecond }]) => (mode === "batched" ? spread(perSecond.batched) : whole(perSecond.plain.median)));
  const held = ({ takeover }: { readonly takeover: Timing["takeover"] }): string => whole(takeover.held);
  const taken = (ms: number | null, name?: PeerName): string =>
    ms === null ? `> ${patienceMs / 1_000} s${name === undefined ? "" : ` (${documented[name]})`}` : `${whole(ms)} ms`;
  const medians = peers.map(([, { perSecond }]) => perSecond.batched.median);
  const waits = (pick: (timed: Pick<Timing, "sinceSent" | "sinceAccepted">) => Latency): string[] => [
    latency(pick(timing)),
    ...peers.map(([, figures]) => latency(pick(figures))),
    beside(
      pick(timing).p50,
      peers.map(([, figures]) => pick(figures).p50),
      {},
    ),
  ];
  const takeovers = (pick: (timed: Timing["takeover"]) => number | null): string[] => [
    taken(pick(timing.takeover)),
    ...peers.map(([name, { takeover }]) => taken(pick(takeover), name)),
    // Who had not begun when nobody waited any longer, had not at that moment.
    beside(
      pick(timing.takeover) ?? patienceMs,
      peers.map(([, { takeover }]) => pick(takeover) ?? patienceMs),
      {},
    ),
  ];
  printTable(
    [
      [
        `no-op work/s, ${whole(jobs)} pieces, median (least … most) of ${rounds}`,
        `${spread(throughput.checked)}${against(throughput.checked.median, goals.noOpPerSecond)}`,
        ...worked("batched"),
        beside(throughput.checked.median, medians, goals.noOpPerSecond),
      ],
      ["the same without batching", "-", ...worked("plain"), ""],
      ["put in, bulk, jobs/s", "one mutation", ...peers.map(([, { putPerSecond }]) => spread(putPerSecond)), ""],
      ["members made/s; taken away/s", `${spread(throughput.made)}; ${spread(throughput.takenAway)}`, "-", "-", ""],
      ["asked → begun, idle, p50 / p99 ms", ...waits(({ sinceSent }) => sinceSent)],
      [
        `accepted → begun, idle, p50 / p99 ms${against(timing.sinceAccepted.p50, goals.wishToCallMs)}`,
        ...waits(({ sinceAccepted }) => sinceAccepted),
      ],
      ["held by a worker that is killed with kill -9", held(timing), ...peers.map(([, figures]) => held(figures)), ""],
      ["until another has begun the first of them", ...takeovers(({ firstMs }) => firstMs)],
      ["… all of them", ...takeovers(({ allMs }) => allMs)],
    ],
    { ...results, peerVersions },
    ["what", "Muster", ...peers.map(([name]) => `${name} ${peerVersions[name]}`), "Muster beside the better"],
  );
  console.error(notes);
}

const notes = `
Muster's work is checkCluster: each member is asked about by the driver (sim) and counted, page by page behind a durable cursor, with no row per member that is claimed;
with \`muster start\` as it comes; begun: the driver is called, in another process than the one that was asked. The peers' is a job whose handler does nothing, in ${peerWorkers} processes;
batched: graphile-worker with localQueue 500, completeJobBatchDelay 0, failJobBatchDelay 0 and 24 concurrent jobs, pg-boss with two loops of batches of 2,000 each;
begun: the handler is called, in the process that put it in. They keep no history, progress or counts, and Muster does. Members made
and taken away are what its steps cost that have a row of their own, a driver call and two lines of history each.`;

interface Server {
  /** A new, empty one. @returns its address, as the role `muster` */
  database(name: string): Promise<string>;
  stop(): Promise<void>;
}

async function startServer(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "muster-bench-"));
  chmodSync(folder, 0o755);
  const { timers } = realRuntime();
  const options = { data: folder, port: 0, connections: connectionsAllowed(2), timers, logger: createTestLog(), onMoved: () => undefined };
  const postgres = await startEmbedded(options);
  const { port, password }: { port: number; password: string } = JSON.parse(readFileSync(join(folder, "postgres.json"), "utf8"));
  const url = (role: string, database: string): string => `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;
  return {
    database: async (name) => {
      const admin = new pg.Client({ connectionString: url("postgres", "postgres") });
      await admin.connect();
      await admin.query(`create database ${name} owner muster`);
      await admin.end();
      return url("muster", name);
    },
    stop: async () => {
      await postgres.stop({ hurry: true });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
