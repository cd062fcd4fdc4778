import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LedgerCursor, lastOrdinal } from "../../src/core/cursor.ts";
import { eventTypeCodes } from "../../src/core/event.ts";
import { readLedger } from "../../src/store/ledger.ts";
import { type HistoryPage, type LedgerFilter, readEvent, readEvents, readEventsOf } from "../../src/store/ledger-read.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { actionOf, clusterOf, cursorAt, type ModelBatch, matching, nodeOf, type Place, projectOf, textOf, writeLedger } from "./ledger-model.ts";

let database: TestDatabase;
let incarnation: number;
beforeAll(async () => {
  database = await createTestDatabase();
  incarnation = (await readLedger(database.db)).incarnation;
});
afterAll(() => database.drop());

async function page(filter: LedgerFilter, range: Parameters<typeof readEvents>[2], mostRows?: number): Promise<HistoryPage> {
  const answer = await readEvents(database.db, filter, range, mostRows);
  if ("expired" in answer) throw new Error("expired");
  return answer;
}
const textsOf = (found: HistoryPage): string[] => found.events.map((event) => textOf(event.cursor));

const anEvent = fc.record({
  project: fc.integer({ min: 1, max: 2 }),
  who: fc.integer({ min: 0, max: 3 }),
  node: fc.option(fc.integer({ min: 1, max: 3 })),
  action: fc.option(fc.integer({ min: 1, max: 2 })),
  type: fc.constantFrom("cluster.settled" as const, "node.created" as const, "node.deleted" as const, "action.started" as const),
});
/** Objects belong to one project each, as they do in life. */
const modelEvent = anEvent.map(({ project, who, node, action, type }) => ({
  project,
  cluster: who === 0 ? null : project * 10 + who,
  node: node === null ? null : project * 10 + node,
  action: action === null ? null : project * 10 + action,
  type,
}));
/** Seen in the tick of its turn, as a rule; some later, a few much later, a few never so far. */
const aLedger = fc
  .array(fc.record({ events: fc.array(modelEvent, { minLength: 1, maxLength: 4 }), delay: fc.constantFrom(0, 0, 0, 2, 3, 9, 40, null) }), {
    maxLength: 60,
    size: "max",
  })
  .map((batches): ModelBatch[] => batches.map(({ events, delay }, i) => ({ events, tick: delay === null ? null : Math.floor(i / 2) + delay })));
const some = <T>(make: (n: number) => T, ids: number[]) =>
  fc.uniqueArray(fc.constantFrom(...ids), { minLength: 0, maxLength: 3 }).map((list) => list.map(make));
/** As people ask: mostly for a project or a few objects; sometimes for much at once. */
const aFilter: fc.Arbitrary<LedgerFilter> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom({ projectId: projectOf(1) }, { projectId: null }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom({ projectId: projectOf(1), clusterIds: [clusterOf(11), clusterOf(12)] }, { projectId: null, nodeIds: [nodeOf(11)] }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ projectId: projectOf(1), minLevel: "INFO" as const }, { projectId: null, typeCodes: eventTypeCodes(["node."]) }),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        projectId: fc.constantFrom(projectOf(1), projectOf(2), null),
        clusterIds: some(clusterOf, [11, 12, 13, 21, 99]),
        nodeIds: some(nodeOf, [11, 12, 21]),
        actionIds: some(actionOf, [11, 12, 22]),
        typeCodes: fc.constantFrom(["node."], ["action.", "cluster."], ["node.deleted"]).map(eventTypeCodes),
        minLevel: fc.constant("INFO" as const),
      },
      { requiredKeys: ["projectId"] },
    ),
  },
);
const aPlace = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), ordinal: fc.constantFrom(0, 1, 2, 3, 5, lastOrdinal) });

function placeOf(places: readonly Place[], { at, ordinal }: { at: number; ordinal: number }): LedgerCursor {
  const top = places.at(-1)?.position ?? 0n;
  const position = BigInt(Math.floor(at * Number(top)));
  return cursorAt(incarnation, { position, ordinal: position === 0n ? lastOrdinal : ordinal });
}
const isAfter = (place: Place, cursor: LedgerCursor): boolean =>
  place.position > cursor.position || (place.position === cursor.position && place.ordinal > cursor.ordinal);
const isBefore = (place: Place, cursor: LedgerCursor): boolean =>
  place.position < cursor.position || (place.position === cursor.position && place.ordinal < cursor.ordinal);

const signal = { project: 1, cluster: null, node: null, action: null, type: "node.created" as const };
/**
 * Between the first position and the third lies one line; beside it the walk sees two that came late to a place beyond the cursor,
 * or that have none yet. So it ends with a full page and knows nothing of what follows.
 */
const undecided = (tick: number | null, third: number): [ModelBatch[], LedgerFilter, typeof first, typeof first, number] => [
  [
    { events: [signal], tick: 0 },
    { events: [signal, signal], tick },
    { events: [signal], tick: 1 },
    { events: [signal], tick: 2 },
  ],
  { projectId: null },
  first,
  { at: third, ordinal: 0 },
  1,
];
const first = { at: 0.34, ordinal: lastOrdinal };

describe("history", () => {
  test("pages forward: any ledger, filter, cursor and size → exactly the model's lines, in its order", async () => {
    await fc.assert(
      fc.asyncProperty(
        aLedger,
        aFilter,
        aPlace,
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom(1n, 7_001n),
        fc.constantFrom(4, 9, 20_000),
        async (ledger, filter, from, size, stride, mostRows) => {
          const places = await writeLedger(database.db, ledger, stride);
          let after = placeOf(places, from);
          const expected = matching(places, filter)
            .filter((place) => isAfter(place, after))
            .map(textOf);
          const found: string[] = [];
          for (let rounds = 0; ; rounds++) {
            expect(rounds).toBeLessThan(400);
            const next = await page(filter, { first: size, after }, mostRows);
            expect(next.events.length).toBeLessThanOrEqual(size);
            found.push(...textsOf(next));
            after = next.resume;
            if (!next.hasNext) break;
            // With nothing but short walks forbidden, a page is full as long as there is more.
            if (mostRows === 20_000) expect(next.events).toHaveLength(size);
          }
          expect(found).toEqual(expected);
          expect(after.position).toBe(places.length === 0 ? after.position : (await readLedger(database.db)).head);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("pages backward: any ledger, filter, cursor and size → exactly the model's lines, in its order", async () => {
    await fc.assert(
      fc.asyncProperty(
        aLedger,
        aFilter,
        fc.option(aPlace),
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom(1n, 7_001n),
        fc.constantFrom(4, 9, 20_000),
        async (ledger, filter, from, size, stride, mostRows) => {
          const places = await writeLedger(database.db, ledger, stride);
          let before = from === null ? null : placeOf(places, from);
          const expected = matching(places, filter)
            .filter((place) => before === null || isBefore(place, before))
            .map(textOf);
          const found: string[] = [];
          for (let rounds = 0; ; rounds++) {
            expect(rounds).toBeLessThan(400);
            const next = await page(filter, { last: size, before }, mostRows);
            found.unshift(...textsOf(next));
            before = next.back;
            if (!next.hasPrevious) break;
            if (mostRows === 20_000) expect(next.events).toHaveLength(size);
          }
          expect(found).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("between two cursors: from either end → the model's lines, and whether there are more of them", async () => {
    await fc.assert(
      fc.asyncProperty(aLedger, aFilter, aPlace, aPlace, fc.integer({ min: 1, max: 5 }), async (ledger, filter, one, two, size) => {
        const places = await writeLedger(database.db, ledger, 1n);
        const after = placeOf(places, one);
        const before = placeOf(places, two);
        const expected = matching(places, filter)
          .filter((place) => isAfter(place, after) && isBefore(place, before))
          .map(textOf);
        const forward = await page(filter, { first: size, after, before });
        expect(textsOf(forward)).toEqual(expected.slice(0, size));
        expect(forward.hasNext).toBe(expected.length > size);
        const backward = await page(filter, { last: size, after, before });
        expect(textsOf(backward)).toEqual(expected.slice(-size));
        expect(backward.hasPrevious).toBe(expected.length > size);
      }),
      { numRuns: 60, examples: [undecided(9, 0.75), undecided(null, 1)] },
    );
  });

  test("of many objects at once: first and last → what each one's own page says", async () => {
    await fc.assert(
      fc.asyncProperty(aLedger, fc.integer({ min: 1, max: 9 }), fc.boolean(), async (ledger, size, newest) => {
        const places = await writeLedger(database.db, ledger, 1n);
        const ids = [clusterOf(11), clusterOf(12), clusterOf(21), clusterOf(99)];
        const range = newest ? { last: size } : { first: size };
        const found = await readEventsOf(database.db, { by: "cluster", ids, filter: { projectId: projectOf(1) }, range });
        if ("expired" in found) throw new Error("expired");
        expect([...found.keys()]).toEqual(ids);
        for (const id of ids) {
          const all = matching(places, { projectId: projectOf(1), clusterIds: [id] }).map(textOf);
          const one = found.get(id);
          expect(one && textsOf(one)).toEqual(newest ? all.slice(-size) : all.slice(0, size));
          expect(newest ? one?.hasPrevious : one?.hasNext).toBe(all.length > size);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("a cursor", () => {
  const line = { project: 1, cluster: 11, node: null, action: null, type: "cluster.settled" as const };
  const filter = { projectId: projectOf(1) };
  beforeAll(async () => {
    await writeLedger(
      database.db,
      Array.from({ length: 10 }, (_, i) => ({ events: [line, line], tick: i })),
      1n,
    );
  });

  test("of another incarnation, or of a place that is not yet → expired, with the oldest one", async () => {
    const oldest = { expired: { incarnation, position: 0n, ordinal: lastOrdinal } };
    expect(await readEvents(database.db, filter, { first: 5, after: cursorAt(incarnation ^ 1, { position: 3n, ordinal: 1 }) })).toEqual(oldest);
    expect(await readEvents(database.db, filter, { first: 5, after: cursorAt(incarnation, { position: 11n, ordinal: 1 }) })).toEqual(oldest);
    expect(await readEvents(database.db, filter, { last: 5, before: cursorAt(incarnation ^ 1, { position: 3n, ordinal: 1 }) })).toEqual(oldest);
  });

  test("of an ordinal that its position does not have → goes on with the next position", async () => {
    expect(textsOf(await page(filter, { first: 1, after: cursorAt(incarnation, { position: 3n, ordinal: 77 }) }))).toEqual(["4:1"]);
  });

  test("older than retention → expired; the oldest one itself → everything there is", async () => {
    await sql`update muster.ledger set oldest = 5`.execute(database.db);
    const answer = await readEvents(database.db, filter, { first: 1, after: cursorAt(incarnation, { position: 3n, ordinal: 2 }) });
    if (!("expired" in answer)) throw new Error("not expired");
    expect(answer.expired).toEqual({ incarnation, position: 4n, ordinal: lastOrdinal });
    expect(textsOf(await page(filter, { first: 1, after: answer.expired }))).toEqual(["5:1"]);
    expect(textsOf(await page(filter, { first: 1 }))).toEqual(["5:1"]);
    const back = await page(filter, { last: 100 });
    expect(textsOf(back)[0]).toBe("5:1");
    expect(back.hasPrevious).toBe(false);
  });
});

describe("an event", () => {
  test("by id: there, of another project, invented, without a position → itself or null", async () => {
    const line = { project: 1, cluster: 11, node: null, action: null, type: "cluster.settled" as const };
    await writeLedger(
      database.db,
      [
        { events: [line], tick: 0 },
        { events: [line], tick: 1 },
      ],
      1n,
    );
    const { events } = await page({ projectId: projectOf(1) }, { first: 2 });
    const [first, second] = events;
    if (first === undefined || second === undefined) throw new Error("no events");
    expect(await readEvent(database.db, first.id)).toEqual(first);
    expect(await readEvent(database.db, first.id, projectOf(1))).toEqual(first);
    expect(await readEvent(database.db, first.id, projectOf(2))).toBeNull();
    await sql`update muster.ledger set position = 1`.execute(database.db);
    expect(await readEvent(database.db, second.id)).toBeNull();
    const invented = `${first.id.slice(0, 7)}f${first.id.slice(8)}` as typeof first.id;
    expect(await readEvent(database.db, invented)).toBeNull();
  });
});
