import { describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import { createInterest } from "../../src/live/interest.ts";
import { readLedger } from "../../src/store/ledger.ts";
import type { LedgerFilter } from "../../src/store/ledger-event.ts";
import { openStage, readUntil } from "./stage.ts";

const cluster = (n: number) => brandId("cluster", `00000002-0000-7000-8000-${String(n).padStart(12, "0")}`);
const types = (...typeCodes: number[]): LedgerFilter => ({ projectId: null, typeCodes });

function start() {
  let nowMs = 0;
  let grown = 0;
  const interest = createInterest({ monotonicMs: () => nowMs, wallMs: () => nowMs }, () => grown++);
  return {
    interest,
    grown: () => grown,
    later: (ms: number) => {
      nowMs += ms;
      interest.tidy();
    },
  };
}

describe("interest", () => {
  test("nobody: nothing is read", () => {
    const { interest } = start();
    expect(interest.filter).toMatchObject({ all: false, keys: { typeCodes: [], clusterIds: [], nodeIds: [], actionIds: [] } });
  });

  test("it grows at once, and only by what was not wanted before", () => {
    const { interest, grown } = start();
    interest.add(types(1, 2));
    interest.add(types(2));
    expect(grown()).toBe(1);
    expect(interest.grown).toBe(1);
    interest.add({ projectId: null, clusterIds: [cluster(1)], typeCodes: [9] });
    expect(interest.filter.keys).toMatchObject({ typeCodes: [1, 2], clusterIds: [cluster(1)] });
    expect(grown()).toBe(2);
  });

  test("a filter that names nothing narrower, or too many things: all is read", () => {
    const { interest } = start();
    interest.add({ projectId: brandId("project", cluster(1)) });
    expect(interest.filter.all).toBe(true);
    const many = start().interest;
    many.add({ projectId: null, clusterIds: Array.from({ length: 200 }, (_, i) => cluster(i)) });
    expect(many.filter.all).toBe(false);
    many.add(types(1));
    expect(many.filter.all).toBe(true);
  });

  test("it shrinks when nobody has come back for half a minute, and not before", () => {
    const { interest, later, grown } = start();
    const leave = interest.add({ projectId: null });
    interest.add(types(3));
    leave();
    later(29_999);
    expect(interest.filter.all).toBe(true);
    const back = interest.add({ projectId: null });
    expect(grown()).toBe(1);
    back();
    later(30_000);
    expect(interest.filter).toMatchObject({ all: false, keys: { typeCodes: [3] } });
    interest.add({ projectId: null });
    expect(grown()).toBe(2);
  });
});

describe("feed", () => {
  test("what nobody listens to is not read; who comes then, from a cursor of before, misses none of it", async () => {
    const stage = await openStage();
    stage.startSequencer();
    const ending = new AbortController();
    const everything: LedgerFilter = { projectId: null };
    const pages: number[] = [];
    const feed = await stage.startFeed({
      through: (session) => ({
        ...session,
        query: async (text, values) => {
          const rows = await session.query<never>(text, values);
          if (text.includes("ledger.tail")) pages.push(rows.filter((row: { readonly batch?: bigint | null }) => row.batch != null).length);
          return rows;
        },
      }),
    });
    await stage.until("it follows the ledger", () => feed.ready);
    const before = feed.cursor();
    const ofOne = readUntil(
      feed.subscribe({ filter: { projectId: null, clusterIds: [stage.clusterId(1)] }, after: null, signal: ending.signal }),
      (events) => events.length >= 5,
    );
    for (let i = 0; i < 5; i++) {
      await stage.write(1, 1, `heard${i}`);
      await stage.write(2, 50, `unheard${i}`);
    }
    await ofOne;
    await stage.until("the tail has passed all of it", async () => feed.cursor().position >= (await readLedger(stage.store.db)).head);
    expect(pages.reduce((sum, rows) => sum + rows, 0)).toBe(5);
    const found = await readUntil(feed.subscribe({ filter: everything, after: before, signal: ending.signal }), (events) => events.length >= 255);
    expect(found.map((event) => event.id)).toEqual((await stage.history(everything, before)).map((event) => event.id));
    ending.abort();
    await stage.end();
  });
});
