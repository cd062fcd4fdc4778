/** The observer: what drivers see without being asked (a process that exits) becomes a report, if the member's lane is this worker's. */
import type { HostId } from "../../core/ids.ts";
import type { Logger } from "../../core/runtime.ts";
import type { Driver, DriverCatalog, Observation } from "../../drivers/driver.ts";
import { lanesOf } from "../../store/probe.ts";
import type { Store } from "../../store/transaction.ts";
import type { LaneBook } from "../lane-book.ts";
import { startLoop } from "../loop.ts";
import type { Outbox } from "../outbox.ts";

export function startObserver(deps: {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly outbox: Outbox;
  readonly drivers: DriverCatalog;
  readonly hostId: HostId;
  readonly logger: Logger;
}): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const watchers = [...deps.drivers.values()].flatMap((driver) => (driver.watch === undefined ? [] : [watch(driver, driver.watch.bind(driver))]));

  function watch(driver: Driver, stream: NonNullable<Driver["watch"]>): { stop(): Promise<void> } {
    // A stream that ends or breaks is opened again after a pause; what was missed is found by the check that a new stream begins with.
    return startLoop({ name: `watch ${driver.type}`, timers: deps.store.runtime.timers, logger: deps.logger }, async () => {
      for await (const seen of stream({ hostId: deps.hostId, signal: stopping.signal })) await report(deps, seen, stopping.signal);
      return stopping.signal.aborted ? 60_000 : 1_000;
    });
  }

  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(watchers.map((watcher) => watcher.stop()));
    },
  };
}

async function report(
  deps: { readonly store: Store; readonly lanes: LaneBook; readonly outbox: Outbox },
  seen: readonly Observation[],
  signal: AbortSignal,
): Promise<void> {
  const lanes = await lanesOf(
    deps.store.db,
    seen.map((observation) => observation.nodeId),
  );
  // What a driver saw it may not see again: it waits, and the driver's stream with it.
  await deps.outbox.room(signal);
  for (const observation of seen) {
    const lane = lanes.get(observation.nodeId);
    const epoch = lane === undefined ? undefined : deps.lanes.held.get(lane);
    if (lane === undefined || epoch === undefined) continue;
    deps.outbox.push({ from: "watch", nodeId: observation.nodeId, lane, epoch, observation });
  }
}
