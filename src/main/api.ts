/** The composition root of an API process: the server, the feed it serves subscriptions from, and a candidate for the sequencer. */
import { startSequencer } from "../engine/sequencer.ts";
import { startFeed } from "../live/feed.ts";
import { createMetrics } from "../server/metrics.ts";
import { defaultOrigins, isLoopback } from "../server/origin.ts";
import { startServer } from "../server/server.ts";
import type { Store } from "../store/transaction.ts";
import { Complaint, systemCode } from "./complaint.ts";
import { layFoundation } from "./foundation.ts";
import type { PartSettings, RunningPart } from "./part.ts";

/** Connections of its pool; its feed and its sequencer have one more each. */
const poolSize = 16;

export async function startApi(settings: PartSettings): Promise<RunningPart> {
  const { config } = settings;
  const foundation = await layFoundation(settings, poolSize);
  const { db, runtime, wake, logger, vault, drivers, openSession } = foundation;
  // Writer 0 is every API process's: commands write few counts.
  const store: Store = { db, runtime, wake, writer: 0 };
  const sequencer = startSequencer({ store, openSession, logger });
  const feed = await startFeed({ store, openSession, logger, limits: config.limits });
  const server = await listen(settings, {
    api: { store, feed, drivers, vault, limits: config.limits, processPolicy: { mode: settings.process } },
    host: config.host,
    port: config.port,
    origins: config.corsOrigins ?? defaultOrigins(config.host),
    hosts: config.hosts,
    graphiql: config.graphiql ?? isLoopback(config.host),
    logger,
    metrics: createMetrics({ process: true }),
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
    const complaint = listenComplaint(error, host, port);
    throw complaint ?? error;
  }
}

/** Why we cannot listen there, or null for what is a bug. */
export function listenComplaint(error: unknown, host: string, port: number): Complaint | null {
  switch (systemCode(error)) {
    case "EADDRINUSE":
      return new Complaint(`Port ${port} on ${host} is taken: another program listens there. Choose another one with MUSTER_PORT, or 0 for any that is free.`);
    case "EACCES":
      return new Complaint(`This user may not listen on port ${port}. Choose one from 1024 on with MUSTER_PORT.`);
    case "EADDRNOTAVAIL":
      return new Complaint(`${host} is no address of this machine. Set MUSTER_HOST to one that is (0.0.0.0 for all).`);
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new Complaint(`The name ${host} (MUSTER_HOST) cannot be looked up.`);
    default:
      return null;
  }
}
