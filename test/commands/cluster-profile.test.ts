import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cancelAction } from "../../src/commands/action.ts";
import { deleteCluster, updateCluster } from "../../src/commands/cluster.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createProfile, deleteProfile, reviseProfile } from "../../src/commands/profile.ts";
import { type ClusterId, encodeId, type ProfileId } from "../../src/core/ids.ts";
import { handDriver } from "../support/hand-driver.ts";
import { startWorld, type World } from "../support/world.ts";
import { readEventsOf } from "./history.ts";
import { aCluster, actionNow, aProfile, clusterNow, expectUnchanged, issuesOf, refusalOf, valueOf } from "./support.ts";

/** Nobody carries anything out here. */
let world: World;
let context: CommandContext;
let first: ProfileId;
let second: ProfileId;
beforeAll(async () => {
  world = await startWorld({ drivers: [handDriver().driver] });
  context = world.context("MEMBER");
  first = await aProfile(context, "web");
  second = valueOf(await reviseProfile(context, { profile: { name: "web" }, spec: { createMs: 1 } })).profileId;
});
afterAll(() => world.stop());

/** As if the engine had made so many members of the first revision: kept counts of members that no table has. Taken back by what it returns. */
async function pretend(clusterId: ClusterId, active: number, updated = 0) {
  await sql`
    insert into muster.cluster_count (cluster_id, writer, active, healthy, created_total, updated_total)
    values (${clusterId}, 77, ${active}, ${active}, ${active}, ${updated})`.execute(world.store.db);
  return () => sql`delete from muster.cluster_count where cluster_id = ${clusterId} and writer = 77`.execute(world.store.db);
}

const toSecond = (name: string, more: object = {}) => updateCluster(context, { cluster: { name }, profile: { name: "web" }, ...more });
const toFirst = (name: string) => updateCluster(context, { cluster: { name }, profile: { id: encodeId("profile", first) } });

describe("updateCluster with a profile", () => {
  test("by name → the newest revision, one generation more, an action that counts all members, and the ledger says so", async () => {
    const { clusterId } = await aCluster(context, first, { name: "plain", desiredCapacity: 40, timeoutSeconds: 60 });
    const forget = await pretend(clusterId, 40);
    const { actionId } = valueOf(await toSecond("plain", { metadata: { a: 1 } }));
    expect(await clusterNow(context, clusterId)).toMatchObject({
      profileId: second,
      formerProfileId: first,
      profileActionId: actionId,
      generation: 2,
      metadata: { a: 1 },
    });
    expect(await actionNow(context, actionId)).toMatchObject({
      kind: "CLUSTER_UPDATE",
      status: "PENDING",
      generation: 2,
      inputs: { profile: encodeId("profile", second), metadata: {} },
      progress: { total: 40, done: 0, failed: 0 },
    });
    const events = await readEventsOf(context, { clusterId });
    expect(events.slice(-3).map(({ type }) => type)).toEqual(["cluster.updated", "cluster.profile.changed", "action.created"]);
    expect(events.at(-2)?.data).toEqual({ from: encodeId("profile", first), to: encodeId("profile", second), generation: 2 });
    await forget();
    const later = await pretend(clusterId, 40, 15);
    expect((await actionNow(context, actionId)).progress).toEqual({ total: 40, done: 15, failed: 0 });
    await later();
  });

  test("another type → InvalidInput at `profile`; unknown, null, a READER, another generation → refused; nothing is left behind", async () => {
    const { clusterId } = await aCluster(context, first, { name: "refused", desiredCapacity: 1 });
    valueOf(await createProfile(context, { name: "other", type: "hand", spec: {} }));
    const cluster = { name: "refused" };
    await expectUnchanged(context, async () => {
      expect(issuesOf(await updateCluster(context, { cluster, profile: { name: "other" } }))).toEqual([
        "profile: must be of the cluster's type sim, and is of type hand",
      ]);
      expect(refusalOf(await updateCluster(context, { cluster, profile: { name: "nobody" } }))).toMatchObject({
        kind: "NotFound",
        path: ["profile"],
      });
      expect(issuesOf(await updateCluster(context, { cluster, profile: null }))).toEqual(["profile: must not be null: leave it out to keep it"]);
      expect(refusalOf(await toSecond("refused", { ifGeneration: 7 }))).toMatchObject({ reason: "GENERATION_CHANGED", generation: 1 });
      expect(refusalOf(await updateCluster(world.context("READER"), { cluster, profile: { name: "web" } }))).toMatchObject({ kind: "Forbidden" });
    });
    expect((await clusterNow(context, clusterId)).profileId).toBe(first);
  });

  test("the same key twice → one roll-out; the same profile again → another action, no further generation", async () => {
    const { clusterId } = await aCluster(context, first, { name: "twice", desiredCapacity: 5 });
    const forget = await pretend(clusterId, 5);
    const once = valueOf(await toSecond("twice", { idempotencyKey: "roll" }));
    expect(valueOf(await toSecond("twice", { idempotencyKey: "roll" }))).toEqual(once);
    const again = valueOf(await toSecond("twice"));
    expect(await clusterNow(context, clusterId)).toMatchObject({ generation: 2, profileActionId: again.actionId, formerProfileId: first });
    expect(await actionNow(context, once.actionId)).toMatchObject({ status: "SUPERSEDED", supersededBy: again.actionId });
    await forget();
  });

  test("a newer profile supersedes it, a size does not; a deletion supersedes all", async () => {
    const { clusterId } = await aCluster(context, first, { name: "facets", desiredCapacity: 5 });
    const forget = await pretend(clusterId, 5);
    const there = valueOf(await toSecond("facets"));
    const size = valueOf(await resizeCluster(context, { cluster: { name: "facets" }, capacity: { exactly: 9 }, strict: true }));
    expect((await actionNow(context, there.actionId)).status).toBe("PENDING");
    const back = valueOf(await toFirst("facets"));
    expect(await actionNow(context, there.actionId)).toMatchObject({ status: "SUPERSEDED", supersededBy: back.actionId });
    expect((await actionNow(context, size.actionId)).status).toBe("PENDING");
    expect(await clusterNow(context, clusterId)).toMatchObject({ profileId: first, formerProfileId: second, generation: 4 });
    valueOf(await updateCluster(context, { cluster: { name: "facets" }, metadata: { b: 2 } }));
    expect((await actionNow(context, back.actionId)).status).toBe("PENDING");
    const gone = valueOf(await deleteCluster(context, { cluster: { name: "facets" }, abandon: false }));
    for (const { actionId } of [size, back])
      expect(await actionNow(context, actionId)).toMatchObject({ status: "SUPERSEDED", supersededBy: gone.actionId });
    expect(refusalOf(await toSecond("facets"))).toMatchObject({ reason: "DELETING" });
    await forget();
  });

  test("cancelled → the former profile, one generation more; it could not be deleted as long as that was possible, and can be afterwards", async () => {
    const { profileId: old } = valueOf(await createProfile(context, { name: "kept", type: "sim", spec: {} }));
    const { profileId: next } = valueOf(await reviseProfile(context, { profile: { name: "kept" }, spec: { createMs: 2 } }));
    const { clusterId } = await aCluster(context, old, { name: "back", desiredCapacity: 3 });
    const forget = await pretend(clusterId, 3);
    const { actionId } = valueOf(await updateCluster(context, { cluster: { name: "back" }, profile: { name: "kept" } }));
    for (const id of [old, next]) {
      expect(refusalOf(await deleteProfile(context, { profile: { id: encodeId("profile", id) } }))).toMatchObject({
        reason: "IN_USE",
        object: { type: "cluster", id: clusterId },
      });
    }
    valueOf(await cancelAction(context, { id: encodeId("action", actionId) }));
    expect(await clusterNow(context, clusterId)).toMatchObject({ profileId: old, formerProfileId: null, generation: 3 });
    expect((await actionNow(context, actionId)).status).toBe("CANCELLED");
    const types = (await readEventsOf(context, { clusterId })).map(({ type }) => type);
    expect(types.slice(-2)).toEqual(["action.finished", "cluster.profile.changed"]);
    valueOf(await deleteProfile(context, { profile: { id: encodeId("profile", next) } }));
    expect(refusalOf(await cancelAction(context, { id: encodeId("action", actionId) }))).toMatchObject({ reason: "ALREADY_FINISHED" });
    await forget();
  });

  test("a cluster without members → done at once", async () => {
    const { clusterId } = await aCluster(context, first, { name: "empty", desiredCapacity: 0 });
    const { actionId } = valueOf(await toSecond("empty"));
    expect(await actionNow(context, actionId)).toMatchObject({ status: "SUCCEEDED", progress: { total: 0 } });
    expect(await clusterNow(context, clusterId)).toMatchObject({ profileId: second, generation: 2 });
  });
});
