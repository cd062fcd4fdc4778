/** What comes back of members that were given up is removed, under the epoch of the lane's owner. */
import { sql } from "kysely";
import { expect, test } from "vitest";
import { createLaneBook } from "../../src/engine/lane-book.ts";
import { startCollector } from "../../src/engine/maintenance/collector.ts";
import { createSpecCache } from "../../src/engine/specs.ts";
import { listTombstones } from "../../src/store/tombstone.ts";
import { simCluster } from "../support/cluster.ts";
import { handDriver } from "../support/hand-driver.ts";
import { startWorld } from "../support/world.ts";

test("a member that was given up → the driver is asked to remove it, with its lane's epoch as the fence; then it is forgotten", async () => {
  const hand = handDriver();
  const world = await startWorld({ drivers: [hand.driver] });
  const { db } = world.database;
  const { clusterId } = await simCluster(world, { name: "given-up", type: "hand", desiredCapacity: 0 });
  const nodeId = world.store.runtime.entropy.uuid();
  await sql`
    insert into muster.tombstone (node_id, project_id, profile_id, lane, epoch, created_at)
    select ${nodeId}, project_id, profile_id, 7, 3, now() from muster.cluster where id = ${clusterId}`.execute(db);
  const lanes = createLaneBook();
  lanes.add(new Map([[7, 41n]]));
  const specs = createSpecCache({ drivers: world.drivers, vault: world.vault });
  const { signal } = new AbortController();
  const collector = startCollector({ store: world.store, lanes, specs, logger: world.log, installation: "i", signal: () => signal });
  await world.until("the driver is asked", async () => hand.calls.length > 0);
  expect(hand.calls).toMatchObject([{ verb: "delete", nodeId, epoch: 3, fence: 41n }]);
  hand.open("delete");
  await world.until("it is forgotten", async () => (await listTombstones(db, [7], null, 1)).length === 0);
  await collector.stop();
  await world.stop();
});
