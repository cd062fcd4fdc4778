/** What tests of the ledger and the feed stand on: a database, writers, sequencers and feeds, all of one process unless said otherwise. */
import { sql } from "kysely";
import type { LedgerCursor } from "../../src/core/cursor.ts";
import { brandId, type ClusterId, type ProjectId } from "../../src/core/ids.ts";
import { defaultLimits, type Limits } from "../../src/core/limits.ts";
import { startSequencer } from "../../src/engine/sequencer.ts";
import { type Feed, startFeed } from "../../src/live/feed.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import type { LedgerEvent, LedgerFilter } from "../../src/store/ledger-event.ts";
import { readEvents } from "../../src/store/ledger-read.ts";
import { openSession, type Session } from "../../src/store/session.ts";
import { type Store, transaction } from "../../src/store/transaction.ts";
import { createWake } from "../../src/store/wake.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createTestLog, type TestLog } from "../support/log.ts";

export interface Stage {
  readonly database: TestDatabase;
  readonly store: Store;
  readonly log: TestLog;
  readonly projectId: ProjectId;
  clusterId(n: number): ClusterId;
  /** Writes one transaction of `count` events of a cluster, named `label-1…`. */
  write(cluster: number, count: number, label: string): Promise<void>;
  openSession(name?: string): Promise<Session>;
  startSequencer(retentionDays?: number): { stop(): Promise<void> };
  startFeed(options?: FeedOptions): Promise<Feed>;
  /** All that the ledger holds for the filter, by its own reading. */
  history(filter?: LedgerFilter, after?: LedgerCursor | null): Promise<LedgerEvent[]>;
  /** Resolves when `look` is true, asked again after whatever the ledger tells. */
  until(what: string, look: () => Promise<boolean> | boolean): Promise<void>;
  end(): Promise<void>;
}

export interface FeedOptions {
  readonly limits?: Partial<Limits>;
  /** What stands between the feed and its session. */
  readonly through?: (session: Session) => Session;
}

/** How long a test waits for what it waits for, ms. */
const patienceMs = 40_000;

export async function openStage(): Promise<Stage> {
  const database = await createTestDatabase({ poolSize: 20 });
  const runtime = realRuntime();
  const wake = createWake(database.db, runtime);
  const store: Store = { db: database.db, runtime, wake, writer: 0 };
  const log = createTestLog();
  const open: { close?(): Promise<void>; stop?(): Promise<void> }[] = [];
  const projectId = brandId("project", "00000001-0000-7000-8000-000000000001");
  const clusterId = (n: number) => brandId("cluster", `00000002-0000-7000-8000-${String(n).padStart(12, "0")}`);
  const openOne = (name = "test session") => openSession({ url: database.url, applicationName: name });
  const stage: Stage = {
    database,
    store,
    log,
    projectId,
    clusterId,
    write: (cluster, count, label) =>
      transaction(store, async (tx) => {
        for (let i = 1; i <= count; i++) {
          tx.events.push({
            type: "cluster.settled",
            projectId,
            clusterId: clusterId(cluster),
            clusterName: `${label}-${i}`,
            data: { generation: i },
          });
        }
      }),
    openSession: openOne,
    startSequencer: (retentionDays = 0) => {
      const sequencer = startSequencer({ store, openSession: () => openOne("test sequencer"), logger: log, retentionDays });
      open.push(sequencer);
      return sequencer;
    },
    startFeed: async ({ limits = {}, through = (session: Session): Session => session } = {}) => {
      const feed = await startFeed({
        store,
        openSession: async () => through(await openOne("test feed")),
        logger: log,
        limits: { ...defaultLimits, ...limits },
      });
      open.push(feed);
      return feed;
    },
    history: async (filter = { projectId: null }, after = null) => {
      const found: LedgerEvent[] = [];
      for (let at = after; ; ) {
        const page = await readEvents(database.db, filter, { first: 1_000, after: at });
        if ("expired" in page) throw new Error("the ledger has expired");
        found.push(...page.events);
        at = page.resume;
        if (!page.hasNext) return found;
      }
    },
    until: async (what, look) => {
      const deadline = runtime.clock.monotonicMs() + patienceMs;
      const ear = await openOne("test ear");
      let heard: (() => void) | null = null;
      await ear.listen("muster_feed", () => heard?.());
      while (!(await look())) {
        if (runtime.clock.monotonicMs() > deadline) throw new Error(`waited in vain: ${what}`);
        const ring = new AbortController();
        heard = () => ring.abort();
        await runtime.timers.wait(20, ring.signal);
      }
      await ear.close();
    },
    end: async () => {
      for (const one of open.reverse()) await (one.close?.() ?? one.stop?.());
      await wake.close();
      await database.drop();
    },
  };
  return stage;
}

/** Everything written has its position. */
export async function settled(stage: Stage): Promise<boolean> {
  const { rows } = await sql<{ left: bigint }>`select count(*) as left from muster.marker`.execute(stage.database.db);
  return rows[0]?.left === 0n;
}

export function namesOf(events: readonly LedgerEvent[]): (string | null)[] {
  return events.map((event) => event.clusterName);
}

/** Reads a stream until `enough` says so of all that was read. */
export async function readUntil(
  stream: AsyncIterable<readonly LedgerEvent[]>,
  enough: (events: readonly LedgerEvent[]) => boolean,
): Promise<LedgerEvent[]> {
  const found: LedgerEvent[] = [];
  if (enough(found)) return found;
  for await (const events of stream) {
    found.push(...events);
    if (enough(found)) break;
  }
  return found;
}
