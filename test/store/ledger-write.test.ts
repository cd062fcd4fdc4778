import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { appendEvents, areWritten, type NewEvent } from "../../src/store/ledger-write.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { clusterOf, projectOf } from "./ledger-model.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const event: NewEvent = { type: "cluster.settled", projectId: projectOf(1), clusterId: clusterOf(1), data: { generation: 7 } };

describe("what a transaction wrote", () => {
  test("committed → found; rolled back → not", async () => {
    const written = await database.db.transaction().execute((tx) => appendEvents(tx, [event, event]));
    expect(await areWritten(database.db, written)).toBe(true);
    const { first, ...place } = await database.db
      .transaction()
      .execute(async (tx) => {
        const gone = await appendEvents(tx, [event]);
        await sql`select 1 / 0`.execute(tx).catch(() => undefined);
        throw Object.assign(new Error("rolled back"), { gone });
      })
      .catch((error: { gone: Awaited<ReturnType<typeof appendEvents>> }) => error.gone);
    expect(await areWritten(database.db, { ...place, first })).toBe(false);
  });

  test("a crash gave its id and its number again, to others → theirs are not taken for its own", async () => {
    const theirs = await database.db.transaction().execute((tx) => appendEvents(tx, [event]));
    expect(await areWritten(database.db, { ...theirs, occurredAt: "2026-01-01 00:00:00.000001+00" })).toBe(false);
    expect(await areWritten(database.db, { ...theirs, first: { ...event, data: { generation: 8 } } })).toBe(false);
    expect(await areWritten(database.db, { ...theirs, first: { ...event, clusterId: null } })).toBe(false);
  });
});
