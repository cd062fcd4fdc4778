/** How figures are told: the machine, a table for the README, and a line of JSON for programs. */
import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { postgresPrograms } from "../test/support/postgres-programs.ts";
import { type ProcessMemory, processTree } from "./process-tree.ts";
import type { Latency, Spread } from "./statistic.ts";

export const whole = (value: number): string => Math.round(value).toLocaleString("en-US");
export const spread = ({ median, least, most }: Spread): string => `${whole(median)} (${whole(least)} … ${whole(most)})`;
export const latency = ({ p50, p99 }: Latency): string => `${p50.toFixed(1)} / ${p99.toFixed(1)}`;

export interface Memory {
  /** MiB, each process's own share. */
  readonly muster: number;
  readonly postgres: number;
  readonly processes: number;
}

/** What Muster's processes and PostgreSQL's hold, under one `muster start`. */
export function memoryUnder(pid: number): Memory {
  const processes = processTree(pid);
  const isPostgres = ({ title }: ProcessMemory): boolean => /postgres/.test(title);
  const sum = (list: readonly ProcessMemory[]): number => Math.round(list.reduce((total, { mib }) => total + mib, 0));
  return {
    muster: sum(processes.filter((one) => !isPostgres(one))),
    postgres: sum(processes.filter(isPostgres)),
    processes: processes.filter((one) => !isPostgres(one)).length,
  };
}

/**
 * @param result everything that was measured, for the line of JSON
 * @param columns their names
 */
export function printTable(rows: readonly (readonly string[])[], result: object, columns: readonly string[] = ["what", "value"]): void {
  const about = { machine: machine(), commit: commit() };
  const { cpu, cores, memoryGiB, node, postgres } = about.machine;
  console.log(`\n${cores} × ${cpu}, ${memoryGiB} GiB, Node.js ${node}, PostgreSQL ${postgres}, commit ${about.commit}\n`);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  console.log(`${line(columns)}\n|${"---|".repeat(columns.length)}`);
  for (const row of rows) console.log(line(row));
  console.log(`\n${JSON.stringify({ ...about, ...result })}`);
}

interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  /** Of the server that Muster brings, on which all measures run. */
  readonly postgres: string;
}

function machine(): Machine {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    postgres: execFileSync(join(postgresPrograms(), "bin/postgres"), ["--version"], { encoding: "utf8" }).replace(/^\D*/, "").trim(),
  };
}

function commit(): string {
  try {
    const head = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
    return execFileSync("git", ["status", "--porcelain", "--", "src", "migrations"], { encoding: "utf8" }) === "" ? head : `${head}, changed`;
  } catch {
    return "unknown";
  }
}
