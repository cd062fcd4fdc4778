import { setImmediate as nextTurn } from "node:timers/promises";
import { sql } from "kysely";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeCursor, type LedgerCursor, lastOrdinal } from "../../src/core/cursor.ts";
import { brandId } from "../../src/core/ids.ts";
import type { Feed } from "../../src/live/feed.ts";
import { LiveError } from "../../src/live/live-error.ts";
import { readLedger } from "../../src/store/ledger.ts";
import type { LedgerEvent, LedgerFilter } from "../../src/store/ledger-event.ts";
import { dropExpired, ensurePartitions } from "../../src/store/ledger-partition.ts";
import type { Session } from "../../src/store/session.ts";
import { namesOf, openStage, readUntil, type Stage, settled } from "./stage.ts";

let stage: Stage;
let ending: AbortController;
beforeEach(async () => {
  stage = await openStage();
  stage.startSequencer();
  ending = new AbortController();
});
afterEach(async () => {
  ending.abort();
  await stage.end();
});

const everything: LedgerFilter = { projectId: null };

async function failureOf(stream: AsyncIterable<readonly LedgerEvent[]>): Promise<LiveError> {
  try {
    for await (const _ of stream);
  } catch (error) {
    if (error instanceof LiveError) return error;
    throw error;
  }
  throw new Error("the stream ended without an error");
}

function follow(feed: Feed, after: LedgerCursor | null = null, filter: LedgerFilter = everything): AsyncIterable<readonly LedgerEvent[]> {
  return feed.subscribe({ filter, after, signal: ending.signal });
}

describe("feed", () => {
  test("from now on: what was before the call is not told, what is after it is, in order", async () => {
    await stage.write(1, 3, "before");
    await stage.until("before has its position", () => settled(stage));
    const feed = await stage.startFeed();
    await stage.until("it follows the ledger", () => feed.ready);
    const stream = follow(feed);
    // Nobody has asked for the first event yet: now is when the stream was made.
    await stage.write(1, 3, "one");
    await stage.write(2, 2, "two");
    const found = await readUntil(stream, (events) => events.length >= 5);
    expect(namesOf(found)).toEqual(["one-1", "one-2", "one-3", "two-1", "two-2"]);
  });

  test("from a cursor of long ago: history, then what comes, each once", async () => {
    for (let i = 0; i < 30; i++) await stage.write(i % 3, 100, `old${i}`);
    await stage.until("old ones have positions", () => settled(stage));
    const feed = await stage.startFeed();
    const start = { incarnation: feed.cursor().incarnation, position: 0n, ordinal: lastOrdinal };
    const reading = readUntil(follow(feed, start), (events) => events.length >= 3_200);
    for (let i = 0; i < 20; i++) await stage.write(1, 10, `new${i}`);
    const found = await reading;
    expect(found.map((event) => event.id)).toEqual((await stage.history()).map((event) => event.id));
  });

  test("filters: by project, cluster, node, action, type and level → the same as history says", async () => {
    const feed = await stage.startFeed();
    const filters: LedgerFilter[] = [
      { projectId: stage.projectId },
      { projectId: stage.projectId, clusterIds: [stage.clusterId(1), stage.clusterId(3)] },
      { projectId: null, clusterIds: [stage.clusterId(2)], minLevel: "INFO" },
      { projectId: stage.projectId, typeCodes: [16] },
    ];
    const nothing: LedgerFilter[] = [
      { projectId: brandId("project", stage.clusterId(1)) },
      { projectId: null, typeCodes: [] },
      { projectId: null, clusterIds: [] },
      { projectId: null, minLevel: "ERROR" },
      { projectId: stage.projectId, nodeIds: [brandId("node", stage.clusterId(1))] },
    ];
    const silent = nothing.map((filter) => {
      const heard: LedgerEvent[] = [];
      void (async () => {
        for await (const events of follow(feed, null, filter)) heard.push(...events);
      })();
      return heard;
    });
    const from = feed.cursor();
    const last = (events: readonly LedgerEvent[]): boolean => events.some((event) => event.clusterName === "end-1");
    const reading = filters.map((filter) => readUntil(follow(feed, null, filter), last));
    for (let i = 0; i < 30; i++) await stage.write(i % 4, 2, `w${i}`);
    for (const cluster of [2, 3]) await stage.write(cluster, 1, "end");
    for (const [i, found] of (await Promise.all(reading)).entries()) {
      const expected = (await stage.history(filters[i], from)).map((event) => event.id);
      expect(found.map((event) => event.id)).toEqual(expected.slice(0, found.length));
      expect(found.length).toBeGreaterThan(0);
    }
    expect(silent).toEqual(nothing.map(() => []));
  });

  test("100 reconnects at random moments under load from several writers, two API processes → no gap, no repeat", async () => {
    const feeds = [await stage.startFeed(), await stage.startFeed()];
    const from = feeds[0]?.cursor() ?? null;
    let writing = true;
    const writers = Array.from({ length: 5 }, async (_, w) => {
      for (let i = 0; writing; i++) await stage.write(w, 1 + (i % 7), `${w}.${i}`);
    });
    const found: LedgerEvent[] = [];
    let cursor = from;
    for (let connect = 0; connect < 100; connect++) {
      const feed = feeds[connect % 2];
      if (feed === undefined) throw new Error("no feed");
      const hangUp = new AbortController();
      // Hung up after some frames, in the middle of one: what was taken counts, the rest does not.
      let frames = 1 + Math.floor(Math.random() * 4);
      for await (const events of feed.subscribe({ filter: everything, after: cursor, signal: hangUp.signal })) {
        const taken = events.slice(0, 1 + Math.floor(Math.random() * events.length));
        found.push(...taken);
        cursor = taken.at(-1)?.cursor ?? cursor;
        if (taken.length < events.length || --frames === 0) break;
      }
      hangUp.abort();
    }
    writing = false;
    await Promise.all(writers);
    await stage.until("all have positions", () => settled(stage));
    const expected = await stage.history(everything, from);
    expect(found.map((event) => event.id)).toEqual(expected.slice(0, found.length).map((event) => event.id));
    expect(found.length).toBeGreaterThan(100);
  });

  test("the tail's session is cut again and again, and PostgreSQL refuses for a while → it comes back by itself, nothing missed", async () => {
    const feed = await stage.startFeed();
    const from = feed.cursor();
    const total = 120;
    const reading = readUntil(follow(feed), (events) => events.length >= total);
    const admin = new pg.Client({ connectionString: stage.database.superuserUrl });
    await admin.connect();
    for (let i = 0; i < total; i++) {
      await stage.write(1, 1, `w${i}`);
      if (i % 20 === 10)
        await admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test feed' and datname = current_database()`,
        );
    }
    await admin.end();
    expect((await reading).map((event) => event.id)).toEqual((await stage.history(everything, from)).map((event) => event.id));
  });
});

describe("an ended feed", () => {
  test("closed: streams and changes complete, whether live, catching up or not yet asked", async () => {
    for (let i = 0; i < 3; i++) await stage.write(1, 600, `old${i}`);
    await stage.until("old ones have positions", () => settled(stage));
    const feed = await stage.startFeed();
    const live = follow(feed)[Symbol.asyncIterator]();
    const waiting = live.next();
    const behind = follow(feed, { incarnation: feed.cursor().incarnation, position: 0n, ordinal: lastOrdinal })[Symbol.asyncIterator]();
    await behind.next();
    const unasked = follow(feed)[Symbol.asyncIterator]();
    const changes = feed.changes({ clusterId: stage.clusterId(1), signal: ending.signal });
    await changes.next();
    await feed.close();
    expect(await Promise.all([waiting, behind.next(), unasked.next(), changes.next()])).toEqual(
      Array.from({ length: 4 }, () => ({ done: true, value: undefined })),
    );
    expect(feed.stats().subscribers).toBe(0);
  });

  test("a stream's signal: ends it at once, also while it waits", async () => {
    const feed = await stage.startFeed();
    const own = new AbortController();
    const iterator = feed.subscribe({ filter: everything, after: null, signal: own.signal })[Symbol.asyncIterator]();
    const waiting = iterator.next();
    await nextTurn();
    expect(feed.stats().subscribers).toBe(1);
    own.abort();
    expect((await waiting).done).toBe(true);
    expect(feed.stats().subscribers).toBe(0);
  });
});

describe("a slow subscriber", () => {
  test("reads nothing at all → its mailbox stays bounded, it is ended with where to come back, others go on; nothing is missed then", async () => {
    const feed = await stage.startFeed({ limits: { streamEvents: 100 } });
    const slow = follow(feed)[Symbol.asyncIterator]();
    const first = slow.next();
    await stage.write(1, 1, "first");
    const { value } = await first;
    expect(value?.length).toBe(1);
    // Waits for more, takes one frame, then never comes back for the next in time.
    let most = 0;
    const quick = readUntil(follow(feed), (events) => {
      most = Math.max(most, feed.stats().bufferedEvents);
      return events.some((event) => event.clusterName?.startsWith("last") === true);
    });
    const waiting = slow.next();
    for (let i = 0; i < 40; i++) await stage.write(1, 20, `w${i}`);
    await waiting;
    for (let i = 0; i < 40; i++) await stage.write(1, 20, `v${i}`);
    await stage.until("it is ended", () => feed.stats().slowEnded === 1);
    await stage.write(1, 1, "last");
    await quick;
    expect(most).toBeLessThanOrEqual(200);
    const error = await slow.next().then(
      () => null,
      (reason: unknown) => reason,
    );
    if (!(error instanceof LiveError)) throw new Error("it was not ended");
    expect(error.code).toBe("SLOW_CONSUMER");
    const back = decodeCursor(error.cursor ?? "");
    const rest = await readUntil(follow(feed, back), (events) => events.some((event) => event.clusterName === "last-1"));
    expect(rest.map((event) => event.id)).toEqual((await stage.history(everything, back)).map((event) => event.id));
  });

  test("a burst of many times its mailbox, read at once → not ended, nothing missed", async () => {
    const feed = await stage.startFeed({ limits: { streamEvents: 50 } });
    const from = feed.cursor();
    const reading = readUntil(follow(feed), (events) => events.length >= 6_000);
    await Promise.all(Array.from({ length: 6 }, (_, i) => stage.write(i, 1_000, `burst${i}`)));
    expect((await reading).map((event) => event.id)).toEqual((await stage.history(everything, from)).map((event) => event.id));
    expect(feed.stats().slowEnded).toBe(0);
  });

  test("far behind and slow → holds a page, not the ledger", async () => {
    for (let i = 0; i < 20; i++) await stage.write(1, 500, `old${i}`);
    await stage.until("old ones have positions", () => settled(stage));
    const feed = await stage.startFeed();
    const stream = follow(feed, { incarnation: feed.cursor().incarnation, position: 0n, ordinal: lastOrdinal })[Symbol.asyncIterator]();
    let read = 0;
    for (;;) {
      const { value } = await stream.next();
      expect(value?.length).toBeLessThanOrEqual(500);
      expect(feed.stats().bufferedEvents).toBe(0);
      read += value?.length ?? 0;
      if (read === 10_000) break;
    }
  });
});

describe("a stream's cursor", () => {
  test("of another incarnation, or never given → CURSOR_EXPIRED with the oldest", async () => {
    await stage.write(1, 1, "one");
    await stage.until("one has its position", () => settled(stage));
    const feed = await stage.startFeed();
    const { incarnation } = feed.cursor();
    for (const after of [
      { incarnation: incarnation ^ 1, position: 1n, ordinal: 1 },
      { incarnation, position: 999n, ordinal: 1 },
    ]) {
      const error = await failureOf(follow(feed, after));
      expect(error.code).toBe("CURSOR_EXPIRED");
      expect(decodeCursor(error.oldest ?? "")).toEqual({ incarnation, position: 0n, ordinal: lastOrdinal });
    }
  });

  test("ahead of this process's tail, given by another process → taken, nothing twice", async () => {
    let release = (): void => undefined;
    let gate = Promise.resolve();
    const through = (session: Session): Session => ({
      ...session,
      query: async <Row>(text: string, values?: readonly unknown[]) => {
        if (text.includes("ledger.tail")) await gate;
        return session.query<Row>(text, values);
      },
    });
    const feed = await stage.startFeed({ through });
    await stage.until("it follows the ledger", () => feed.ready);
    gate = new Promise((resolve) => {
      release = resolve;
    });
    const behind = feed.cursor();
    await stage.write(1, 3, "one");
    await stage.until("one has its position", () => settled(stage));
    const [, second] = await stage.history();
    const stream = follow(feed, second?.cursor ?? null)[Symbol.asyncIterator]();
    expect(namesOf((await stream.next()).value ?? [])).toEqual(["one-3"]);
    const next = stream.next();
    await stage.until("it waits for the tail", () => feed.stats().subscribers === 1);
    expect(feed.cursor()).toEqual(behind);
    release();
    await stage.write(1, 1, "two");
    expect(namesOf((await next).value ?? [])).toEqual(["two-1"]);
  });

  test("older than retention → CURSOR_EXPIRED, and from the oldest on everything there is", async () => {
    await stage.write(1, 2, "old");
    await stage.until("old has its position", () => settled(stage));
    const [first] = await stage.history();
    const feed = await stage.startFeed();
    const { rows } = await sql<{ upper: bigint }>`select min(upper_bound) as upper from muster.ledger_partition where kind = 'event'`.execute(
      stage.database.db,
    );
    await sql`select setval('muster.batch', ${rows[0]?.upper ?? 0n}::bigint)`.execute(stage.database.db);
    await ensurePartitions(stage.database.db);
    await stage.write(1, 2, "new");
    await stage.until("new has its position", () => settled(stage));
    expect(await dropExpired(stage.database.db, new Date(Date.now() + 3_600_000))).toBe(1);
    // A feed that still holds the line in memory would hand it out rightly; one that starts now has only the database.
    const late = await stage.startFeed();
    const error = await failureOf(follow(late, first?.cursor ?? null));
    expect(error.code).toBe("CURSOR_EXPIRED");
    const found = await readUntil(follow(late, decodeCursor(error.oldest ?? "")), (events) => events.length >= 2);
    expect(namesOf(found)).toEqual(["new-1", "new-2"]);
    expect(feed.ready).toBe(true);
  });

  test("a restore into a new server while streams are open → they end with CURSOR_EXPIRED; new ones go on", async () => {
    const feed = await stage.startFeed();
    const failing = failureOf(follow(feed));
    const changes = feed.changes({ clusterId: stage.clusterId(1), signal: ending.signal })[Symbol.asyncIterator]();
    await changes.next();
    await stage.write(1, 1, "one");
    await stage.until("one has its position", () => settled(stage));
    await sql`update muster.ledger set system_identifier = 'elsewhere'`.execute(stage.database.db);
    const admin = new pg.Client({ connectionString: stage.database.superuserUrl });
    await admin.connect();
    await admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test sequencer' and datname = current_database()`,
    );
    await admin.end();
    await stage.write(1, 1, "two");
    const error = await failing;
    expect(error.code).toBe("CURSOR_EXPIRED");
    await changes.next();
    const { incarnation } = await readLedger(stage.database.db);
    expect(decodeCursor(error.oldest ?? "")?.incarnation).toBe(incarnation);
    const reading = readUntil(follow(feed), (events) => events.length >= 1);
    await stage.write(1, 1, "three");
    expect(namesOf(await reading).at(-1)).toBe("three-1");
  });

  test("position of a quiet stream: moves with the ledger, never past what was yielded and not yet taken", async () => {
    const feed = await stage.startFeed();
    const stream = feed.subscribe({ filter: { projectId: null, clusterIds: [stage.clusterId(9)] }, after: null, signal: ending.signal });
    const iterator = stream[Symbol.asyncIterator]();
    const start = stream.position();
    const next = iterator.next();
    await stage.write(1, 3, "other");
    await stage.until("the tail has come by", () => feed.cursor().position > start.position);
    expect(stream.position()).toEqual(feed.cursor());
    const before = stream.position();
    await stage.write(9, 1, "own");
    const { value } = await next;
    expect(namesOf(value ?? [])).toEqual(["own-1"]);
    await stage.write(1, 1, "more");
    await stage.until("the tail has come by", () => feed.cursor().position > before.position + 1n);
    expect(stream.position().position).toBeLessThanOrEqual(before.position);
  });
});

describe("changes", () => {
  test("at once; then once for many events of the object, none for others; ends with its signal", async () => {
    const feed = await stage.startFeed();
    const own = new AbortController();
    const iterator = feed.changes({ clusterId: stage.clusterId(1), signal: own.signal })[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: "changed" });
    let told = 0;
    const from = feed.cursor().position;
    const counting = (async () => {
      for (;;) {
        const { done } = await iterator.next();
        if (done === true) return;
        told++;
      }
    })();
    await stage.write(2, 50, "other");
    await stage.until("the others have come by", () => feed.cursor().position > from);
    await nextTurn();
    expect(told).toBe(0);
    const startedMs = performance.now();
    for (let i = 0; i < 60; i++) await stage.write(1, 5, `w${i}`);
    await stage.until(
      "all have come by",
      async () => (await settled(stage)) && feed.cursor().position === (await readLedger(stage.database.db)).head,
    );
    // Told at most ten times a second: on a fast machine the first word comes after all was written.
    await stage.until("it was told", () => told > 0);
    const elapsedMs = performance.now() - startedMs;
    own.abort();
    await counting;
    expect(told).toBeGreaterThanOrEqual(1);
    expect(told).toBeLessThanOrEqual(2 + elapsedMs / 100);
  });
});
