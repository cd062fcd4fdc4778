/** `npm run simulate`: seeds through the simulator. `-- --help` says how. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { bugs } from "./bugs.ts";
import { huntAll, huntOne } from "./catalogue.ts";
import { forkRunner, openRunner, type Runner } from "./runner.ts";
import type { Run } from "./scenario.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    twice: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    bug: { type: "string" },
    catalogue: { type: "boolean", default: false },
    jobs: { type: "string", default: String(availableParallelism()) },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(`Usage: npm run simulate -- [options]
  --seeds 1000     how many seeds
  --from 1         the first of them
  --seed 17        this one alone
  --twice          each seed twice: both runs must come to the same hash
  --trace          print every step
  --jobs 2         so many at a time, each in a process and with a PostgreSQL of its own (else: one per processor)
  --bug NAME       plants a bug and says after how many seeds it is found
  --catalogue      hunts all of them and writes the table in docs/simulator.md`);
} else if (values.catalogue || values.bug !== undefined) await huntBugs();
else await simulate();

async function huntBugs(): Promise<void> {
  const options = { from: Number(values.from), seeds: Number(values.seeds) };
  if (values.catalogue) return huntAll({ ...options, jobs: Number(values.jobs) });
  const bug = bugs.find(({ name }) => name === values.bug);
  if (bug === undefined) throw new Error(`there is no such bug; there are ${bugs.map(({ name }) => name).join(", ")}`);
  await huntOne(bug, options);
}

async function simulate(): Promise<void> {
  const from = Number(values.seed ?? values.from);
  const seeds = values.seed === undefined ? Number(values.seeds) : 1;
  // What is printed comes from this process alone.
  const jobs = values.trace ? 1 : Math.min(seeds, Number(values.jobs));
  const startedMs = performance.now();
  const total: Total = { runs: 0, steps: 0, simulatedMs: 0, faults: new Map<string, number>() };
  const runners = jobs > 1 ? Array.from({ length: jobs }, () => forkRunner()) : [await openRunner()];
  let seed = from;
  const work = async (runner: Runner): Promise<void> => {
    while (seed < from + seeds && process.exitCode !== 1) await simulateOne(runner, seed++, total);
  };
  try {
    await Promise.all(runners.map(work));
  } finally {
    for (const runner of runners) await runner.close();
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const faults = [...total.faults].sort().map(([name, count]) => `${name} ${count}`);
  console.log(`${total.runs} seeds in ${seconds.toFixed(1)} s, ${total.steps} steps, ${(total.simulatedMs / 1_000).toFixed(0)} s simulated`);
  console.log(`faults: ${faults.join(", ") || "none"}`);
}

interface Total {
  runs: number;
  steps: number;
  simulatedMs: number;
  readonly faults: Map<string, number>;
}

async function simulateOne(runner: Runner, seed: number, total: Total): Promise<void> {
  const run = await runner.run(seed, values.trace ? console.log : null);
  add(total, run);
  if (values.twice) {
    const again = await runner.run(seed);
    if (again.hash !== run.hash)
      fail(seed, [`two runs of one seed differ: ${run.hash} after ${run.steps} steps, ${again.hash} after ${again.steps}`]);
  }
  if (run.violations.length > 0) fail(seed, run.violations);
  if (values.seed !== undefined) console.log(`seed ${seed}: hash ${run.hash}`);
}

function add(total: Total, run: Run): void {
  total.runs++;
  total.steps += run.steps;
  total.simulatedMs += run.simulatedMs;
  for (const [name, count] of run.faults) total.faults.set(name, (total.faults.get(name) ?? 0) + count);
}

function fail(seed: number, violations: readonly string[]): void {
  process.exitCode = 1;
  console.log(`seed ${seed} FAILED:\n  ${violations.slice(0, 10).join("\n  ")}\nrepeat it: npm run simulate -- --seed ${seed} --trace`);
}
