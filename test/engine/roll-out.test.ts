/** Clusters that get another profile: who is brought over, how many at once, and what becomes of it when somebody changes their mind. */
import { afterEach, describe, expect, test } from "vitest";
import { cancelAction } from "../../src/commands/action.ts";
import { deleteCluster, updateCluster } from "../../src/commands/cluster.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import { createClusterNode } from "../../src/commands/node.ts";
import { deleteProfile, reviseProfile } from "../../src/commands/profile.ts";
import { type ActionId, type ClusterId, encodeId, type NodeId, type ProfileId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { readCounts } from "../../src/store/count.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { type Hand, type HandOptions, handDriver } from "../support/hand-driver.ts";
import { type ProviderProcess, startProvider } from "../support/provider.ts";
import { startWorld, type World } from "../support/world.ts";
import { actionFacts, condition, members } from "./facts.ts";

let world: World;
let provider: ProviderProcess | null = null;
afterEach(async () => {
  await world.stop();
  await provider?.stop();
  provider = null;
});

/** A new revision of a cluster's profile. */
async function revise(name: string, spec: JsonObject): Promise<ProfileId> {
  return must(await reviseProfile(world.context(), { profile: { name: `${name}-profile` }, spec })).profileId;
}

/** The cluster is wanted of the newest revision, or of a named one. */
async function rollOut(name: string, profileId?: ProfileId): Promise<ActionId> {
  const profile = profileId === undefined ? { name: `${name}-profile` } : { id: encodeId("profile", profileId) };
  return must(await updateCluster(world.context(), { cluster: { name }, profile })).actionId;
}

const settled = (clusterId: ClusterId, generation: number, active: number): Promise<unknown> =>
  world.until(`${active} members at generation ${generation}`, async () => {
    const facts = await clusterFacts(world.database.db, clusterId);
    return facts?.observedGeneration === generation && facts.active === active && facts.nodes === active;
  });

const ended = (id: ActionId): Promise<Awaited<ReturnType<typeof actionFacts>>> =>
  world.until("the action ends", async () => {
    const facts = await actionFacts(world.database.db, id);
    return facts.status !== "PENDING" && facts.status !== "RUNNING" && facts;
  });

async function profilesOf(clusterId: ClusterId): Promise<Map<ProfileId, number>> {
  const rows = await world.database.db.selectFrom("muster.node").select("profile_id").where("cluster_id", "=", clusterId).execute();
  const counts = new Map<ProfileId, number>();
  for (const { profile_id: id } of rows) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

async function countsNow(clusterId: ClusterId): Promise<Record<string, number>> {
  return { ...(await readCounts(world.database.db, [clusterId])).get(clusterId) };
}

describe("a new profile", () => {
  const ofProvider = async (): Promise<void> => {
    provider = await startProvider();
    world = await startWorld({ workers: 2, provider: provider.provider });
  };

  test("that takes other members → each is replaced once under its own name, nothing else is made, the action counts all of them", async () => {
    await ofProvider();
    const { clusterId } = await simCluster(world, { name: "web", desiredCapacity: 12, spec: { createMs: 5 } });
    await settled(clusterId, 1, 12);
    const before = (await members(world.database.db, clusterId)).map(({ id }) => id);
    const profileId = await revise("web", { createMs: 5, zones: ["a"] });
    const action = await rollOut("web");
    expect(await ended(action)).toMatchObject({ kind: "CLUSTER_UPDATE", status: "SUCCEEDED", total: 12, done: 12, failed: 0 });
    await settled(clusterId, 2, 12);
    const after = await members(world.database.db, clusterId);
    expect(after.map(({ id }) => id)).toEqual(before);
    expect(after.every(({ epoch }) => epoch === 2)).toBe(true);
    expect(await profilesOf(clusterId)).toEqual(new Map([[profileId, 12]]));
    const books = await provider?.books();
    expect(books).toMatchObject({ created: 24, doubles: [], repeated: [] });
    expect(books?.alive).toHaveLength(12);
    expect(await countsNow(clusterId)).toMatchObject({ updating: 0, replacing: 0, updated_total: 12, update_failed_total: 0, created_total: 12 });
  });

  test("of which only calls differ → every member is changed where it stands, once", async () => {
    await ofProvider();
    const { clusterId } = await simCluster(world, { name: "web", desiredCapacity: 12, spec: { createMs: 5 } });
    await settled(clusterId, 1, 12);
    await revise("web", { createMs: 6, updateMs: 5 });
    expect(await ended(await rollOut("web"))).toMatchObject({ status: "SUCCEEDED", total: 12, done: 12 });
    await settled(clusterId, 2, 12);
    const books = await provider?.books();
    expect(books).toMatchObject({ created: 12, doubles: [], repeated: [] });
    expect(books?.alive.map(({ epoch, updates }) => ({ epoch, updates }))).toEqual(Array.from({ length: 12 }, () => ({ epoch: 1, updates: 1 })));
  });

  test("of which no member is → new ones are made of it, those of the former one follow, a member with its own keeps it", async () => {
    await ofProvider();
    const { clusterId, id } = await simCluster(world, { name: "web", desiredCapacity: 4 });
    await settled(clusterId, 1, 4);
    const own = await revise("web", { hosts: 7 });
    must(await createClusterNode(world.context(), { cluster: { id }, profile: { id: encodeId("profile", own) } }));
    await settled(clusterId, 2, 5);
    const profileId = await revise("web", { hosts: 8 });
    const action = await rollOut("web");
    must(await resizeCluster(world.context(), { cluster: { id }, capacity: { by: 3 }, strict: true }));
    expect(await ended(action)).toMatchObject({ status: "SUCCEEDED", total: 4 });
    await settled(clusterId, 4, 8);
    expect(await profilesOf(clusterId)).toEqual(
      new Map([
        [own, 1],
        [profileId, 7],
      ]),
    );
  });

  test("that is the one it has → nothing to do; of a cluster without members as well", async () => {
    world = await startWorld({ workers: 1 });
    const { clusterId } = await simCluster(world, { name: "web", desiredCapacity: 2 });
    await settled(clusterId, 1, 2);
    expect(await ended(await rollOut("web"))).toMatchObject({ status: "SUCCEEDED", total: 0 });
    expect((await clusterFacts(world.database.db, clusterId))?.generation).toBe(1);
    const empty = await simCluster(world, { name: "empty", desiredCapacity: 0 });
    await revise("empty", { hosts: 1 });
    expect(await ended(await rollOut("empty"))).toMatchObject({ status: "SUCCEEDED", total: 0 });
    await settled(empty.clusterId, 2, 0);
  });
});

describe("a roll-out, step by step", () => {
  let hand: Hand;
  const start = async (options: HandOptions, desiredCapacity: number, minSize = 0): Promise<{ clusterId: ClusterId; id: string }> => {
    hand = handDriver(options);
    hand.open("create");
    world = await startWorld({ workers: 1, drivers: [hand.driver] });
    const made = await simCluster(world, { name: "web", type: "hand", desiredCapacity, minSize, spec: { version: 1, label: "a" } });
    await settled(made.clusterId, 1, desiredCapacity);
    return made;
  };
  const called = (verb: "create" | "delete" | "inspect" | "update", count: number): Promise<unknown> =>
    world.until(`${count} × ${verb}`, async () => hand.of(verb).length >= count);
  const statuses = async (clusterId: ClusterId): Promise<string[]> =>
    (await members(world.database.db, clusterId)).map(({ status }) => status).sort();

  test("eight members → two at once: closed by the former spec, made by the new one; UPDATING meanwhile, and not active", async () => {
    const { clusterId } = await start({}, 8);
    hand.close("create");
    await revise("web", { version: 2 });
    const action = await rollOut("web");
    await called("delete", 2);
    expect(await statuses(clusterId)).toEqual([...Array.from({ length: 6 }, () => "ACTIVE"), "UPDATING", "UPDATING"]);
    expect(await countsNow(clusterId)).toMatchObject({ active: 6, updating: 2, replacing: 2 });
    expect(await condition(world.database.db, clusterId, "CONVERGED")).toMatchObject({ status: "FALSE", reason: "ROLLING_OUT" });
    expect(hand.of("delete").map(({ spec, epoch }) => [spec["version"], epoch])).toEqual([
      [1, 1],
      [1, 1],
    ]);
    hand.open("delete");
    await called("create", 10);
    for (const { spec, epoch } of hand.of("create").slice(8)) expect([spec["version"], epoch]).toEqual([2, 2]);
    // Nobody else goes before these are back.
    expect(hand.of("delete")).toHaveLength(2);
    expect((await actionFacts(world.database.db, action)).status).toBe("RUNNING");
    hand.open("create");
    expect(await ended(action)).toMatchObject({ status: "SUCCEEDED", total: 8, done: 8 });
    await settled(clusterId, 2, 8);
  });

  test("minSize leaves one → one at once; in place they stay active", async () => {
    const { clusterId } = await start({ updatesInPlace: ["label"] }, 8, 7);
    await revise("web", { version: 1, label: "b" });
    const action = await rollOut("web");
    await called("update", 1);
    expect(await countsNow(clusterId)).toMatchObject({ active: 7, updating: 1, replacing: 0 });
    expect(await condition(world.database.db, clusterId, "AVAILABLE")).toMatchObject({ status: "TRUE" });
    expect(hand.of("update")).toMatchObject([{ spec: { label: "b" }, epoch: 1, change: 2 }]);
    hand.open("update");
    expect(await ended(action)).toMatchObject({ status: "SUCCEEDED", total: 8, done: 8 });
    expect(hand.of("update")).toHaveLength(8);
    expect(hand.of("delete")).toEqual([]);
  });

  test("a newer profile in the middle → the former action is superseded, and the next life is of the newest at once", async () => {
    const { clusterId } = await start({}, 4);
    await revise("web", { version: 2 });
    const second = await rollOut("web");
    await called("delete", 1);
    await revise("web", { version: 3 });
    const third = await rollOut("web");
    expect(await actionFacts(world.database.db, second)).toMatchObject({ status: "SUPERSEDED", supersededBy: third });
    hand.open("delete");
    expect(await ended(third)).toMatchObject({ status: "SUCCEEDED", total: 4, done: 4 });
    await settled(clusterId, 3, 4);
    expect(
      hand
        .of("create")
        .slice(4)
        .map(({ spec }) => spec["version"]),
    ).toEqual([3, 3, 3, 3]);
  });

  test("cancelled → the former profile again, generation + 1; who was brought over already goes back; the former one could not be deleted", async () => {
    const { clusterId } = await start({}, 4);
    const [former] = (await profilesOf(clusterId)).keys();
    await revise("web", { version: 2 });
    const action = await rollOut("web");
    await called("delete", 1);
    hand.open("delete");
    await called("create", 5);
    hand.close("delete");
    await called("delete", 2);
    const gone = await deleteProfile(world.context(), { profile: { id: former === undefined ? "" : encodeId("profile", former) } });
    expect(gone).toMatchObject({ ok: false, refusal: { reason: "IN_USE" } });
    must(await cancelAction(world.context(), { id: encodeId("action", action) }));
    expect(await actionFacts(world.database.db, action)).toMatchObject({ status: "CANCELLED", total: 4 });
    hand.open("delete");
    await settled(clusterId, 3, 4);
    expect([...(await profilesOf(clusterId)).keys()]).toEqual([former]);
    expect(hand.of("create").at(-1)?.spec["version"]).toBe(1);
  });

  test("deleted in the middle → the members go, one that was being made anew by the epoch that it had reached", async () => {
    const { clusterId, id } = await start({}, 4);
    hand.close("create");
    await revise("web", { version: 2 });
    const action = await rollOut("web");
    hand.open("delete");
    await called("create", 5);
    must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
    expect((await actionFacts(world.database.db, action)).status).toBe("SUPERSEDED");
    hand.open("create");
    await world.until("the end", async () => (await clusterFacts(world.database.db, clusterId)) === null);
    expect(hand.of("delete").filter(({ epoch }) => epoch === 2)).toHaveLength(1);
  });

  test("one cannot be changed in place → ERROR, counted as failed, made anew by the ladder of the new profile; the others are not held up", async () => {
    const { clusterId } = await start({ updatesInPlace: ["label"] }, 4);
    hand.open("delete");
    await revise("web", { version: 1, label: "b" });
    const action = await rollOut("web");
    await called("update", 1);
    hand.open("update", { class: "permanent", code: "NO", message: "it will not" });
    await world.until("it failed", async () => (await countsNow(clusterId))["update_failed_total"] === 1);
    hand.open("update");
    expect(await ended(action)).toMatchObject({ status: "FAILED", reason: "1 of 4 members failed", total: 4, done: 3, failed: 1 });
    await settled(clusterId, 2, 4);
    expect(hand.of("create").slice(4)).toMatchObject([{ epoch: 2, spec: { label: "b" } }]);
    expect((await profilesOf(clusterId)).size).toBe(1);
  });

  test("members that are sick since before → brought over at once, whatever the ladder says", async () => {
    const { clusterId } = await start({}, 2);
    const [sick] = await members(world.database.db, clusterId);
    hand.close("delete");
    await fallSick(clusterId, sick?.id);
    await revise("web", { version: 2 });
    hand.open("delete");
    const action = await rollOut("web");
    expect(await ended(action)).toMatchObject({ status: "SUCCEEDED", total: 2, done: 2 });
    await settled(clusterId, 2, 2);
    expect((await profilesOf(clusterId)).size).toBe(1);
  });

  test.each(["listed", "blind"] as const)(
    "a %s driver's answer to an update in place is lost → read back, never asked again, but made anew",
    async (idempotency) => {
      const { clusterId } = await start({ updatesInPlace: ["label"], idempotency }, 1);
      hand.open("inspect");
      hand.open("delete");
      await revise("web", { version: 1, label: "b" });
      const action = await rollOut("web");
      await called("update", 1);
      hand.open("update", { class: "unknown", code: "LOST", message: "no answer" });
      await world.until("it is being read back", async () => (await statuses(clusterId))[0] === "UNKNOWN");
      const { db } = world.database;
      await db
        .updateTable("muster.task")
        .set({ due_at: new Date(0) })
        .where("cluster_id", "=", clusterId)
        .execute();
      expect(await ended(action)).toMatchObject({ status: "SUCCEEDED", done: 1, failed: 0 });
      await settled(clusterId, 2, 1);
      expect(hand.of("update")).toHaveLength(1);
      expect(hand.of("create").at(-1)).toMatchObject({ epoch: 2, spec: { label: "b" } });
    },
  );
});

/** As a watch would have it: the member is found dead, and its remedy is an hour away. */
async function fallSick(clusterId: ClusterId, id: NodeId | undefined): Promise<void> {
  if (id === undefined) throw new Error("there is a member");
  const { lockNodes, saveNodes } = await import("../../src/store/node-write.ts");
  const { transaction } = await import("../../src/store/transaction.ts");
  await transaction(world.store, async (tx) => {
    const now = await tx.now();
    const remedy = { at: new Date(now.getTime() + 3_600_000), certain: true, rung: 0 };
    const nodes = await lockNodes(tx.db, [id]);
    await saveNodes(
      tx,
      now,
      nodes.map((node) => ({ node, patch: { status: "ERROR" as const, remedy } })),
    );
  });
  expect((await members(world.database.db, clusterId)).find((member) => member.id === id)?.status).toBe("ERROR");
}
