/** How long it takes from `kill -9` of a real member to the frame at a subscriber, and to a healthy one in its place. */
import type { ApiClient } from "../src/cli/client.ts";
import { ClusterDocument, NodeDocument, NodeHealthDocument } from "../src/cli/graphql/generated/graphql.ts";
import { listen, makeCluster, makeProfile, unmake } from "./ask.ts";
import { type Latency, latencyOf } from "./statistic.ts";

export interface Faults {
  /** Until the `nodeHealth` frame that says UNHEALTHY is here. */
  readonly told: Latency;
  /** Until the member is ACTIVE again. */
  readonly healed: Latency;
}

export async function measureFaults(client: ApiClient, rounds: number): Promise<Faults> {
  // Each is killed at most once: a member that dies often is restarted later and later, and a fleet that does is braked.
  const members = 25;
  await makeProfile(client, "fault", "process", { command: ["sleep", "100000"] });
  const ends = await listen(client, ["action.finished", "node.status.changed"]);
  const { clusterId, actionId } = await makeCluster(client, "fault", members);
  await ends.next((line) => line.actionId === actionId && line.type === "action.finished");
  const { cluster } = await client.request(ClusterDocument, { by: { id: clusterId }, first: members });
  const nodes = cluster?.nodes.nodes ?? [];
  const stop = new AbortController();
  const frames = client.subscribe(NodeHealthDocument, { cluster: { id: clusterId } }, stop.signal)[Symbol.asyncIterator]();
  // The first frame is asked for before the first fault, so that the subscription stands.
  let frame = frames.next();
  await client.request(NodeDocument, { by: { id: nodes[0]?.id ?? "" } });
  const told: number[] = [];
  const healed: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const victim = nodes[round % nodes.length];
    const { clusterNode } = await client.request(NodeDocument, { by: { id: victim?.id ?? "" } });
    if (clusterNode?.physicalId == null) throw new Error("the member has no process");
    const killedMs = performance.now();
    process.kill(Number(clusterNode.physicalId), "SIGKILL");
    for (;;) {
      const { value, done } = await frame;
      if (done === true) throw new Error("the stream has ended");
      frame = frames.next();
      if (value.nodeHealth.nodeId === clusterNode.id && value.nodeHealth.verdict === "UNHEALTHY") break;
    }
    told.push(performance.now() - killedMs);
    await ends.next((line) => line.type === "node.status.changed" && line.nodeId === clusterNode.id && line.data["to"] === "ACTIVE");
    healed.push(performance.now() - killedMs);
  }
  stop.abort();
  const gone = await unmake(client, clusterId);
  await ends.next((line) => line.actionId === gone && line.type === "action.finished");
  ends.close();
  return { told: latencyOf(told), healed: latencyOf(healed) };
}
