import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "./database.ts";

describe("test database", () => {
  let first: TestDatabase;
  let second: TestDatabase;
  beforeAll(async () => {
    first = await createTestDatabase();
    second = await createTestDatabase();
  });
  afterAll(async () => {
    await first.drop();
    await second.drop();
  });

  test("clone: fresh → has the migrated lanes", async () => {
    const { rows } = await sql<{ lanes: bigint }>`select count(*) as lanes from muster.lane`.execute(first.db);
    expect(rows).toEqual([{ lanes: 256n }]);
  });

  test("two clones: one is written to → the other does not see it", async () => {
    await sql`delete from muster.lane where id = 0`.execute(first.db);
    const { rows } = await sql<{ lanes: bigint }>`select count(*) as lanes from muster.lane`.execute(second.db);
    expect(rows).toEqual([{ lanes: 256n }]);
  });

  test("role: Muster's own → no superuser", async () => {
    const { rows } = await sql<{ super: string }>`select current_setting('is_superuser') as super`.execute(first.db);
    expect(rows).toEqual([{ super: "off" }]);
  });
});
