/**
 * Very many subscribers to one cluster's health, each with a WebSocket of its own: how long it takes from `kill -9` of a real member until each of them has
 * the frame. They are all read in this one process, whose time is part of what is measured.
 */
import { setMaxListeners } from "node:events";
import { connect } from "../src/cli/client.ts";
import { ClusterDocument, FeedCursorDocument, NodeDocument, NodeHealthDocument } from "../src/cli/graphql/generated/graphql.ts";
import { listen, makeCluster, makeProfile, unmake } from "./ask.ts";
import { gather } from "./crowd.ts";
import { against, goals } from "./goal.ts";
import { startInstallation } from "./installation.ts";
import { latencyOf } from "./statistic.ts";
import { latency, memoryUnder, printTable, whole } from "./table.ts";

/** Each is killed at most once: a fleet of which many die is braked. */
const members = 25;

/** Who waits for the frame about one member's death. */
interface Round {
  readonly killedMs: number;
  readonly told: number[];
  readonly all: () => void;
}

export async function benchSubscribers(count: number, quick: boolean): Promise<void> {
  const installation = await startInstallation(null, { MUSTER_LIMIT_TOKEN_SOCKETS: String(count + 10) });
  const { client, pid, stop } = installation;
  try {
    await makeProfile(client, "fault", "process", { command: ["sleep", "100000"] });
    const ends = await listen(client, ["action.finished", "node.status.changed"]);
    const { clusterId, actionId } = await makeCluster(client, "fault", members);
    await ends.next((line) => line.actionId === actionId && line.type === "action.finished");
    const { cluster } = await client.request(ClusterDocument, { by: { id: clusterId }, first: members });
    const { feedCursor } = await client.request(FeedCursorDocument, {});
    const rounds = new Map<string, Round>();
    const over = new AbortController();
    // Everybody listens: that is no leak.
    setMaxListeners(0, over.signal);
    let twice = 0;
    const follow = async (): Promise<void> => {
      const own = connect(installation);
      const cursors = new Set<string>();
      const dead = new Set<string>();
      try {
        for await (const { nodeHealth } of own.subscribe(NodeHealthDocument, { cluster: { id: clusterId }, after: feedCursor }, over.signal)) {
          const { cursor, nodeId, verdict } = nodeHealth;
          if (cursors.has(cursor)) twice++;
          cursors.add(cursor);
          // A death may be told of by more than one signal: the first one counts.
          if (verdict !== "UNHEALTHY" || dead.has(nodeId)) continue;
          dead.add(nodeId);
          const round = rounds.get(nodeId);
          round?.told.push(performance.now() - round.killedMs);
          if (round?.told.length === count) round.all();
        }
      } finally {
        await own.close();
      }
    };
    const kill = async (id: string): Promise<readonly number[]> => {
      const { clusterNode } = await client.request(NodeDocument, { by: { id } });
      if (clusterNode?.physicalId == null) throw new Error("the member has no process");
      const told: number[] = [];
      await new Promise<void>((all) => {
        rounds.set(id, { killedMs: performance.now(), told, all });
        process.kill(Number(clusterNode.physicalId), "SIGKILL");
      });
      await ends.next((line) => line.type === "node.status.changed" && line.nodeId === id && line.data["to"] === "ACTIVE");
      return told;
    };
    const [first, ...others] = cluster?.nodes.nodes.slice(0, quick ? 4 : 21).map((node) => node.id) ?? [];
    if (first === undefined) throw new Error("there is no member");
    const idle = memoryUnder(pid);
    const followers = await gather(client, count, follow);
    // Whoever comes late reads from the cursor on: the first death is told to all, and not counted.
    await kill(first);
    const told: number[] = [];
    const last: number[] = [];
    for (const id of others) {
      const taken = await kill(id);
      told.push(...taken);
      last.push(Math.max(...taken));
    }
    const memory = memoryUnder(pid);
    over.abort();
    await Promise.all(followers);
    const gone = await unmake(client, clusterId);
    await ends.next((line) => line.actionId === gone && line.type === "action.finished");
    ends.close();
    printTable(
      [
        [
          `kill -9 of a process member → frame, each of ${whole(count)} subscribers, p50 / p99 ms`,
          `${latency(latencyOf(told))}${count === 1_000 ? against(latencyOf(told).p99, goals.frameMs) : ""}`,
        ],
        ["… until the last of them has it, p50 / p99 ms", latency(latencyOf(last))],
        ["frames that came twice", String(twice)],
        [`memory of Muster's ${memory.processes} processes, MiB; without subscribers`, `${whole(memory.muster)}; ${whole(idle.muster)}`],
      ],
      { subscribers: count, rounds: others.length, told: latencyOf(told), last: latencyOf(last), twice, memory, idle },
    );
  } finally {
    await stop();
  }
}
