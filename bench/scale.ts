/** One very large cluster: how long it takes to be there, what a small change of it costs, what it weighs at rest, how long all of it takes to change. */
import type { ApiClient } from "../src/cli/client.ts";
import { ClusterDocument } from "../src/cli/graphql/generated/graphql.ts";
import { listen, makeCluster, makeProfile, resize, rollOut, unmake } from "./ask.ts";
import { openBooks } from "./books.ts";
import { against, goals } from "./goal.ts";
import { startInstallation } from "./installation.ts";
import { measureLatency } from "./latency.ts";
import { cpuSecondsUnder } from "./process-tree.ts";
import { type Latency, latencyOf } from "./statistic.ts";
import { latency, memoryUnder, printTable, whole } from "./table.ts";

const step = 100;
const steps = 20;
const restSeconds = 60;

export async function benchScale(members: number): Promise<void> {
  const { client, pid, databaseUrl, stop } = await startInstallation();
  const books = await openBooks(databaseUrl);
  try {
    await makeProfile(client, "big", "sim", {});
    // What cannot be changed in a member that stands, as a new image could not: each is closed and made anew.
    await makeProfile(client, "next", "sim", { zones: ["a"] });
    let ends = await listen(client, ["action.finished"]);
    const ended = async (actionId: string): Promise<void> => {
      const line = await ends.next(({ actionId: other }) => other === actionId);
      if (line.data["status"] !== "SUCCEEDED") throw new Error(`the action ended as ${String(line.data["status"])}`);
    };
    const timed = async (act: () => Promise<string>): Promise<number> => {
      const startedMs = performance.now();
      await ended(await act());
      return performance.now() - startedMs;
    };
    let clusterId = "";
    const growMs = await timed(async () => {
      const made = await makeCluster(client, "big", members);
      clusterId = made.clusterId;
      return made.actionId;
    });
    console.log(`${whole(members)} members after ${(growMs / 1_000).toFixed(1)} s`);
    const memory = memoryUnder(pid);
    const more: number[] = [];
    const less: number[] = [];
    const rowsBefore = await books.rowsWritten();
    for (let i = 0; i < steps; i++) {
      more.push(await timed(() => resize(client, clusterId, members + step)));
      less.push(await timed(() => resize(client, clusterId, members)));
    }
    const page = await measurePages(client, clusterId, Math.min(1_000, members));
    const rowsPerChange = ((await books.rowsWritten()) - rowsBefore) / (2 * steps * step);
    const single = await measureLatency(client, clusterId, 300);
    // A subscriber would have its token looked after twice a second.
    ends.close();
    if (!(await books.rest())) console.log("PostgreSQL has not come to rest: the idle figure is what it still does");
    const cpuBefore = cpuSecondsUnder(pid);
    await new Promise((resolve) => setTimeout(resolve, restSeconds * 1_000));
    const idle = (100 * (cpuSecondsUnder(pid) - cpuBefore)) / restSeconds;
    const [memberBytes, ledgerBytes] = [(await books.memberBytes()) / members, (await books.ledgerBytes()) / members];
    ends = await listen(client, ["action.finished"]);
    const rollOutMs = await timed(() => rollOut(client, clusterId, "next"));
    const unmakeMs = await timed(() => unmake(client, clusterId));
    printTable(
      [
        [
          `one sim cluster 0 → ${whole(members)} ACTIVE, s`,
          `${(growMs / 1_000).toFixed(1)}${members === 1_000_000 ? against(growMs / 1_000, goals.millionSeconds) : ""}`,
        ],
        ["members/s", whole(members / (growMs / 1_000))],
        [`+${step} members at that size, p50 / p99 ms`, `${latency(latencyOf(more))}${against(latencyOf(more).p99, goals.hundredMoreMs)}`],
        [`−${step} members, p50 / p99 ms`, `${latency(latencyOf(less))}${against(latencyOf(less).p99, goals.hundredMoreMs)}`],
        ["rows written per member made or deleted, the ledger's apart", `${rowsPerChange.toFixed(1)}${against(rowsPerChange, goals.rowsPerChange)}`],
        ["mutation, p50 / p99 ms", `${latency(single.mutation)}${against(single.mutation.p99, goals.mutationMs)}`],
        ["cluster + 50 members, p50 / p99 ms", `${latency(single.read)}${against(single.read.p99, goals.readMs)}`],
        ["page of 1,000 members, p50 / p99 ms", `${latency(page)}${against(page.p99, goals.pageMs)}`],
        [`memory of Muster's ${memory.processes} processes, MiB`, `${whole(memory.muster)}${against(memory.muster, goals.memoryMiB)}`],
        [
          "database per member at rest (the ledger beside it), bytes",
          `${whole(memberBytes)} (${whole(ledgerBytes)})${against(memberBytes, goals.memberBytes)}`,
        ],
        ["idle, CPU of all processes with PostgreSQL's, % of a core", `${idle.toFixed(1)}${against(idle, goals.idlePercent)}`],
        ["all brought over to another profile, each made anew, s", (rollOutMs / 1_000).toFixed(1)],
        [`deleted again, ${whole(members)} → 0, s`, (unmakeMs / 1_000).toFixed(1)],
      ],
      { members, growMs, more, less, rowsPerChange, latency: single, page, memory, memberBytes, ledgerBytes, idle, rollOutMs, unmakeMs },
    );
    ends.close();
  } finally {
    await books.close();
    await stop();
  }
}

async function measurePages(client: ApiClient, clusterId: string, first: number): Promise<Latency> {
  const taken: number[] = [];
  for (let i = 0; i < 60; i++) {
    const startedMs = performance.now();
    const { cluster } = await client.request(ClusterDocument, { by: { id: clusterId }, first, lastEvents: 1 });
    if (cluster?.nodes.nodes.length !== first) throw new Error("the page is not full");
    // The first ones pay for compilation.
    if (i >= 10) taken.push(performance.now() - startedMs);
  }
  return latencyOf(taken);
}
