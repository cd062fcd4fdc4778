/** The composition root of a worker: the engine, and a candidate for the sequencer. */
import { startSequencer } from "../engine/sequencer.ts";
import { startWorker } from "../engine/worker.ts";
import type { Store } from "../store/transaction.ts";
import { poolSizes } from "./connections.ts";
import { layFoundation } from "./foundation.ts";
import type { PartSettings, RunningPart } from "./part.ts";
import { musterVersion } from "./version.ts";

export async function startWorkerPart(settings: PartSettings): Promise<RunningPart> {
  const foundation = await layFoundation(settings, poolSizes.worker);
  const { db, direct, runtime, wake, logger, vault, drivers, openSession, installation, host, applicationName } = foundation;
  const store: Store = { db, runtime, wake, writer: 0 };
  const sequencer = startSequencer({ store, direct, openSession, logger, retentionDays: settings.config.ledgerDays });
  const worker = startWorker({
    db,
    runtime,
    wake,
    openSession,
    drivers,
    vault,
    logger,
    installation,
    host,
    applicationName,
    pid: process.pid,
    version: musterVersion(),
  });
  logger.info({ host: host.name }, "The worker is there");
  return {
    url: null,
    stop: async () => {
      await worker.stop();
      await sequencer.stop();
      await foundation.close();
    },
  };
}
