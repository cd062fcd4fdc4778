/** How long a mutation and a read take, one after the other and eight at a time, on a cluster of ten thousand members at rest. */
import type { ApiClient } from "../src/cli/client.ts";
import { ClusterDocument, UpdateClusterDocument } from "../src/cli/graphql/generated/graphql.ts";
import { accepted } from "./ask.ts";
import { type Latency, latencyOf } from "./statistic.ts";

export interface Latencies {
  readonly mutation: Latency;
  readonly mutationOfEight: Latency;
  /** A cluster with fifty members, its conditions and its last events. */
  readonly read: Latency;
  readonly readOfEight: Latency;
}

export async function measureLatency(client: ApiClient, clusterId: string, count: number): Promise<Latencies> {
  let turn = 0;
  const mutate = async (): Promise<void> => {
    turn += 1;
    const { updateCluster } = await client.request(UpdateClusterDocument, { input: { cluster: { id: clusterId }, metadata: { turn } } });
    accepted(updateCluster, "cluster");
  };
  const read = async (): Promise<void> => {
    const { cluster } = await client.request(ClusterDocument, { by: { id: clusterId }, first: 50, lastEvents: 10 });
    if (cluster?.nodes.nodes.length !== 50) throw new Error("the page is not full");
  };
  // The first ones pay for compilation, caches and connections.
  await timed(mutate, 80, 8);
  await timed(read, 80, 8);
  return {
    mutation: await timed(mutate, count, 1),
    mutationOfEight: await timed(mutate, count, 8),
    read: await timed(read, count, 1),
    readOfEight: await timed(read, count, 8),
  };
}

/** Runs `act` so often, so many at a time. */
async function timed(act: () => Promise<void>, count: number, atOnce: number): Promise<Latency> {
  const taken: number[] = [];
  let left = count;
  const run = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const startedMs = performance.now();
      await act();
      taken.push(performance.now() - startedMs);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, run));
  return latencyOf(taken);
}
