/** The standing watches of a worker, started and stopped together: each looks after something that nobody asks about. */
import type { HostId } from "../../core/ids.ts";
import type { Logger } from "../../core/runtime.ts";
import type { DriverCatalog } from "../../drivers/driver.ts";
import type { Store } from "../../store/transaction.ts";
import type { LaneBook } from "../lane-book.ts";
import type { Outbox } from "../outbox.ts";
import type { SpecCache } from "../specs.ts";
import { startCleaner } from "./cleaner.ts";
import { startCollector } from "./collector.ts";
import { startDeadlines } from "./deadlines.ts";
import { startHostWatch } from "./host-watch.ts";
import { startObserver } from "./observer.ts";
import { type Prober, startProber } from "./prober.ts";

export function startWatches(deps: {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly specs: SpecCache;
  readonly outbox: Outbox;
  readonly drivers: DriverCatalog;
  readonly logger: Logger;
  readonly installation: string;
  readonly hostId: HostId;
  readonly signal: () => AbortSignal;
}): Prober {
  const prober = startProber(deps);
  const others = [startObserver(deps), startCleaner(deps), startCollector(deps), startHostWatch(deps), startDeadlines(deps)];
  return {
    welcome: prober.welcome,
    stop: async () => {
      await Promise.all([prober, ...others].map((watch) => watch.stop()));
    },
  };
}
