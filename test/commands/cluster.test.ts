import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCluster, deleteCluster, updateCluster } from "../../src/commands/cluster.ts";
import { recoverCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster, scaleInCluster, scaleOutCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import type { CreateClusterInput } from "../../src/commands/input.ts";
import { createProject } from "../../src/commands/project.ts";
import { encodeId, type ProfileId, type ProjectId } from "../../src/core/ids.ts";
import { startWorld, type World } from "../support/world.ts";
import { readEventsOf } from "./history.ts";
import { aCluster, actionNow, aProfile, clusterNow, expectUnchanged, issuesOf, refusalOf, valueOf } from "./support.ts";

let world: World;
let context: CommandContext;
let profileId: ProfileId;
let strangerId: ProjectId;
beforeAll(async () => {
  world = await startWorld();
  context = world.context("MEMBER");
  profileId = await aProfile(context, "web");
  strangerId = valueOf(await createProject(world.context(), { name: "stranger" })).projectId;
});
afterAll(() => world.stop());

const input = (more: Partial<CreateClusterInput> & { readonly name: string }): CreateClusterInput => ({
  minSize: 0,
  timeoutSeconds: 3_600,
  profile: { name: "web" },
  ...more,
});

describe("createCluster", () => {
  test("all defaults → INIT at generation 1, its action counts to desiredCapacity", async () => {
    const made = valueOf(await createCluster(context, input({ name: "plain", minSize: 2 })));
    const cluster = await clusterNow(context, made.clusterId);
    expect(cluster).toMatchObject({
      name: "plain",
      desiredCapacity: 2,
      minSize: 2,
      maxSize: null,
      generation: 1,
      status: "INIT",
      observedGeneration: 0,
    });
    expect(cluster).toMatchObject({ profileId, nodeNameFormat: "{cluster}-{index}", metadata: {}, sizeActionId: made.actionId });
    const action = await actionNow(context, made.actionId);
    expect(action).toMatchObject({ kind: "CLUSTER_CREATE", status: "PENDING", cause: "USER", initiator: "token:test", subjectName: "plain" });
    expect(action.progress).toEqual({ total: 2, done: 0, failed: 0 });
  });

  test("no members wanted → its action succeeds at once", async () => {
    const made = valueOf(await createCluster(context, input({ name: "empty" })));
    expect(await actionNow(context, made.actionId)).toMatchObject({ status: "SUCCEEDED", progress: { total: 0, done: 0, failed: 0 } });
  });

  test("the history: created, then its action, each with ids and names as they were", async () => {
    const made = await aCluster(context, profileId, { name: "told", desiredCapacity: 3 });
    const events = await readEventsOf(context, { clusterId: made.clusterId });
    expect(events.map((event) => event.type)).toEqual(["cluster.created", "action.created"]);
    expect(events[0]).toMatchObject({
      cluster_name: "told",
      action_id: made.actionId,
      data: { desiredCapacity: 3, profileId: encodeId("profile", profileId) },
    });
  });

  test("everything wrong at once → every problem, each with its path, nothing written", async () => {
    await expectUnchanged(context, async () => {
      const wrong = input({
        name: "-\u0000",
        minSize: -1,
        maxSize: -5,
        desiredCapacity: -7,
        timeoutSeconds: 0,
        nodeNameFormat: "{what}",
        metadata: { a: "x\u0000", b: "\ud800" },
      });
      const paths = issuesOf(await createCluster(context, wrong)).map((issue) => issue.split(":")[0]);
      expect(new Set(paths)).toEqual(
        new Set(["name", "minSize", "maxSize", "desiredCapacity", "timeoutSeconds", "nodeNameFormat", "metadata.a", "metadata.b"]),
      );
    });
  });

  test.each([
    ["min above max", { minSize: 5, maxSize: 3 }, "maxSize: must not be below minSize 5"],
    ["desired above max", { maxSize: 3, desiredCapacity: 4 }, "desiredCapacity: would make the desired capacity 4, above maxSize 3"],
    ["desired below min", { minSize: 3, desiredCapacity: 2 }, "desiredCapacity: would make the desired capacity 2, below minSize 3"],
    ["more than anybody has", { desiredCapacity: 2_000_000_000 }, "desiredCapacity: would make the desired capacity 2000000000, above 10000000"],
  ])("%s → InvalidInput", async (_what, more, issue) => {
    expect(issuesOf(await createCluster(context, input({ name: "sized", ...more })))).toContain(issue);
  });

  test.each([
    ["a name of 10,000 letters", "x".repeat(10_000)],
    ["of 300", "y".repeat(300)],
    ["an empty one", ""],
    ["a space", "a b"],
    ["a new line at its end", "ab\n"],
    ["a NUL", "a\u0000b"],
  ])("%s → InvalidInput", async (_what, name) => {
    expect(issuesOf(await createCluster(context, input({ name })))[0]).toMatch(/^name: must/);
  });

  test("metadata at its limit → kept to the letter; one byte more → InvalidInput; too deep → InvalidInput", async () => {
    const rest = JSON.stringify({ a: "" }).length;
    const full = { a: "x".repeat(context.limits.metadataBytes - rest) };
    const made = valueOf(await createCluster(context, input({ name: "full", metadata: full })));
    expect((await clusterNow(context, made.clusterId)).metadata).toEqual(full);
    expect(issuesOf(await createCluster(context, input({ name: "over", metadata: { a: `${full.a}x` } })))[0]).toContain("must not be larger than");
    let deep: { readonly [key: string]: never } | object = {};
    for (let i = 0; i < 40; i++) deep = { d: deep };
    expect(issuesOf(await createCluster(context, input({ name: "deep", metadata: JSON.parse(JSON.stringify(deep)) })))[0]).toContain("nested deeper");
  });

  test("a taken name → Conflict with the cluster that holds it", async () => {
    const first = await aCluster(context, profileId, { name: "taken" });
    expect(refusalOf(await createCluster(context, input({ name: "taken" })))).toMatchObject({
      kind: "Conflict",
      reason: "NAME_TAKEN",
      path: ["name"],
      object: { type: "cluster", id: first.clusterId },
    });
  });

  test("the same name ten times at once → one cluster, nine conflicts", async () => {
    const results = await Promise.all(Array.from({ length: 10 }, () => createCluster(context, input({ name: "race" }))));
    expect(results.filter((result) => result.ok)).toHaveLength(1);
    for (const result of results) if (!result.ok) expect(result.refusal).toMatchObject({ reason: "NAME_TAKEN" });
  });

  test.each([
    ["an unknown name", { name: "nobody" }],
    ["a name with NUL", { name: "we\u0000b" }],
    ["an id of another type", { id: "cluster_00000000000000000000000001" }],
    ["no id at all", { id: "x" }],
  ])("a profile by %s → NotFound", async (_what, profile) => {
    expect(refusalOf(await createCluster(context, input({ name: "lost", profile })))).toMatchObject({ kind: "NotFound", path: ["profile"] });
  });

  test("a READER → Forbidden, needs MEMBER", async () => {
    expect(refusalOf(await createCluster(world.context("READER"), input({ name: "mine" })))).toMatchObject({ kind: "Forbidden", needs: "MEMBER" });
  });
});

describe("updateCluster", () => {
  test("name, bounds, time-out, metadata → changed, generation + 1, the action done", async () => {
    const { clusterId } = await aCluster(context, profileId, { name: "old", desiredCapacity: 2, maxSize: 9 });
    const by = { cluster: { name: "old" } };
    const done = valueOf(await updateCluster(context, { ...by, name: "new", minSize: 1, maxSize: null, timeoutSeconds: 60, metadata: { a: 1 } }));
    const cluster = await clusterNow(context, clusterId);
    expect(cluster).toMatchObject({
      name: "new",
      minSize: 1,
      maxSize: null,
      timeoutSeconds: 60,
      metadata: { a: 1 },
      generation: 2,
      desiredCapacity: 2,
    });
    expect(await actionNow(context, done.actionId)).toMatchObject({ kind: "CLUSTER_UPDATE", status: "SUCCEEDED", subjectName: "old" });
  });

  test("nothing that differs → same generation, no event but the action's", async () => {
    const { clusterId } = await aCluster(context, profileId, { name: "same", desiredCapacity: 0 });
    valueOf(await updateCluster(context, { cluster: { name: "same" }, name: "same" }));
    expect((await clusterNow(context, clusterId)).generation).toBe(1);
    const types = (await readEventsOf(context, { clusterId })).map((event) => event.type);
    expect(types).not.toContain("cluster.updated");
  });

  test("null where nothing can be cleared → every one told", async () => {
    await aCluster(context, profileId, { name: "nulls" });
    const nulls = { name: null, metadata: null, minSize: null, timeoutSeconds: null };
    const issues = issuesOf(await updateCluster(context, { cluster: { name: "nulls" }, ...nulls }));
    expect(issues.map((issue) => issue.split(":")[0])).toEqual(["name", "metadata", "minSize", "timeoutSeconds"]);
  });

  test("bounds that leave what is wanted outside → InvalidInput", async () => {
    await aCluster(context, profileId, { name: "bounds", desiredCapacity: 5 });
    expect(issuesOf(await updateCluster(context, { cluster: { name: "bounds" }, maxSize: 4 }))).toEqual([
      "maxSize: must not be below the desired capacity 5",
    ]);
    expect(issuesOf(await updateCluster(context, { cluster: { name: "bounds" }, minSize: 6 }))).toEqual([
      "minSize: must not be above the desired capacity 5",
    ]);
  });
});

describe("a cluster as the caller knew it", () => {
  test("ifGeneration of then → Conflict with the object and the generation of now", async () => {
    const { clusterId } = await aCluster(context, profileId, { name: "guarded", desiredCapacity: 1 });
    const guarded = { cluster: { name: "guarded" }, capacity: { exactly: 2 }, strict: true, ifGeneration: 1 };
    valueOf(await resizeCluster(context, guarded));
    expect(refusalOf(await resizeCluster(context, { ...guarded, capacity: { exactly: 3 } }))).toMatchObject({
      reason: "GENERATION_CHANGED",
      generation: 2,
      object: { type: "cluster", id: clusterId },
    });
  });

  test("one that is being deleted → every change is Conflict DELETING, its name still held", async () => {
    const { clusterId } = await aCluster(context, profileId, { name: "going", desiredCapacity: 3 });
    const gone = valueOf(await deleteCluster(context, { cluster: { name: "going" }, abandon: false }));
    const by = { cluster: { name: "going" } };
    const refused = { kind: "Conflict", reason: "DELETING", object: { type: "cluster", id: clusterId } };
    expect(refusalOf(await resizeCluster(context, { ...by, capacity: { by: 1 }, strict: true }))).toMatchObject(refused);
    expect(refusalOf(await scaleOutCluster(context, by))).toMatchObject(refused);
    expect(refusalOf(await scaleInCluster(context, by))).toMatchObject(refused);
    expect(refusalOf(await updateCluster(context, { ...by, name: "other" }))).toMatchObject(refused);
    expect(refusalOf(await recoverCluster(context, by))).toMatchObject(refused);
    expect(refusalOf(await deleteCluster(context, { ...by, abandon: false }))).toMatchObject(refused);
    expect(refusalOf(await createCluster(context, input({ name: "going" })))).toMatchObject({ reason: "NAME_TAKEN" });
    expect(await clusterNow(context, clusterId)).toMatchObject({
      status: "DELETING",
      deleting: true,
      generation: 2,
      existenceActionId: gone.actionId,
    });
  });

  test("another project's → as if it did not exist", async () => {
    const made = await aCluster(context, profileId, { name: "private" });
    const stranger = world.context("OPERATOR", strangerId);
    const foreign = { cluster: { id: encodeId("cluster", made.clusterId) } };
    expect(refusalOf(await scaleOutCluster(stranger, foreign))).toMatchObject({ kind: "NotFound", path: ["cluster"] });
    expect(refusalOf(await deleteCluster(stranger, { ...foreign, abandon: false }))).toMatchObject({ kind: "NotFound", path: ["cluster"] });
  });
});

describe("deleteCluster", () => {
  test("everything unfinished → SUPERSEDED by the deletion, in the ledger as well", async () => {
    const made = await aCluster(context, profileId, { name: "whole", desiredCapacity: 4 });
    const more = valueOf(await scaleOutCluster(context, { cluster: { name: "whole" } }));
    const gone = valueOf(await deleteCluster(context, { cluster: { name: "whole" }, abandon: false }));
    for (const id of [made.actionId, more.actionId]) {
      expect(await actionNow(context, id)).toMatchObject({ status: "SUPERSEDED", supersededBy: gone.actionId });
    }
    const finished = (await readEventsOf(context, { clusterId: made.clusterId })).filter((event) => event.type === "action.finished");
    expect(finished.map((event) => event.data["supersededBy"])).toEqual([encodeId("action", gone.actionId), encodeId("action", gone.actionId)]);
  });

  test("abandon → takes an ADMIN, who may add it to a deletion under way", async () => {
    const { clusterId } = await aCluster(context, profileId, { name: "stuck", desiredCapacity: 1 });
    const by = { cluster: { name: "stuck" } };
    const first = valueOf(await deleteCluster(context, { ...by, abandon: false }));
    expect(refusalOf(await deleteCluster(context, { ...by, abandon: true }))).toMatchObject({ kind: "Forbidden", needs: "ADMIN" });
    const second = valueOf(await deleteCluster(world.context("ADMIN"), { ...by, abandon: true }));
    expect(await actionNow(context, first.actionId)).toMatchObject({ status: "SUPERSEDED", supersededBy: second.actionId });
    expect(await clusterNow(context, clusterId)).toMatchObject({ abandon: true, existenceActionId: second.actionId });
  });
});
