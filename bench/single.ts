/** Node actions by a driver that takes one node per call: how many a second from end to end, each on disk, and what each costs the processors. */

import { against, goals } from "./goal.ts";
import { measureGrowth } from "./grow.ts";
import { startInstallation } from "./installation.ts";
import { cpuSecondsUnder } from "./process-tree.ts";
import { printTable, spread, whole } from "./table.ts";

/** `sim`, one node per call: how many calls at once, and what each takes, ms. */
export const singleCalls = 200;
export const singleSpec = { createMs: 10, deleteMs: 10 } as const;
export const singleSettings = { MUSTER_DRIVER_LIMITS: JSON.stringify({ sim: { batchSize: 1, maxCallsInFlight: singleCalls } }) } as const;

export async function benchSingle(members: number, quick: boolean): Promise<void> {
  const { client, pid, stop } = await startInstallation(null, singleSettings);
  const rounds = quick ? 1 : 5;
  const cpu = (): { readonly postgres: number; readonly muster: number } => {
    const postgres = cpuSecondsUnder(pid, (title) => /postgres/.test(title));
    return { postgres, muster: cpuSecondsUnder(pid) - postgres };
  };
  try {
    const before = cpu();
    const growth = await measureGrowth(client, members, rounds, singleSpec);
    const after = cpu();
    const actions = 2 * rounds * members;
    const micros = {
      muster: ((after.muster - before.muster) * 1e6) / actions,
      postgres: ((after.postgres - before.postgres) * 1e6) / actions,
    };
    printTable(
      [
        [
          `node actions/s, one driver call each: 0 → ${whole(members)}, median (least … most)`,
          `${spread(growth.nodesPerSecond)}${against(growth.nodesPerSecond.median, goals.singlePerSecond)}`,
        ],
        [`the same, ${whole(members)} → 0`, `${spread(growth.deletedPerSecond)}${against(growth.deletedPerSecond.median, goals.singlePerSecond)}`],
        ["CPU of Muster's processes per action, µs", whole(micros.muster)],
        ["CPU of PostgreSQL per action, µs", whole(micros.postgres)],
      ],
      { members, rounds, calls: singleCalls, spec: singleSpec, growth, cpuMicrosPerAction: micros },
    );
  } finally {
    await stop();
  }
}
