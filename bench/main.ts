/**
 * `npm run bench`: what the README quotes, measured on this machine with real processes: `muster start` with its embedded PostgreSQL (fsync on), asked over
 * HTTP and WebSocket. Prints a table and, last, one line of JSON. `--quick` takes a tenth of everything, to see whether it works.
 */
import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { listen, makeCluster, makeProfile } from "./ask.ts";
import { measureFaults } from "./fault.ts";
import { measureGrowth } from "./grow.ts";
import { startInstallation } from "./installation.ts";
import { measureLatency } from "./latency.ts";
import { type ProcessMemory, processTree } from "./process-tree.ts";
import type { Latency, Spread } from "./statistic.ts";

const share = process.argv.includes("--quick") ? 0.1 : 1;
const members = 10_000 * share;

const installation = await startInstallation();
const { client, pid } = installation;
try {
  const growth = await measureGrowth(client, members, share < 1 ? 1 : 5);
  await makeProfile(client, "rest", "sim", {});
  const ends = await listen(client, ["action.finished"]);
  const rest = await makeCluster(client, "rest", members);
  await ends.next((line) => line.actionId === rest.actionId);
  ends.close();
  const memory = memoryOf(processTree(pid));
  const latency = await measureLatency(client, rest.clusterId, 1_000 * share);
  const faults = await measureFaults(client, share < 1 ? 3 : 20);
  const result = { machine: machine(), commit: commit(), members, growth, latency, faults, memory };
  print(result);
} finally {
  await installation.stop();
}

interface Memory {
  /** MiB, each process's own share. */
  readonly muster: number;
  readonly postgres: number;
  readonly processes: number;
}

function memoryOf(processes: readonly ProcessMemory[]): Memory {
  const isPostgres = ({ title }: ProcessMemory): boolean => /postgres/.test(title);
  const sum = (list: readonly ProcessMemory[]): number => Math.round(list.reduce((total, { mib }) => total + mib, 0));
  return {
    muster: sum(processes.filter((one) => !isPostgres(one))),
    postgres: sum(processes.filter(isPostgres)),
    processes: processes.filter((one) => !isPostgres(one)).length,
  };
}

function machine(): Record<string, string | number> {
  const [cpu] = cpus();
  return { cpu: cpu?.model ?? "unknown", cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30), node: process.version };
}

function commit(): string {
  try {
    const head = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
    return execFileSync("git", ["status", "--porcelain", "--", "src", "migrations"], { encoding: "utf8" }) === "" ? head : `${head}, changed`;
  } catch {
    return "unknown";
  }
}

interface Result {
  readonly machine: ReturnType<typeof machine>;
  readonly commit: string;
  readonly members: number;
  readonly growth: Awaited<ReturnType<typeof measureGrowth>>;
  readonly latency: Awaited<ReturnType<typeof measureLatency>>;
  readonly faults: Awaited<ReturnType<typeof measureFaults>>;
  readonly memory: Memory;
}

function print(result: Result): void {
  const whole = (value: number): string => Math.round(value).toLocaleString("en-US");
  const spread = ({ median, least, most }: Spread): string => `${whole(median)} (${whole(least)} … ${whole(most)})`;
  const latency = ({ p50, p99 }: Latency): string => `${p50.toFixed(1)} / ${p99.toFixed(1)}`;
  const { growth, faults, memory } = result;
  const rows: readonly (readonly [string, string])[] = [
    [`members/s, one sim cluster 0 → ${whole(result.members)}, median (least … most)`, spread(growth.nodesPerSecond)],
    [`members/s, ${whole(result.members)} → 0`, spread(growth.deletedPerSecond)],
    ["mutation, p50 / p99 ms", latency(result.latency.mutation)],
    ["mutation, 8 at a time, p50 / p99 ms", latency(result.latency.mutationOfEight)],
    ["cluster + 50 members, p50 / p99 ms", latency(result.latency.read)],
    ["cluster + 50 members, 8 at a time, p50 / p99 ms", latency(result.latency.readOfEight)],
    ["kill -9 of a process member → frame, p50 / p99 ms", latency(faults.told)],
    ["kill -9 of a process member → ACTIVE again, p50 / p99 ms", latency(faults.healed)],
    [`memory of Muster's ${memory.processes} processes at ${whole(result.members)} members, MiB`, whole(memory.muster)],
    ["memory of PostgreSQL, MiB", whole(memory.postgres)],
  ];
  const { cpu, cores, memoryGiB, node } = result.machine;
  console.log(`\n${cores} × ${cpu}, ${memoryGiB} GiB, Node.js ${node}, commit ${result.commit}\n`);
  console.log("| what | value |\n|---|---|");
  for (const [what, value] of rows) console.log(`| ${what} | ${value} |`);
  console.log(`\n${JSON.stringify(result)}`);
}
