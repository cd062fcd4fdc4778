/** The composition root of an API process: the server, the feed it serves subscriptions from, and a candidate for the sequencer. */
import { startSequencer } from "../engine/sequencer.ts";
import { startFeed } from "../live/feed.ts";
import { createMetrics } from "../server/metrics.ts";
import { defaultOrigins, isLoopback } from "../server/origin.ts";
import { addProcessMetrics } from "../server/process-metrics.ts";
import { startServer } from "../server/server.ts";
import type { Store } from "../store/transaction.ts";
import { poolSizes } from "./connections.ts";
import { layFoundation } from "./foundation.ts";
import { listenComplaint } from "./listen-complaint.ts";
import type { PartSettings, RunningPart } from "./part.ts";

export async function startApi(settings: PartSettings): Promise<RunningPart> {
  const { config } = settings;
  const foundation = await layFoundation(settings, poolSizes.api);
  const { db, direct, runtime, wake, logger, vault, drivers, openSession } = foundation;
  // Writer 0 is every API process's: commands write few counts.
  const store: Store = { db, runtime, wake, writer: 0 };
  const sequencer = startSequencer({ store, direct, openSession, logger, retentionDays: config.ledgerDays });
  const feed = await startFeed({ store, openSession, logger, limits: config.limits });
  const metrics = createMetrics();
  addProcessMetrics(metrics.registry);
  const server = await listen(settings, {
    api: { store, feed, drivers, vault, limits: config.limits, processPolicy: { mode: settings.process } },
    host: config.host,
    port: config.port,
    origins: config.corsOrigins ?? defaultOrigins(config.host),
    hosts: config.hosts,
    graphiql: config.graphiql ?? isLoopback(config.host),
    logger,
    metrics,
  });
  logger.info({ url: server.url }, "The API is there");
  return {
    url: server.url,
    stop: async () => {
      await server.close();
      await feed.close();
      await sequencer.stop();
      await foundation.close();
    },
  };
}

async function listen(settings: PartSettings, options: Parameters<typeof startServer>[0]): ReturnType<typeof startServer> {
  const { host, port } = settings.config;
  try {
    return await startServer(options);
  } catch (error) {
    throw listenComplaint(error, host, port) ?? error;
  }
}
