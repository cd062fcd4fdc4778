/**
 * A worker in a process of its own, for tests that kill it: the same parts as `muster worker`, but its `sim` keeps its books in the test's provider
 * process. Started with tsx; its one argument is a JSON text. Says `ready` when it is a member.
 */
import { brandId } from "../../src/core/ids.ts";
import { createSimDriver } from "../../src/drivers/sim/index.ts";
import { startSequencer } from "../../src/engine/sequencer.ts";
import { startWorker } from "../../src/engine/worker.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { openDatabase } from "../../src/store/database.ts";
import { readInstallation } from "../../src/store/installation.ts";
import { openSession } from "../../src/store/session.ts";
import type { Store } from "../../src/store/transaction.ts";
import { createVault } from "../../src/store/vault.ts";
import { createWake } from "../../src/store/wake.ts";
import { remoteProvider } from "./provider.ts";

export interface WorkerProcessSettings {
  readonly url: string;
  readonly providerUrl: string;
  readonly hostId: string;
  /** Of its connections. */
  readonly name: string;
  readonly vaultKey: string;
}

const settings: WorkerProcessSettings = JSON.parse(process.argv[2] ?? "");
const runtime = realRuntime();
const say = (fields: Readonly<Record<string, unknown>>, message: string): void => {
  const { error } = fields;
  console.log(`${message} ${JSON.stringify(fields)} ${error instanceof Error ? (error.stack ?? "") : ""}`);
};
const logger = { debug: () => undefined, info: say, warn: say, error: say };
const db = openDatabase({ url: settings.url, size: 6, applicationName: settings.name });
const wake = createWake(db, runtime);
const store: Store = { db, runtime, wake, writer: 0 };
const open = (): ReturnType<typeof openSession> => openSession({ url: settings.url, applicationName: settings.name });
const sequencer = startSequencer({ store, openSession: open, logger });
const worker = startWorker({
  db,
  runtime,
  wake,
  openSession: open,
  drivers: new Map([["sim", createSimDriver({ ...runtime, logger, provider: remoteProvider(settings.providerUrl, settings.name) })]]),
  vault: createVault([Buffer.from(settings.vaultKey, "hex")]),
  logger,
  installation: (await readInstallation(db)).id,
  host: { id: brandId("host", settings.hostId), name: "test-host", incarnation: "test", folder: "test" },
  pid: process.pid,
  version: "test",
  applicationName: settings.name,
});
console.log("ready");

let stopping = false;
const stop = (): void => {
  if (stopping) return;
  stopping = true;
  void worker
    .stop()
    .then(() => sequencer.stop())
    .then(() => wake.close())
    .then(() => db.destroy())
    .then(() => process.exit(0));
};
// The test that started it is gone, or asks it to go.
process.stdin.resume().once("end", stop);
process.once("SIGTERM", stop);
