import { sql } from "kysely";
import { afterEach, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import type { ClusterId } from "../../src/core/ids.ts";
import { readEventsOf } from "../commands/history.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type Hand, handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";

let world: World;
let hand: Hand;
const start = async (workers: number): Promise<void> => {
  hand = handDriver();
  world = await startWorld({ workers, drivers: [hand.driver] });
};

/** The statuses that members were planned with, each once. */
const plannedAs = async (clusterId: ClusterId): Promise<unknown[]> => {
  const events = await readEventsOf(world.context(), { clusterId });
  return [...new Set(events.filter(({ type }) => type === "node.created").map(({ data }) => data["status"] ?? "PLANNED"))].sort();
};
const tasks = async (clusterId: ClusterId) =>
  (
    await sql<{ kind: number; begun: boolean; attempt: number; later: boolean }>`
      select distinct kind, begun_by <> 0 as begun, attempt, due_at > clock_timestamp() as later from muster.task where cluster_id = ${clusterId}`.execute(
      world.database.db,
    )
  ).rows;
const settled = (clusterId: ClusterId, active: number): Promise<unknown> =>
  world.until(`${active} are active`, async () => (await clusterFacts(world.database.db, clusterId))?.active === active);

describe("steps that are begun with the plan", () => {
  afterEach(() => world.stop());

  test("a worker that is alone → creates and deletions are begun as they are written, each once", async () => {
    await start(1);
    const { clusterId, id } = await simCluster(world, { name: "own", type: "hand", desiredCapacity: 50 });
    await world.until("all are being made", () => Promise.resolve(hand.of("create").length === 50));
    expect(await plannedAs(clusterId)).toEqual(["CREATING"]);
    expect(await tasks(clusterId)).toEqual([{ kind: 1, begun: true, attempt: 1, later: true }]);
    hand.open("create");
    await settled(clusterId, 50);
    must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
    await world.until("all are being taken away", () => Promise.resolve(hand.of("delete").length === 50));
    expect(await tasks(clusterId)).toEqual([{ kind: 2, begun: true, attempt: 1, later: true }]);
    hand.open("delete");
    await world.until("it is gone", async () => (await clusterFacts(world.database.db, clusterId)) === null);
    for (const verb of ["create", "delete"] as const) expect(hand.of(verb)).toHaveLength(50);
  });

  test("more members than the driver takes at once → none is laid up, all come", async () => {
    await start(1);
    const { clusterId } = await simCluster(world, { name: "many", type: "hand", desiredCapacity: 1_500 });
    await world.until("the driver takes no more", () => Promise.resolve(hand.of("create").length === 600));
    expect((await clusterFacts(world.database.db, clusterId))?.nodes).toBe(600);
    hand.open("create");
    await settled(clusterId, 1_500);
    expect(hand.of("create")).toHaveLength(1_500);
    expect(new Set(hand.of("create").map((call) => call.nodeId)).size).toBe(1_500);
  });

  test("two workers → what is in the other one's lanes is queued for it", async () => {
    await start(2);
    hand.open("create");
    await world.until("they share the lanes", async () => {
      const { rows } = await sql<{ owners: string }>`select count(distinct owner) as owners from muster.lane where owner is not null`.execute(
        world.database.db,
      );
      return Number(rows[0]?.owners) === 2;
    });
    const { clusterId } = await simCluster(world, { name: "shared", type: "hand", desiredCapacity: 100 });
    await settled(clusterId, 100);
    expect(await plannedAs(clusterId)).toEqual(["CREATING", "PLANNED"]);
    expect(hand.of("create")).toHaveLength(100);
  });
});
