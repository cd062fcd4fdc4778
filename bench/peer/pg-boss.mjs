/** pg-boss in a process of its own. Arguments: where the package is, and the database. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { answer, never, tellStarted, timeSingles } from "./answer.mjs";

const [folder, connectionString] = process.argv.slice(2);
const PgBoss = createRequire(join(folder, "package.json"))("pg-boss");
const queue = "noop";
/**
 * Half a second is the shortest poll there is. `batched`: two loops, so that one works while the other waits for the database, and a full batch is followed by
 * the next one at once (`notifyWorker`); `plain`: ten loops of one job each.
 */
const modes = {
  plain: { loops: 10, options: { batchSize: 1, pollingIntervalSeconds: 0.5 } },
  batched: { loops: 2, options: { batchSize: 2_000, pollingIntervalSeconds: 0.5 } },
};
const putAtOnce = 5_000;

let handled = 0;
let heard = () => undefined;
let boss = null;
const tools = async () => {
  if (boss !== null) return boss;
  boss = new PgBoss({ connectionString, max: 25 });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  return boss;
};

answer({
  prepare: async () => (await tools()).createQueue(queue),
  warm: async () => void (await tools()),
  put: async ({ count }) => {
    for (let from = 0; from < count; from += putAtOnce) {
      await (await tools()).insert(Array.from({ length: Math.min(putAtOnce, count - from) }, (_, n) => ({ name: queue, data: { n: from + n } })));
    }
  },
  work: async ({ mode, hold }) => {
    const { loops, options } = modes[mode];
    for (let n = 0; n < loops; n++) {
      let id = null;
      const work = (jobs) => {
        handled += jobs.length;
        heard();
        if (jobs.length === options.batchSize && options.batchSize > 1) boss.notifyWorker(id);
        if (!hold) return undefined;
        for (const { data } of jobs) tellStarted(data.n);
        return never();
      };
      id = await (await tools()).work(queue, options, work);
    }
  },
  handled: () => handled,
  singles: async ({ rounds, pauseMs }) => {
    const begin = async () => (await tools()).send(queue, { n: 0 });
    return timeSingles({ rounds, pauseMs, begin, heard: (call) => (heard = call) });
  },
});
