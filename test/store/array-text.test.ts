import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { safeText } from "../../src/core/json.ts";
import { arrayText } from "../../src/store/array-text.ts";
import { rowSet } from "../../src/store/row-set.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** What PostgreSQL can store as text: anything without NUL and without half of a surrogate pair. */
const text = fc.string({ unit: "grapheme" }).filter((value) => safeText(value) === value);
const awkward = fc.constantFrom("", "null", "NULL", "{}", '"', "\\", "a,b", " ", "\n", '{"a": "\\\\"}');

describe("arrays as parameters", () => {
  test("any texts and nulls → come back as they were", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(text, awkward, fc.constant(null)), { maxLength: 20 }), async (values) => {
        const { rows } = await sql<{ back: (string | null)[] }>`select ${values}::text[] as back`.execute(database.db);
        expect(rows[0]?.back).toEqual(values);
      }),
      { numRuns: 200 },
    );
  });

  test("numbers, bigints, booleans, times → the same", async () => {
    const at = new Date("2026-11-21T10:00:00.123Z");
    const { rows } = await sql<{ numbers: number[]; big: bigint[]; flags: boolean[]; same: boolean }>`
      select ${[1.5, -2, 1e-9]}::float8[] as numbers, ${[2n ** 60n, -1n]}::bigint[] as big, ${[true, false]}::boolean[] as flags,
             ${[at]}::timestamptz[] = array[${at}::timestamptz] as same`.execute(database.db);
    expect(rows[0]).toEqual({ numbers: [1.5, -2, 1e-9], big: [2n ** 60n, -1n].map(String), flags: [true, false], same: true });
  });

  test("what is no plain array → left to the driver", () => {
    const nested = [[1], [2]];
    expect(arrayText(nested)).toBe(nested);
    expect(arrayText("x")).toBe("x");
    const bytes = [Buffer.from("x")];
    expect(arrayText(bytes)).toBe(bytes);
  });
});

describe("rows as parameters", () => {
  test("any rows → the rows, however many columns say the same throughout", async () => {
    const row = fc.record({ id: fc.integer({ min: 0, max: 3 }), name: fc.oneof(text, fc.constant(null)), flag: fc.option(fc.boolean()) });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 5 }), async (rows) => {
        const set = rowSet([
          { name: "id", type: "int", values: rows.map(({ id }) => id) },
          { name: "name", type: "text", values: rows.map(({ name }) => name) },
          { name: "flag", type: "boolean", values: rows.map(({ flag }) => flag) },
        ]);
        const back = await sql<Record<string, unknown>>`
          select ${set.at("id")} as id, ${set.at("name")} as name, ${set.at("flag")} as flag
            from ${set.source} with ordinality as d(${set.names}, ordinal) order by ordinal`.execute(database.db);
        expect(back.rows).toEqual(rows);
      }),
      { numRuns: 200 },
    );
  });
});
