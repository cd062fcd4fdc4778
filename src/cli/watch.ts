/**
 * Follows one cluster and the ledger on a display until told to stop. A connection that breaks is made again, from the last cursor; a
 * refusal ends the watching, since asking again would not change it.
 */
import type { Timers } from "../core/runtime.ts";
import { type ApiClient, ApiError, Refused } from "./client.ts";
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
  /** Called once when the server goes away, with the reason, and with null once it answers again. */
  readonly onAway: (reason: string | null) => void;
}

/** Between two tries to connect, ms. */
const againMs = 300;

/** Resolves when the signal is aborted, or the cluster is gone. @throws Refused */
export async function watchCluster(options: WatchOptions): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const absence = new Absence(options.onAway);
  // Whichever ends first ends the other: the cluster is gone, or we are refused.
  const following = [followCluster(options, signal, over, absence), followEvents(options, signal, absence)].map((each) =>
    each.finally(() => over.abort()),
  );
  await Promise.allSettled(following);
  await Promise.all(following);
}

/** Whether the server is away. Both streams use one connection, so what one of them meets holds for both. */
class Absence {
  private away = false;
  private readonly tell: WatchOptions["onAway"];

  constructor(tell: WatchOptions["onAway"]) {
    this.tell = tell;
  }

  failed(reason: string): void {
    if (!this.away) this.tell(reason);
    this.away = true;
  }

  answered(): void {
    if (this.away) this.tell(null);
    this.away = false;
  }
}

async function followCluster(
  { client, display, cluster: name, timers, onCluster }: WatchOptions,
  signal: AbortSignal,
  gone: AbortController,
  absence: Absence,
): Promise<void> {
  await persist(timers, signal, absence, async () => {
    for await (const { cluster } of client.subscribe(ClusterLiveDocument, { by: { name } }, signal)) {
      absence.answered();
      const view = cluster === null ? null : viewOf(cluster);
      if (view !== null) display.cluster(view);
      onCluster(view);
      if (view === null) gone.abort();
    }
  });
}

async function followEvents({ client, display, after, timers }: WatchOptions, signal: AbortSignal, absence: Absence): Promise<void> {
  let cursor = after;
  await persist(timers, signal, absence, async () => {
    for await (const { events: event } of client.subscribe(EventStreamDocument, { after: cursor, filter: { minLevel: "INFO" } }, signal)) {
      absence.answered();
      cursor = event.cursor;
      display.event({ at: new Date(event.occurredAt), level: event.level, message: event.message });
    }
  });
}

/** Follows again and again. @throws what asking again does not change */
async function persist(timers: Timers, signal: AbortSignal, absence: Absence, follow: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    try {
      await follow();
    } catch (error) {
      // The API is being started again, or PostgreSQL is: the next try tells.
      if (error instanceof Refused || !(error instanceof ApiError)) throw error;
      absence.failed(error.message);
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
