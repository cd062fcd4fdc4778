import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { checkCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster, scaleInCluster, scaleOutCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import type { CapacityInput, ResizeClusterInput } from "../../src/commands/input.ts";
import { mostOpenActions } from "../../src/core/action.ts";
import type { ProfileId } from "../../src/core/ids.ts";
import { liveActionsOf } from "../../src/store/action.ts";
import { listOpenActions } from "../../src/store/action-write.ts";
import { startWorld, type World } from "../support/world.ts";
import { readEventsOf } from "./history.ts";
import { aCluster, actionNow, aProfile, clusterNow, expectUnchanged, issuesOf, refusalOf, valueOf } from "./support.ts";

let world: World;
let context: CommandContext;
let profileId: ProfileId;
beforeAll(async () => {
  world = await startWorld();
  context = world.context("MEMBER");
  profileId = await aProfile(context, "web");
});
afterAll(() => world.stop());

const resize = (name: string, capacity: CapacityInput | null, more: Partial<ResizeClusterInput> = {}) =>
  resizeCluster(context, { cluster: { name }, ...(capacity === null ? {} : { capacity }), strict: true, ...more });

describe("resizeCluster", () => {
  test("exactly 5 → 50 → 3 → 3 is wanted; each says who superseded it, and leads to the live one", async () => {
    const made = await aCluster(context, profileId, { name: "chain", desiredCapacity: 5 });
    const fifty = valueOf(await resize("chain", { exactly: 50 }));
    const three = valueOf(await resize("chain", { exactly: 3 }));
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ desiredCapacity: 3, generation: 3, sizeActionId: three.actionId });
    expect(await actionNow(context, made.actionId)).toMatchObject({ status: "SUPERSEDED", supersededBy: fifty.actionId });
    expect(await actionNow(context, fifty.actionId)).toMatchObject({ status: "SUPERSEDED", supersededBy: three.actionId });
    expect(await actionNow(context, three.actionId)).toMatchObject({ status: "PENDING", progress: { total: 3, done: 0, failed: 0 } });
    const live = await liveActionsOf(world.store.db, world.projectId, [made.actionId, fifty.actionId, three.actionId]);
    expect([...live.values()]).toEqual([three.actionId, three.actionId, three.actionId]);
  });

  test("by +5 twice → +10, neither superseded", async () => {
    const made = await aCluster(context, profileId, { name: "twice", desiredCapacity: 2 });
    const first = valueOf(await resize("twice", { by: 5 }));
    const second = valueOf(await resize("twice", { by: 5 }));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(12);
    for (const { actionId } of [made, first, second]) expect((await actionNow(context, actionId)).status).toBe("PENDING");
    expect((await actionNow(context, second.actionId)).progress.total).toBe(5);
  });

  test.each([
    ["+30 % of 5 is 2", 5, { byPercent: 30 }, undefined, 7],
    ["-30 % of 5 is 2", 5, { byPercent: -30 }, undefined, 3],
    ["10 % of 30 is 3", 30, { byPercent: 10 }, undefined, 33],
    ["5 % of 10 with minStep 4 is 4", 10, { byPercent: 5 }, 4, 14],
    ["0 % with minStep is nothing", 10, { byPercent: 0 }, 4, 10],
  ])("%s", async (what, from, capacity, minStep, to) => {
    const name = `percent-${what.replaceAll(/[^a-z0-9-]/g, "")}`;
    const made = await aCluster(context, profileId, { name, desiredCapacity: from });
    valueOf(await resize(name, capacity, minStep === undefined ? {} : { minStep }));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(to);
  });

  test("what is wanted already → same generation, succeeds at once, replaces what wished the same", async () => {
    const made = await aCluster(context, profileId, { name: "noop", desiredCapacity: 0 });
    const again = valueOf(await resize("noop", { exactly: 0 }));
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ generation: 1, desiredCapacity: 0 });
    expect(await actionNow(context, again.actionId)).toMatchObject({ status: "SUCCEEDED", progress: { total: 0, done: 0, failed: 0 } });
  });

  test("outside the bounds → InvalidInput; not strict → as far as they allow; new bounds count at once", async () => {
    const made = await aCluster(context, profileId, { name: "bounded", desiredCapacity: 5, minSize: 2, maxSize: 8 });
    await expectUnchanged(context, async () => {
      expect(issuesOf(await resize("bounded", { exactly: 9 }))).toEqual(["capacity.exactly: would make the desired capacity 9, above maxSize 8"]);
      expect(issuesOf(await resize("bounded", { by: -4 }))).toEqual(["capacity.by: would make the desired capacity 1, below minSize 2"]);
      expect(issuesOf(await resize("bounded", { exactly: -1 }))).toEqual(["capacity.exactly: must not be negative"]);
    });
    valueOf(await resize("bounded", { by: 100 }, { strict: false }));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(8);
    valueOf(await resize("bounded", { exactly: 20 }, { maxSize: null, minSize: 0 }));
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ desiredCapacity: 20, maxSize: null, minSize: 0 });
  });

  test("nothing asked, null, absurd percentages → InvalidInput", async () => {
    await aCluster(context, profileId, { name: "absurd", desiredCapacity: 5 });
    expect(issuesOf(await resize("absurd", null))).toEqual(["capacity: must be given, or minSize, or maxSize"]);
    expect(issuesOf(await resize("absurd", { exactly: 3 }, { minSize: null }))).toEqual(["minSize: must not be null: leave it out to keep it"]);
    expect(issuesOf(await resize("absurd", { byPercent: 1e300 }))[0]).toMatch(/^capacity\.byPercent: would make/);
    expect(issuesOf(await resize("absurd", { by: 2_147_483_647 }))[0]).toMatch(/above 10000000$/);
  });

  test("100 at once of one cluster → all accepted, generations without a gap, the last committed wins", async () => {
    const made = await aCluster(context, profileId, { name: "crowd", desiredCapacity: 1 });
    const wishes = Array.from({ length: 100 }, (_, i) => i + 2);
    const results = (await Promise.all(wishes.map((n) => resize("crowd", { exactly: n })))).map(valueOf);
    const cluster = await clusterNow(context, made.clusterId);
    expect(cluster.generation).toBe(101);
    const actions = await Promise.all(results.map(({ actionId }) => actionNow(context, actionId)));
    const open = actions.filter((action) => action.status === "PENDING");
    expect(open.map((action) => action.id)).toEqual([cluster.sizeActionId]);
    expect(new Set(actions.map((action) => action.generation)).size).toBe(100);
    const resized = (await readEventsOf(context, { clusterId: made.clusterId })).filter((event) => event.type === "cluster.resized");
    expect(resized).toHaveLength(100);
    for (const [i, event] of resized.entries()) expect(event.data["from"]).toBe(i === 0 ? 1 : resized[i - 1]?.data["to"]);
    expect(resized.at(-1)?.data["to"]).toBe(cluster.desiredCapacity);
    const live = await liveActionsOf(
      world.store.db,
      world.projectId,
      results.map(({ actionId }) => actionId),
    );
    expect(new Set(live.values())).toEqual(new Set([cluster.sizeActionId]));
  });

  test("100 times by +1 at once → +100", async () => {
    const made = await aCluster(context, profileId, { name: "sum", desiredCapacity: 0 });
    (await Promise.all(Array.from({ length: 100 }, () => resize("sum", { by: 1 })))).forEach(valueOf);
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(100);
  });
});

describe("unfinished actions", () => {
  test("piled up by relative wishes → one more, or a job, is refused; an exact one ends all of them, a deletion is accepted", async () => {
    const made = await aCluster(context, profileId, { name: "pile", desiredCapacity: 1 });
    for (let open = 1; open < mostOpenActions; open++) valueOf(await scaleOutCluster(context, { cluster: { name: "pile" } }));
    const refused = { kind: "QuotaExceeded", quota: "clusterActions", limit: mostOpenActions, used: mostOpenActions, requested: 1 };
    await expectUnchanged(context, async () => {
      expect(refusalOf(await scaleOutCluster(context, { cluster: { name: "pile" } }))).toEqual(refused);
      expect(refusalOf(await checkCluster(context, { cluster: { name: "pile" } }))).toEqual(refused);
    });
    const exact = valueOf(await resize("pile", { exactly: 2 }));
    expect((await listOpenActions(world.store.db, made.clusterId, 10_000)).map(({ id }) => id)).toEqual([exact.actionId]);
    valueOf(await scaleOutCluster(context, { cluster: { name: "pile" } }));
    const gone = valueOf(await deleteCluster(context, { cluster: { name: "pile" }, abandon: false }));
    expect((await listOpenActions(world.store.db, made.clusterId, 10_000)).map(({ id }) => id)).toEqual([gone.actionId]);
  });
});

describe("scaling", () => {
  test("out and in, by 1 where nothing is said → the target moves, kinds are their own", async () => {
    const made = await aCluster(context, profileId, { name: "steps", desiredCapacity: 3, maxSize: 6 });
    const out = valueOf(await scaleOutCluster(context, { cluster: { name: "steps" } }));
    valueOf(await scaleOutCluster(context, { cluster: { name: "steps" }, count: 2 }));
    const back = valueOf(await scaleInCluster(context, { cluster: { name: "steps" }, count: null }));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(5);
    expect((await actionNow(context, out.actionId)).kind).toBe("CLUSTER_SCALE_OUT");
    expect((await actionNow(context, back.actionId)).kind).toBe("CLUSTER_SCALE_IN");
  });

  test("past the bounds, by nothing, by less than nothing → InvalidInput at `count`", async () => {
    await aCluster(context, profileId, { name: "edges", desiredCapacity: 3, minSize: 3, maxSize: 3 });
    const cluster = { name: "edges" };
    expect(issuesOf(await scaleOutCluster(context, { cluster }))).toEqual(["count: would make the desired capacity 4, above maxSize 3"]);
    expect(issuesOf(await scaleInCluster(context, { cluster }))).toEqual(["count: would make the desired capacity 2, below minSize 3"]);
    for (const count of [0, -1]) expect(issuesOf(await scaleInCluster(context, { cluster, count }))).toEqual(["count: must be at least 1"]);
  });

  test("an unknown cluster, by id or name → NotFound", async () => {
    for (const cluster of [
      { name: "none" },
      { id: "cluster_00000000000000000000000009" },
      { id: "project_00000000000000000000000009" },
      { name: "x".repeat(10_000) },
      { name: "\u0000" },
    ]) {
      expect(refusalOf(await scaleOutCluster(context, { cluster }))).toMatchObject({ kind: "NotFound", path: ["cluster"] });
    }
  });
});
