/** What may be forgotten in a crash does not wait for the disk; whatever comes after it on the same connection does. */
import { sql } from "kysely";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sharedLanes } from "../../src/core/lane.ts";
import { takeIndexesOf } from "../../src/store/cluster-plan.ts";
import type { Database } from "../../src/store/database.ts";
import { settleDue, takeDue } from "../../src/store/due.ts";
import { simCluster } from "../support/cluster.ts";
import { startWorld, type World } from "../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop({ withoutHistory: true }));

async function setting(db: Database): Promise<string> {
  const { rows } = await sql<{ value: string }>`select current_setting('synchronous_commit') as value`.execute(db);
  return rows[0]?.value ?? "";
}

test("a planner's leases and indexes → unforced, and only they", async () => {
  const { clusterId } = await simCluster(world, { name: "web", desiredCapacity: 1 });
  const lanes = Array.from({ length: sharedLanes }, (_, lane) => lane);
  await world.store.db.connection().execute(async (connection) => {
    expect(await setting(connection)).toBe("on");
    const within = async <T>(run: () => Promise<T>): Promise<T> => {
      await sql`begin`.execute(connection);
      const result = await run();
      expect(await setting(connection)).toBe("off");
      await sql`commit`.execute(connection);
      expect(await setting(connection)).toBe("on");
      return result;
    };
    const [due] = await within(() => takeDue(connection, lanes, 1, 5_000));
    if (due === undefined) throw new Error("the new cluster is not due");
    await within(() => settleDue(connection, [{ clusterId, leasedUntil: due.leasedUntil, at: null }]));
    await within(() => takeIndexesOf(connection, new Map([[clusterId, 1]])));
  });
});
