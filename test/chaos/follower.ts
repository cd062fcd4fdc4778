/** A subscriber that comes back with its last cursor, at another API process, whenever its stream ends; it keeps every event it was told. */
import type { ApiClient } from "../../src/cli/client.ts";
import { EventBatchesDocument, FeedCursorDocument } from "../../src/cli/graphql/generated/graphql.ts";
import type { Timers } from "../../src/core/runtime.ts";

export interface Follower {
  /** Where it began. */
  readonly start: string;
  readonly ids: readonly string[];
  /** How often it had to come back. */
  readonly resumed: () => number;
  /** Resolves when it has heard this event. */
  heard(id: string): Promise<void>;
  stop(): Promise<void>;
}

const pauseMs = 100;

export async function follow(apis: readonly ApiClient[], timers: Timers): Promise<Follower> {
  const [first] = apis;
  if (first === undefined) throw new Error("there is no API");
  const { feedCursor: start } = await first.request(FeedCursorDocument, {});
  const ending = new AbortController();
  const ids: string[] = [];
  let resumed = 0;
  let told: (() => void)[] = [];
  const run = async (): Promise<void> => {
    let after = start;
    for (let n = 0; !ending.signal.aborted; n++) {
      const api = apis[n % apis.length] ?? first;
      try {
        for await (const { eventBatches } of api.subscribe(EventBatchesDocument, { after, maxSize: 500, maxWaitMs: 20 }, ending.signal)) {
          after = eventBatches.cursor;
          ids.push(...eventBatches.events.map((event) => event.id));
          for (const resolve of told.splice(0)) resolve();
        }
      } catch {
        // The process or its way to the database is gone: the next one goes on where this one ended.
      }
      if (ending.signal.aborted) return;
      resumed += 1;
      await timers.wait(pauseMs, ending.signal);
    }
  };
  const running = run();
  return {
    start,
    ids,
    resumed: () => resumed,
    heard: async (id) => {
      while (!ids.includes(id)) await new Promise<void>((resolve) => told.push(resolve));
      told = [];
    },
    stop: async () => {
      ending.abort();
      await running;
    },
  };
}
