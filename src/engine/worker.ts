/** A worker: membership, planner, executor, outbox, and the standing watches, wired together. It holds no truth of its own. */
import type { HostId } from "../core/ids.ts";
import type { Logger, Runtime } from "../core/runtime.ts";
import type { DriverCatalog } from "../drivers/driver.ts";
import { type CountDesk, countWriter } from "../store/count.ts";
import type { Database } from "../store/database.ts";
import type { Session } from "../store/session.ts";
import type { Store } from "../store/transaction.ts";
import type { Vault } from "../store/vault.ts";
import type { Wake } from "../store/wake.ts";
import { startExecutor } from "./executor.ts";
import { createLaneBook } from "./lane-book.ts";
import { startReadBack } from "./maintenance/read-back.ts";
import { startWatches } from "./maintenance/watches.ts";
import { startMembership } from "./membership.ts";
import { startOutbox } from "./outbox.ts";
import { startPlanner } from "./planner.ts";
import { createSpecCache } from "./specs.ts";
import { createSweeps } from "./sweep.ts";

export interface WorkerDeps {
  readonly db: Database;
  readonly runtime: Runtime;
  readonly wake: Wake;
  readonly openSession: () => Promise<Session>;
  readonly drivers: DriverCatalog;
  readonly vault: Vault;
  readonly logger: Logger;
  /** The installation's id: the first part of every idempotency key. */
  readonly installation: string;
  readonly host: { readonly id: HostId; readonly name: string; readonly incarnation: string; readonly folder: string };
  readonly pid: number;
  readonly version: string;
  /** What all connections of this process are called in pg_stat_activity; unique to it. */
  readonly applicationName: string;
}

/** How long a driver may take to let go of its calls when the worker stops, ms: it is asked to return at once. */
const graceMs = 5_000;

export interface Worker {
  /** Lets go of its lanes at once, breaks off what it can, writes what has come, and ends. */
  stop(): Promise<void>;
}

export function startWorker(deps: WorkerDeps): Worker {
  const { drivers, logger } = deps;
  const lanes = createLaneBook();
  const specs = createSpecCache(deps);
  let calls = new AbortController();
  const storeOf = (desk: CountDesk): Store => storeAt(deps, desk, () => membership.number());
  const store = storeOf("maintenance");
  const ring = (): void => {
    executor.bell.ring();
    planner.bell.ring();
  };
  const outbox = startOutbox({
    store: storeOf("outbox"),
    lanes,
    specs,
    logger,
    onWritten: ({ probed, follows }) => {
      if (follows) executor.look(null);
      planner.bell.ring();
      watches.welcome(probed);
    },
  });
  const executor = startExecutor({
    store: storeOf("executor"),
    lanes,
    specs,
    outbox,
    logger,
    installation: deps.installation,
    signal: () => calls.signal,
    held: () => readBack.held(),
  });
  const sweeps = createSweeps({ store: storeOf("executor"), lanes, places: executor.places, logger, onEnd: () => planner.bell.ring() });
  const planner = startPlanner({
    store: storeOf("planner"),
    lanes,
    specs,
    places: executor.places,
    sweeps,
    logger,
    onPlanned: (clusterId) => executor.look(clusterId),
    held: () => readBack.held(),
    silenceOf: (profileId) => executor.silenceOf(profileId),
  });
  const readBack = startReadBack({ store, lanes, logger, onReleased: ring });
  const membership = startMembership({
    ...deps,
    store,
    lanes,
    host: { ...deps.host, drivers: [...drivers.values()].filter((driver) => driver.hostBound).map((driver) => driver.type) },
    onWork: () => {
      executor.look(null);
      planner.bell.ring();
    },
    onPlan: () => planner.bell.ring(),
    onOut: () => {
      calls.abort();
      readBack.doubt();
    },
    onIn: () => {
      calls = new AbortController();
      ring();
    },
  });
  const watches = startWatches({
    ...deps,
    store,
    lanes,
    specs,
    outbox,
    hostId: deps.host.id,
    signal: () => calls.signal,
  });
  return {
    stop: async () => {
      await Promise.all([planner.stop(), executor.stop(), watches.stop(), readBack.stop()]);
      // What was begun is broken off; outcomes that have come are still written, while the lanes are ours.
      calls.abort();
      await Promise.race([Promise.all([executor.idle(), sweeps.idle()]), deps.runtime.timers.wait(graceMs)]);
      await outbox.stop();
      await membership.stop();
    },
  };
}

/** The store of one loop, which has a row of counts of its own. */
function storeAt({ db, runtime, wake }: Pick<WorkerDeps, "db" | "runtime" | "wake">, desk: CountDesk, workerNumber: () => number): Store {
  return {
    db,
    runtime,
    wake,
    get writer() {
      return countWriter(workerNumber(), desk);
    },
  };
}
