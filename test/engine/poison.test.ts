/** A task that can never be done: it stands in nobody's way, is set aside, is shown, and is tried again when somebody asks. */
import { sql } from "kysely";
import { afterEach, expect, test } from "vitest";
import { recoverClusterNode } from "../../src/commands/node-job.ts";
import { type ClusterId, encodeId, type NodeId } from "../../src/core/ids.ts";
import { readEventsOf } from "../commands/history.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";
import { actionFacts, members } from "./facts.ts";

let world: World;
let errorsExpected = false;
afterEach(() => world.stop({ errorsExpected }));

const inError = (clusterId: ClusterId): Promise<NodeId> =>
  world.until("a member is set aside", async () => (await members(world.database.db, clusterId)).find((node) => node.status === "ERROR")?.id);

const reasonOf = async (id: NodeId): Promise<string> =>
  (await world.database.db.selectFrom("muster.node").select("status_reason").where("id", "=", id).executeTakeFirstOrThrow()).status_reason ?? "";

/** The statuses it was told to have, from the first. */
const toldAs = async (nodeId: NodeId): Promise<unknown[]> =>
  (await readEventsOf(world.context(), { nodeId })).flatMap(({ type, data }) =>
    type === "node.created" ? [data["status"]] : type === "node.status.changed" ? [data["to"]] : [],
  );

const allActive = (clusterId: ClusterId, size: number): Promise<unknown> =>
  world.until("all are active", async () => (await clusterFacts(world.database.db, clusterId))?.active === size);

const retry = async (id: NodeId): Promise<void> => {
  const { actionId } = must(await recoverClusterNode(world.context(), { node: { id: encodeId("node", id) } }));
  const ended = await world.until("the retry has ended", async () => {
    const facts = await actionFacts(world.database.db, actionId);
    return facts.status === "SUCCEEDED" || facts.status === "FAILED" ? facts : null;
  });
  expect(ended).toMatchObject({ status: "SUCCEEDED" });
};

test("a create that fails for good → the member is in ERROR with the reason, the ledger says so; recovered by a mutation once the reason is gone", async () => {
  errorsExpected = false;
  const hand = handDriver();
  world = await startWorld({ workers: 1, drivers: [hand.driver] });
  hand.open("create", { class: "permanent", code: "NO_SUCH_IMAGE", message: "there is none" });
  hand.open("delete");
  const { clusterId } = await simCluster(world, { name: "poison", type: "hand", desiredCapacity: 1 });
  const id = await inError(clusterId);
  expect(await reasonOf(id)).toBe("NO_SUCH_IMAGE: there is none");
  expect(await toldAs(id)).toEqual(["CREATING", "ERROR"]);
  hand.open("create", "well");
  await retry(id);
  await allActive(clusterId, 1);
});

test("an outcome that cannot be written → its member alone is in ERROR and says why, the others are well; recovered by a mutation", async () => {
  errorsExpected = true;
  const hand = handDriver();
  world = await startWorld({ workers: 1, drivers: [hand.driver] });
  hand.open("create");
  hand.open("delete");
  const { db } = world.database;
  await sql`
    create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'this cannot be written'; end $$`.execute(db);
  await sql`
    create trigger refuse before update on muster.node for each row when (new.index = 3 and new.physical_id is not null) execute function public.refuse()`.execute(
    db,
  );
  const { clusterId } = await simCluster(world, { name: "poison", type: "hand", desiredCapacity: 5 });
  const id = await inError(clusterId);
  expect(await reasonOf(id)).toMatch(/^OUTCOME_NOT_WRITABLE: .*this cannot be written/);
  expect(await toldAs(id)).toEqual(["CREATING", "ERROR"]);
  await allActive(clusterId, 4);
  await sql`drop trigger refuse on muster.node`.execute(db);
  await retry(id);
  await allActive(clusterId, 5);
});

test("what a driver says of a member holds a NUL byte, everywhere → replaced, the member is ACTIVE", async () => {
  errorsExpected = false;
  const hand = handDriver({ addresses: [{ name: "a\u0000b", host: "h\u0000", port: 1 }] });
  world = await startWorld({ workers: 1, drivers: [hand.driver] });
  hand.open("create");
  hand.open("delete");
  const { clusterId } = await simCluster(world, { name: "nul", type: "hand", desiredCapacity: 1 });
  await allActive(clusterId, 1);
  const { addresses } = await world.database.db.selectFrom("muster.node").select("addresses").executeTakeFirstOrThrow();
  expect(addresses).toEqual([{ name: "a\uFFFDb", host: "h\uFFFD", port: 1 }]);
});
