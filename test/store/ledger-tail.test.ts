/** Following the ledger: what must not rest on PostgreSQL's habits. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { lastOrdinal } from "../../src/core/cursor.ts";
import { readTail } from "../../src/store/ledger-tail.ts";
import { openSession, type Session } from "../../src/store/session.ts";
import { isOrdered } from "../simulation/answer.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { type ModelEvent, textOf, writeLedger } from "./ledger-model.ts";

let database: TestDatabase;
let session: Session;
beforeAll(async () => {
  database = await createTestDatabase();
  session = await openSession({ url: database.url, applicationName: "tail" });
});
afterAll(async () => {
  await session.close();
  await database.drop();
});

test("rows come back in whatever order they please, where a statement asks for none → the ledger's lines are in order", async () => {
  const event: ModelEvent = { project: 1, cluster: 1, node: null, action: null, type: "cluster.settled" };
  const batches = Array.from({ length: 12 }, (_, tick) => ({ events: [event, event], tick }));
  const places = await writeLedger(database.db, batches, 1n);
  const backwards: Session = {
    ...session,
    query: async (text, values) => {
      const rows = await session.query<never>(text, values);
      return isOrdered(text) ? rows : rows.toReversed();
    },
  };
  const { events } = await readTail(backwards, { incarnation: 1, position: 0n, ordinal: lastOrdinal }, 100);
  expect(events.map((line) => textOf(line.cursor))).toEqual(places.map(textOf));
});
