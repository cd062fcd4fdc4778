/** After a restore or a fail-over: nothing is made, removed or healed before every member that can be asked has been. */
import { sql } from "kysely";
import { afterEach, describe, expect, test } from "vitest";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import type { ClusterId } from "../../src/core/ids.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type Hand, handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";
import { condition, members } from "./facts.ts";

let world: World;
afterEach(() => world.stop());

async function threeMembers(hand: Hand): Promise<{ clusterId: ClusterId; id: string }> {
  hand.open("create");
  world = await startWorld({ workers: 1, drivers: [hand.driver] });
  const made = await simCluster(world, { name: "restored", type: "hand", desiredCapacity: 3 });
  await active(made.clusterId, 3);
  hand.close("create");
  return made;
}

const active = (clusterId: ClusterId, count: number): Promise<unknown> =>
  world.until(`${count} active members`, async () => {
    const facts = await clusterFacts(world.database.db, clusterId);
    return facts?.active === count && facts.nodes === count;
  });

/** As if the database had been restored into another server: the ledger does not know this one. */
async function restore(): Promise<void> {
  await sql`update muster.ledger set system_identifier = 'another server'`.execute(world.database.db);
}

describe("a database that was restored", () => {
  test("a wish while members are being read back → nothing is made before the last has answered; the cluster says why", async () => {
    const hand = handDriver();
    const { clusterId, id } = await threeMembers(hand);
    await restore();
    await world.until("all three are being asked", async () => hand.of("inspect").length === 3);
    must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly: 5 }, strict: true }));
    const paused = await world.until("healing is paused", async () => {
      const found = await condition(world.database.db, clusterId, "HEALING_PAUSED");
      return found?.status === "TRUE" && found;
    });
    expect(paused).toMatchObject({ reason: "HELD" });
    expect(paused.message).toContain("restored");
    expect(hand.of("create")).toHaveLength(3);
    hand.open("inspect");
    hand.open("create");
    await active(clusterId, 5);
    await world.until("healing goes on", async () => (await condition(world.database.db, clusterId, "HEALING_PAUSED"))?.status === "FALSE");
    expect(hand.of("inspect")).toHaveLength(3);
  });

  test("members of a host that never comes back, and checks of other kinds → do not hold everybody for ever", async () => {
    const hand = handDriver();
    const { clusterId, id } = await threeMembers(hand);
    const { db } = world.database;
    const [away, other] = await members(db, clusterId);
    if (away === undefined || other === undefined) throw new Error("there are three members");
    await sql`
      with host as (insert into muster.host (id, name, incarnation, seen_at) values (gen_random_uuid(), 'away', 'away', clock_timestamp() - interval '1 day') returning id),
           lane as (insert into muster.lane (id, host_id) select 9999, id from host)
      update muster.node set host_id = host.id, lane = 9999 from host where node.id = ${away.id}`.execute(db);
    await restore();
    await world.until("two are being asked", async () => hand.of("inspect").length === 2);
    hand.open("inspect");
    // Hosts are waited for a while after the restore.
    await sql`update muster.ledger set incarnation_since = incarnation_since - interval '1 minute'`.execute(db);
    must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly: 4 }, strict: true }));
    hand.open("create");
    await world.until("a fourth one is made", async () => hand.of("create").length === 4 && (await clusterFacts(db, clusterId))?.nodes === 4);
  });
});
