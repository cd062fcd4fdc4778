/** A cluster of three beside a big one, by a driver that takes one node per call: what the small one's changes take at rest, and while the big one grows. */
import type { ApiClient } from "../src/cli/client.ts";
import { check, type Listener, listen, makeCluster, makeProfile, resize } from "./ask.ts";
import { startInstallation } from "./installation.ts";
import { singleCalls, singleSettings, singleSpec } from "./single.ts";
import { type Latency, latencyOf } from "./statistic.ts";
import { latency, printTable, whole } from "./table.ts";

interface Small {
  readonly resize: Latency;
  readonly check: Latency;
}

export async function benchFair(members: number, quick: boolean): Promise<void> {
  const { client, stop } = await startInstallation(null, singleSettings);
  try {
    const ends = await listen(client, ["action.finished"]);
    await makeProfile(client, "small", "sim", singleSpec);
    await makeProfile(client, "big", "sim", singleSpec);
    const small = await makeCluster(client, "small", 3);
    await ends.next((line) => line.actionId === small.actionId);
    const rounds = quick ? 10 : 100;
    let left = rounds;
    const rest = await changeSmall(client, ends, small.clusterId, () => left-- > 0);
    const startedMs = performance.now();
    const big = await makeCluster(client, "big", members);
    let takenMs = 0;
    const grown = await listen(client, ["action.finished"]);
    const over = grown
      .next((line) => line.actionId === big.actionId)
      .then(() => {
        takenMs = performance.now() - startedMs;
      });
    const beside = await changeSmall(client, ends, small.clusterId, () => takenMs === 0);
    await over;
    grown.close();
    ends.close();
    printTable(
      [
        ["resize 3 → 4 → 3 at rest, sent → ended, p50 / p99 ms", latency(rest.resize)],
        [`the same while ${whole(members)} members are made`, `${latency(beside.resize)} (${beside.resize.count} resizes)`],
        ["check of three at rest, p50 / p99 ms", latency(rest.check)],
        [`the same while ${whole(members)} members are made`, `${latency(beside.check)} (${beside.check.count} checks)`],
        ["members/s of the big one meanwhile", whole(members / (takenMs / 1_000))],
      ],
      { members, calls: singleCalls, spec: singleSpec, rest, beside, bigMs: takenMs },
    );
  } finally {
    await stop();
  }
}

/** Changes the small cluster again and again, one change at a time. */
async function changeSmall(client: ApiClient, ends: Listener, clusterId: string, more: () => boolean): Promise<Small> {
  const resizes: number[] = [];
  const checks: number[] = [];
  const timed = async (into: number[], ask: () => Promise<string>): Promise<void> => {
    const sentMs = performance.now();
    const action = await ask();
    const { data } = await ends.next((line) => line.actionId === action);
    into.push(performance.now() - sentMs);
    if (data["status"] !== "SUCCEEDED") throw new Error(`a change of the small cluster ended as ${String(data["status"])}`);
  };
  while (more()) {
    await timed(resizes, () => resize(client, clusterId, 4));
    await timed(resizes, () => resize(client, clusterId, 3));
    await timed(checks, () => check(client, clusterId));
  }
  return { resize: latencyOf(resizes), check: latencyOf(checks) };
}
