/** How fast one cluster grows: from no member to ten thousand, all ACTIVE, members simulated and made at once. */
import type { ApiClient } from "../src/cli/client.ts";
import { listen, makeCluster, makeProfile, resize, unmake } from "./ask.ts";
import { type Spread, spreadOf } from "./statistic.ts";

export interface Growth {
  readonly members: number;
  readonly nodesPerSecond: Spread;
  /** The same back to none. */
  readonly deletedPerSecond: Spread;
}

/** From the moment a resize is sent until the frame that says its action has ended is here. */
export async function measureGrowth(client: ApiClient, members: number, rounds: number, spec: Record<string, unknown> = {}): Promise<Growth> {
  await makeProfile(client, "grow", "sim", spec);
  const { clusterId } = await makeCluster(client, "grow", 0);
  const ends = await listen(client, ["action.finished"]);
  const up: number[] = [];
  const down: number[] = [];
  const timed = async (size: number): Promise<number> => {
    const startedMs = performance.now();
    const action = await resize(client, clusterId, size);
    const { data } = await ends.next((line) => line.actionId === action);
    if (data["status"] !== "SUCCEEDED") throw new Error(`the resize ended as ${String(data["status"])}`);
    return members / ((performance.now() - startedMs) / 1_000);
  };
  for (let round = 0; round < rounds; round++) {
    up.push(await timed(members));
    down.push(await timed(0));
  }
  const gone = await unmake(client, clusterId);
  await ends.next((line) => line.actionId === gone);
  ends.close();
  return { members, nodesPerSecond: spreadOf(up), deletedPerSecond: spreadOf(down) };
}
