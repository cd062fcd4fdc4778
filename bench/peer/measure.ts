/** What a peer does with no-op jobs on a database of its own: how many a second, how soon one begins, and who takes over from a worker that was killed. */
import pg from "pg";
import { type Latency, latencyOf, type Spread, spreadOf } from "../statistic.ts";
import { fetchedPackage, type PeerName } from "./package.ts";
import { type PeerProcess, startPeer } from "./peer-process.ts";

export type Mode = "batched" | "plain";

export interface PeerSize {
  /** Jobs of one round, batched and plain. */
  readonly jobs: Readonly<Record<Mode, number>>;
  readonly rounds: number;
  readonly singles: number;
  /** How long a takeover is waited for, ms. */
  readonly patienceMs: number;
}

export interface PeerFigures {
  readonly putPerSecond: Spread;
  readonly perSecond: Readonly<Record<Mode, Spread>>;
  readonly sinceSent: Latency;
  readonly sinceAccepted: Latency;
  /** Jobs that the killed worker held, and how long until others had begun the first and the last of them, ms; null: not within the patience. */
  readonly takeover: { readonly held: number; readonly firstMs: number | null; readonly allMs: number | null };
}

/** Worker processes at the same time: one for each core of the machine this was written on. */
export const peerWorkers = 2;
/** A slow mode is ended after so long, and what it has done by then is counted, ms. */
const longestRoundMs = 30_000;
const lookMs = 20;
/** Jobs that are put in before a worker is killed: all of them can be begun at once. */
const heldJobs = 10;
/** Between two single jobs at most, ms: as long as the slowest poll, so that they fall into each phase of it. */
const pauseMs = 500;

const unfinished: Readonly<Record<PeerName, string>> = {
  "graphile-worker": "select count(*) as jobs from graphile_worker._private_jobs",
  "pg-boss": "select count(*) as jobs from pgboss.job where name = 'noop' and state < 'completed'",
};
const remove: Readonly<Record<PeerName, string>> = {
  "graphile-worker": "delete from graphile_worker._private_jobs",
  "pg-boss": "delete from pgboss.job where name = 'noop'",
};

export async function measurePeer(name: PeerName, url: string, size: PeerSize): Promise<PeerFigures> {
  const folder = fetchedPackage(name);
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  const peers = new Set<PeerProcess>();
  const start = (): PeerProcess => {
    const peer = startPeer(name, folder, url);
    peers.add(peer);
    return peer;
  };
  try {
    await start().ask("prepare");
    const put: number[] = [];
    const perSecond: Record<Mode, number[]> = { batched: [], plain: [] };
    for (const mode of ["batched", "plain"] as const) {
      for (let round = 0; round < (mode === "batched" ? size.rounds : 1); round++) {
        const count = size.jobs[mode];
        const [putter] = peers;
        const putMs = await timed(() => putter?.ask("put", { count }) ?? Promise.resolve());
        if (mode === "batched") put.push(count / (putMs / 1_000));
        await database.query(`vacuum analyze`);
        perSecond[mode].push(await workRound(name, database, start, mode, count));
        await database.query(remove[name]);
      }
    }
    const single = start();
    await single.ask("work", { mode: "batched", hold: false });
    const { sinceSent, sinceAccepted } = await single.ask<{ sinceSent: number[]; sinceAccepted: number[] }>("singles", {
      rounds: size.singles,
      pauseMs,
    });
    await single.kill();
    const takeover = await takeOver(start, size.patienceMs);
    return {
      putPerSecond: spreadOf(put),
      perSecond: { batched: spreadOf(perSecond.batched), plain: spreadOf(perSecond.plain) },
      sinceSent: latencyOf(sinceSent),
      sinceAccepted: latencyOf(sinceAccepted),
      takeover,
    };
  } finally {
    await Promise.all([...peers].map((peer) => peer.kill()));
    await database.end();
  }
}

/** Jobs a second from the first worker's start until the database holds none that is not done. */
async function workRound(name: PeerName, database: pg.Client, start: () => PeerProcess, mode: Mode, count: number): Promise<number> {
  const workers = Array.from({ length: peerWorkers }, start);
  // Processes and connections are there before the clock runs.
  await Promise.all(workers.map((worker) => worker.ask("warm")));
  const startedMs = performance.now();
  const elapsed = (): number => performance.now() - startedMs;
  await Promise.all(workers.map((worker) => worker.ask("work", { mode, hold: false })));
  const handled = async (): Promise<number> =>
    (await Promise.all(workers.map((worker) => worker.ask<number>("handled")))).reduce((sum, each) => sum + each, 0);
  const left = async (): Promise<number> => Number((await database.query<{ jobs: string }>(unfinished[name])).rows[0]?.jobs);
  while (elapsed() < longestRoundMs && (await handled()) < count) await pause();
  // What has been handled is written as done a moment later.
  while (elapsed() < longestRoundMs && (await left()) > 0) await pause();
  const done = count - (await left());
  const ms = elapsed();
  await Promise.all(workers.map((worker) => worker.kill()));
  return done / (ms / 1_000);
}

/** One worker holds all jobs, another has nothing to do; the first is killed. */
async function takeOver(start: () => PeerProcess, patienceMs: number): Promise<PeerFigures["takeover"]> {
  const victim = start();
  const held = new Set<number>();
  const allHeld = new Promise<void>((resolve) => {
    victim.onStarted((job) => {
      held.add(job);
      if (held.size === heldJobs) resolve();
    });
  });
  await victim.ask("work", { mode: "batched", hold: true });
  await victim.ask("put", { count: heldJobs });
  await allHeld;
  const heir = start();
  const seen = new Map<number, number>();
  let killedMs = Number.POSITIVE_INFINITY;
  const taken = new Promise<void>((resolve) => {
    heir.onStarted((job) => {
      if (!seen.has(job)) seen.set(job, performance.now() - killedMs);
      if (seen.size === heldJobs) resolve();
    });
  });
  await heir.ask("work", { mode: "batched", hold: true });
  killedMs = performance.now();
  await victim.kill();
  await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, patienceMs).unref())]);
  const times = [...seen.values()].sort((a, b) => a - b);
  return { held: heldJobs, firstMs: times[0] ?? null, allMs: times.length === heldJobs ? (times.at(-1) ?? null) : null };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, lookMs));
}
