/** The collector: removes what comes back of members that were abandoned. Each lane's owner looks after the tombstones of its lanes. */
import type { NodeId } from "../../core/ids.ts";
import type { Logger } from "../../core/runtime.ts";
import type { CallContext, Driver, DriverNode } from "../../drivers/driver.ts";
import { listTombstones, removeTombstones, type Tombstone } from "../../store/tombstone.ts";
import type { Store } from "../../store/transaction.ts";
import type { LaneBook } from "../lane-book.ts";
import { startLoop } from "../loop.ts";
import type { KnownProfile, SpecCache } from "../specs.ts";

/** Between two rounds over all of them, ms: what was given up may wait a little longer. */
const lookMs = 10_000;
const window = 100;

export function startCollector(deps: {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly specs: SpecCache;
  readonly logger: Logger;
  readonly installation: string;
  readonly signal: () => AbortSignal;
}): { stop(): Promise<void> } {
  // What cannot be removed yet must not crowd out the rest: a round goes on behind it.
  let after: NodeId | null = null;
  return startLoop({ name: "collector", timers: deps.store.runtime.timers, logger: deps.logger }, async () => {
    const { lanes, store, specs } = deps;
    if (lanes.held.size === 0) return lookMs;
    const held = new Map(lanes.held);
    const found = await listTombstones(store.db, [...held.keys()], after, window);
    const profiles = await specs.get(
      store.db,
      found.map((tombstone) => tombstone.profileId),
    );
    const byDriver = new Map<Driver, { tombstone: Tombstone; profile: KnownProfile }[]>();
    for (const tombstone of found) {
      const profile = profiles.get(tombstone.profileId);
      if (profile !== undefined) byDriver.set(profile.driver, [...(byDriver.get(profile.driver) ?? []), { tombstone, profile }]);
    }
    const lanesByNode = new Map(found.map((tombstone) => [tombstone.nodeId, tombstone.lane]));
    for (const [driver, graves] of byDriver) {
      const context: CallContext = {
        installation: deps.installation,
        fence: (node) => held.get(lanesByNode.get(node.id) ?? -1) ?? 0n,
        signal: deps.signal(),
        deadlineMs: store.runtime.clock.monotonicMs() + 30_000,
      };
      const nodes = graves.map(({ tombstone, profile }) => asNode(tombstone, profile));
      for await (const outcome of driver.delete(nodes, context)) if (outcome.ok) await removeTombstones(store.db, [outcome.nodeId]);
    }
    after = found.length < window ? null : (found.at(-1)?.nodeId ?? null);
    return after === null ? lookMs : 0;
  });
}

function asNode(tombstone: Tombstone, profile: KnownProfile): DriverNode {
  return {
    id: tombstone.nodeId,
    name: tombstone.nodeId,
    index: null,
    clusterId: null,
    clusterName: null,
    epoch: tombstone.epoch,
    physicalId: tombstone.physicalId,
    spec: profile.open(),
    hostId: tombstone.hostId,
    attempt: 1,
  };
}
