/** Follows one cluster and the ledger on a display until told to stop. A connection that breaks is made again, from the last cursor. */
import type { Timers } from "../core/runtime.ts";
import type { ApiClient } from "./client.ts";
import type { Display } from "./display.ts";
import { ClusterLiveDocument, type ClusterLiveSubscription, EventStreamDocument } from "./graphql/generated/graphql.ts";
import type { ClusterView, MemberView } from "./screen.ts";

export interface WatchOptions {
  readonly client: ApiClient;
  readonly display: Display;
  readonly cluster: string;
  /** Show what happened after this. */
  readonly after: string;
  readonly timers: Timers;
  readonly signal: AbortSignal;
  /** Called with each picture of the cluster; null once it is gone. */
  readonly onCluster: (cluster: ClusterView | null) => void;
}

/** Between two tries to connect, ms. */
const againMs = 300;

/** Resolves when the signal is aborted, or the cluster is gone. */
export async function watchCluster(options: WatchOptions): Promise<void> {
  const gone = new AbortController();
  const signal = AbortSignal.any([options.signal, gone.signal]);
  await Promise.all([followCluster(options, signal, gone), followEvents(options, signal)]);
}

async function followCluster(
  { client, display, cluster: name, timers, onCluster }: WatchOptions,
  signal: AbortSignal,
  gone: AbortController,
): Promise<void> {
  await persist(timers, signal, async () => {
    for await (const { cluster } of client.subscribe(ClusterLiveDocument, { by: { name } }, signal)) {
      const view = cluster === null ? null : viewOf(cluster);
      if (view !== null) display.cluster(view);
      onCluster(view);
      if (view === null) gone.abort();
    }
  });
}

async function followEvents({ client, display, after, timers }: WatchOptions, signal: AbortSignal): Promise<void> {
  let cursor = after;
  await persist(timers, signal, async () => {
    for await (const { events: event } of client.subscribe(EventStreamDocument, { after: cursor, filter: { minLevel: "INFO" } }, signal)) {
      cursor = event.cursor;
      display.event({ at: new Date(event.occurredAt), level: event.level, message: event.message });
    }
  });
}

async function persist(timers: Timers, signal: AbortSignal, follow: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    try {
      await follow();
    } catch {
      // The API is being started again, or PostgreSQL is: whatever it was, the next try tells.
    }
    await timers.wait(againMs, signal);
  }
}

type LiveCluster = NonNullable<ClusterLiveSubscription["cluster"]>;

function viewOf(cluster: LiveCluster): ClusterView {
  return {
    name: cluster.name,
    status: cluster.status,
    desired: cluster.desiredCapacity,
    active: cluster.nodeCounts.active,
    healthy: cluster.nodeCounts.healthy,
    members: cluster.nodes.nodes.map(memberOf),
  };
}

function memberOf(node: LiveCluster["nodes"]["nodes"][number]): MemberView {
  const [address] = node.addresses;
  return {
    name: node.name,
    status: node.status,
    health: node.health.status,
    pid: node.physicalId,
    address: address === undefined ? null : `http://${address.host}:${address.port}/`,
    reason: node.statusReason ?? (node.health.status === "UNHEALTHY" ? node.health.reason : null),
  };
}
