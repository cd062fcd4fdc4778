import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { brandId, type NodeId } from "../../src/core/ids.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { listTombstones } from "../../src/store/tombstone.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test("tombstones that nobody can remove → a round goes on behind them, over those of its lanes", async () => {
  const { entropy } = realRuntime();
  const ids = Array.from({ length: 5 }, () => brandId("node", entropy.uuid()));
  for (const [at, id] of ids.entries()) {
    await sql`
      insert into muster.tombstone (node_id, project_id, profile_id, lane, epoch, created_at)
      values (${id}, ${entropy.uuid()}, ${entropy.uuid()}, ${at === 1 ? 8 : 7}, 1, now())`.execute(database.db);
  }
  const seen: NodeId[] = [];
  for (let after: NodeId | null = null; ; after = seen.at(-1) ?? null) {
    const page = await listTombstones(database.db, [7], after, 2);
    seen.push(...page.map(({ nodeId }) => nodeId));
    if (page.length < 2) break;
  }
  expect(seen).toEqual(ids.filter((_, at) => at !== 1));
});
