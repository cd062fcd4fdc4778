/** The everyday figures: a cluster of ten thousand, single changes, single reads, a member that dies. */
import { listen, makeCluster, makeProfile } from "./ask.ts";
import { measureFaults } from "./fault.ts";
import { measureGrowth } from "./grow.ts";
import { startInstallation } from "./installation.ts";
import { measureLatency } from "./latency.ts";
import { latency, memoryUnder, printTable, spread, whole } from "./table.ts";

export async function benchEveryday(quick: boolean): Promise<void> {
  const share = quick ? 0.1 : 1;
  const members = 10_000 * share;
  const { client, pid, stop } = await startInstallation();
  try {
    const growth = await measureGrowth(client, members, quick ? 1 : 5);
    await makeProfile(client, "rest", "sim", {});
    const ends = await listen(client, ["action.finished"]);
    const rest = await makeCluster(client, "rest", members);
    await ends.next((line) => line.actionId === rest.actionId);
    ends.close();
    const memory = memoryUnder(pid);
    const single = await measureLatency(client, rest.clusterId, 1_000 * share);
    const faults = await measureFaults(client, quick ? 3 : 20);
    printTable(
      [
        [`members/s, one sim cluster 0 → ${whole(members)}, median (least … most)`, spread(growth.nodesPerSecond)],
        [`members/s, ${whole(members)} → 0`, spread(growth.deletedPerSecond)],
        ["mutation, p50 / p99 ms", latency(single.mutation)],
        ["mutation, 8 at a time, p50 / p99 ms", latency(single.mutationOfEight)],
        ["cluster + 50 members, p50 / p99 ms", latency(single.read)],
        ["cluster + 50 members, 8 at a time, p50 / p99 ms", latency(single.readOfEight)],
        ["kill -9 of a process member → frame, p50 / p99 ms", latency(faults.told)],
        ["kill -9 of a process member → ACTIVE again, p50 / p99 ms", latency(faults.healed)],
        [`memory of Muster's ${memory.processes} processes at ${whole(members)} members, MiB`, whole(memory.muster)],
        ["memory of PostgreSQL, MiB", whole(memory.postgres)],
      ],
      { members, growth, latency: single, faults, memory },
    );
  } finally {
    await stop();
  }
}
