/** The API's server as a process runs it: the schema, its context and the stored tokens behind one port (`door.ts`). */
import { type ApiDeps, createContext } from "../api/context.ts";
import { buildSchema } from "../api/schema.ts";
import type { Logger } from "../core/runtime.ts";
import { TokenAuthenticator } from "./authenticate.ts";
import { openDoor, type RunningServer } from "./door.ts";
import { measureFeed } from "./feed-metrics.ts";
import { measureLedger } from "./ledger-metrics.ts";
import type { Metrics } from "./metrics.ts";
import { measurePool } from "./pool-metrics.ts";
import { storedTokens } from "./token-source.ts";
import { measureTransactions } from "./transaction-metrics.ts";

export interface ServerOptions {
  readonly api: ApiDeps;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Pages that may call us, beside our own; `origin.ts` says how they are written and what the default is. */
  readonly origins: readonly string[];
  /** Names we answer to, beside loopback, addresses and `host`. */
  readonly hosts?: readonly string[];
  readonly graphiql: boolean;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Starts listening. Rejects where the port is taken (`EADDRINUSE`). */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { api, logger } = options;
  const { runtime, db } = api.store;
  const tokens = storedTokens(db, logger);
  const door = await openDoor({
    ...options,
    schema: buildSchema(),
    contextFor: (principal, requestId, signal) => createContext(api, principal, requestId, signal),
    authenticator: new TokenAuthenticator(tokens.source, runtime.clock, api.limits),
    runtime,
    limits: api.limits,
    hosts: options.hosts ?? [],
    ready: () => api.feed.ready,
  });
  measureFeed(options.metrics.registry, api.feed);
  measurePool(options.metrics.registry, db);
  const stopping = new AbortController();
  const noting = tokens.note(runtime.timers, stopping.signal);
  const { registry } = options.metrics;
  const measuring = [
    measureLedger({ registry, db, timers: runtime.timers, logger }, stopping.signal),
    measureTransactions({ registry, db, runtime, logger }, stopping.signal),
  ];
  return {
    url: door.url,
    close: async () => {
      await door.close();
      stopping.abort();
      await Promise.all([noting, ...measuring]);
    },
  };
}
