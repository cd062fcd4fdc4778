/** graphile-worker in a process of its own. Arguments: where the package is, and the database. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { answer, never, tellStarted, timeSingles } from "./answer.mjs";

const [folder, connectionString] = process.argv.slice(2);
const { Logger, makeWorkerUtils, run, runMigrations } = createRequire(join(folder, "package.json"))("graphile-worker");
const logger = new Logger(() => () => undefined);
/** What https://worker.graphile.org/docs/performance measured with; `plain` is the same without batching. */
const modes = {
  plain: { concurrentJobs: 24, maxPoolSize: 25 },
  batched: { concurrentJobs: 24, maxPoolSize: 25, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
};
/** So many jobs in one call. */
const putAtOnce = 5_000;

let handled = 0;
let heard = () => undefined;
let utils = null;
const tools = async () => {
  utils ??= await makeWorkerUtils({ connectionString, logger });
  return utils;
};

answer({
  prepare: () => runMigrations({ connectionString, logger }),
  warm: async () => void (await tools()),
  put: async ({ count }) => {
    const { addJobs } = await tools();
    for (let from = 0; from < count; from += putAtOnce) {
      await addJobs(Array.from({ length: Math.min(putAtOnce, count - from) }, (_, n) => ({ identifier: "noop", payload: { n: from + n } })));
    }
  },
  work: async ({ mode, hold }) => {
    const work = (payload) => {
      handled += 1;
      heard();
      if (!hold) return;
      tellStarted(payload.n);
      return never();
    };
    await run({ preset: { worker: { connectionString, ...modes[mode] } }, logger, noHandleSignals: true, taskList: { noop: work } });
  },
  handled: () => handled,
  singles: async ({ rounds, pauseMs }) => {
    const { addJob } = await tools();
    const begin = () => addJob("noop", { n: 0 });
    return timeSingles({ rounds, pauseMs, begin, heard: (call) => (heard = call) });
  },
});
