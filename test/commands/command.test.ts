import { sql } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCluster } from "../../src/commands/cluster.ts";
import { resizeCluster, scaleOutCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createProfile, deleteProfile } from "../../src/commands/profile.ts";
import { createProject, updateProject } from "../../src/commands/project.ts";
import { createToken } from "../../src/commands/token.ts";
import { encodeId, type ProfileId } from "../../src/core/ids.ts";
import { isTimeout } from "../../src/store/failure.ts";
import { purgeKeys } from "../../src/store/idempotency.ts";
import { startWorld, type World } from "../support/world.ts";
import { aCluster, aProfile, clusterNow, issuesOf, refusalOf, valueOf } from "./support.ts";

let world: World;
let context: CommandContext;
let profileId: ProfileId;
beforeAll(async () => {
  world = await startWorld();
  context = world.context("MEMBER");
  profileId = await aProfile(context, "web");
});
afterAll(() => world.stop());

const by = (name: string, count: number, idempotencyKey: string) => scaleOutCluster(context, { cluster: { name }, count, idempotencyKey });

describe("idempotency keys", () => {
  test("the same key and input again → the same action and cluster, done once", async () => {
    const made = await aCluster(context, profileId, { name: "once", desiredCapacity: 1 });
    const first = valueOf(await by("once", 2, "k1"));
    expect(valueOf(await by("once", 2, "k1"))).toEqual(first);
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(3);
  });

  test("ten at once with one key → one does it, all answer the same", async () => {
    const made = await aCluster(context, profileId, { name: "at-once", desiredCapacity: 1 });
    const answers = (await Promise.all(Array.from({ length: 10 }, () => by("at-once", 2, "k2")))).map(valueOf);
    expect(new Set(answers.map((answer) => answer.actionId)).size).toBe(1);
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(3);
  });

  test("a key in use for longer than five seconds → the second call gives up, nothing done; then it works", async () => {
    const made = await aCluster(context, profileId, { name: "patient", desiredCapacity: 1 });
    const client = new pg.Client({ connectionString: world.database.url });
    await client.connect();
    await client.query("begin");
    const key =
      "insert into muster.idempotency_key (project_id, key, mutation, input_hmac, payload, created_at) values ($1, 'slow', 'x', '', '{}', now())";
    await client.query(key, [world.projectId]);
    const given = await by("patient", 1, "slow").then(
      () => "accepted",
      (error: unknown) => isTimeout(error),
    );
    expect(given).toBe(true);
    await client.query("rollback");
    await client.end();
    valueOf(await by("patient", 1, "slow"));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(2);
  });

  test("the same key with another input, or for another mutation → Conflict KEY_REUSED", async () => {
    await aCluster(context, profileId, { name: "reused", desiredCapacity: 1 });
    valueOf(await by("reused", 1, "k3"));
    const reused = { kind: "Conflict", reason: "KEY_REUSED", path: ["idempotencyKey"] };
    expect(refusalOf(await by("reused", 2, "k3"))).toMatchObject(reused);
    expect(
      refusalOf(await resizeCluster(context, { cluster: { name: "reused" }, capacity: { by: 1 }, strict: true, idempotencyKey: "k3" })),
    ).toMatchObject(reused);
  });

  test("absent and null are not the same input; the order of fields does not matter", async () => {
    await aCluster(context, profileId, { name: "shape", desiredCapacity: 1 });
    const first = valueOf(await scaleOutCluster(context, { cluster: { name: "shape" }, count: 1, idempotencyKey: "k4" }));
    expect(valueOf(await scaleOutCluster(context, { idempotencyKey: "k4", count: 1, cluster: { name: "shape" } }))).toEqual(first);
    expect(
      refusalOf(await scaleOutCluster(context, { cluster: { name: "shape" }, count: 1, ifGeneration: null, idempotencyKey: "k4" })),
    ).toMatchObject({ reason: "KEY_REUSED" });
  });

  test("an error is not kept: the same key works once the reason is gone", async () => {
    expect(refusalOf(await by("later", 1, "k5"))).toMatchObject({ kind: "NotFound" });
    const made = await aCluster(context, profileId, { name: "later", desiredCapacity: 1 });
    valueOf(await by("later", 1, "k5"));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(2);
  });

  test("another project's key of the same text is another key", async () => {
    const projectId = valueOf(await createProject(world.context(), { name: "keys" })).projectId;
    const there = world.context("MEMBER", projectId);
    valueOf(await createProfile(context, { name: "mine", type: "sim", spec: {}, idempotencyKey: "k6" }));
    valueOf(await createProfile(there, { name: "theirs", type: "sim", spec: {}, idempotencyKey: "k6" }));
  });

  test("a deletion, repeated → the same id, though the object is gone", async () => {
    await aProfile(context, "short");
    const first = valueOf(await deleteProfile(context, { profile: { name: "short" }, idempotencyKey: "k7" }));
    expect(valueOf(await deleteProfile(context, { profile: { name: "short" }, idempotencyKey: "k7" }))).toEqual(first);
  });

  test("an empty, an endless, an unstorable key → InvalidInput", async () => {
    for (const key of ["", "x".repeat(256), "a\u0000", "\ud800"]) expect(issuesOf(await by("once", 1, key))[0]).toMatch(/^idempotencyKey: must/);
  });

  test("nothing of the input is kept but an HMAC", async () => {
    const spec = { zones: ["canary-zone"] };
    valueOf(await createProfile(context, { name: "canary", type: "sim", spec, idempotencyKey: "k8" }));
    const { rows } = await sql<{ row: string }>`select k::text as row from muster.idempotency_key k where key = 'k8'`.execute(world.store.db);
    expect(rows[0]?.row).not.toContain("canary");
  });

  test("24 hours later → forgotten by the cleaner; and before it comes, taken anew", async () => {
    const made = await aCluster(context, profileId, { name: "tomorrow", desiredCapacity: 1 });
    valueOf(await by("tomorrow", 1, "k9"));
    const age = (hours: number) =>
      sql`update muster.idempotency_key set created_at = created_at - make_interval(hours => ${hours}) where key = 'k9'`.execute(world.store.db);
    await age(23);
    valueOf(await by("tomorrow", 1, "k9"));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(2);
    await age(2);
    valueOf(await by("tomorrow", 1, "k9"));
    expect((await clusterNow(context, made.clusterId)).desiredCapacity).toBe(3);
    await age(25);
    expect(await purgeKeys(world.store.db, 100)).toBe(1);
    expect(await purgeKeys(world.store.db, 100)).toBe(0);
  });
});

describe("quotas", () => {
  const limited = async (name: string, quota: string, limit: number) => {
    const operator = world.context();
    const { projectId } = valueOf(await createProject(operator, { name }));
    valueOf(await updateProject(operator, { project: { name }, quota: [{ quota, limit }] }));
    return world.context("ADMIN", projectId);
  };

  test("clusters: n fit, n + 1 do not, also when asked for all at once", async () => {
    const own = await limited("few-clusters", "clusters", 3);
    const id = await aProfile(own, "p");
    const names = Array.from({ length: 8 }, (_, i) => `c${i}`);
    const input = (name: string) => ({ name, profile: { id: encodeId("profile", id) }, minSize: 0, timeoutSeconds: 60 });
    const results = await Promise.all(names.map((name) => createCluster(own, input(name))));
    expect(results.filter((result) => result.ok)).toHaveLength(3);
    for (const result of results)
      if (!result.ok) expect(result.refusal).toEqual({ kind: "QuotaExceeded", quota: "clusters", limit: 3, used: 3, requested: 1 });
  });

  test("nodes: what all clusters want together counts; giving back always fits", async () => {
    const own = await limited("few-nodes", "nodes", 10);
    const id = await aProfile(own, "p");
    await aCluster(own, id, { name: "a", desiredCapacity: 6 });
    await aCluster(own, id, { name: "b", desiredCapacity: 3 });
    const to = (name: string, exactly: number) => resizeCluster(own, { cluster: { name }, capacity: { exactly }, strict: true });
    expect(refusalOf(await to("b", 5))).toEqual({ kind: "QuotaExceeded", quota: "nodes", limit: 10, used: 9, requested: 2 });
    valueOf(await to("b", 4));
    valueOf(await updateProject(world.context(), { project: { name: "few-nodes" }, quota: [{ quota: "nodes", limit: 2 }] }));
    valueOf(await to("a", 5));
    expect(refusalOf(await to("a", 6))).toMatchObject({ kind: "QuotaExceeded", used: 9, requested: 1 });
  });

  test("20 resizes at once near the limit → never more than it allows", async () => {
    const own = await limited("crowded", "nodes", 10);
    const id = await aProfile(own, "p");
    const clusters = await Promise.all(Array.from({ length: 4 }, (_, i) => aCluster(own, id, { name: `c${i}`, desiredCapacity: 0 })));
    await Promise.all(Array.from({ length: 20 }, (_, i) => scaleOutCluster(own, { cluster: { name: `c${i % 4}` } })));
    const wanted = await Promise.all(clusters.map(async ({ clusterId }) => (await clusterNow(own, clusterId)).desiredCapacity));
    expect(wanted.reduce((sum, n) => sum + n, 0)).toBe(10);
  });

  test("profiles and tokens have theirs; null lifts a quota", async () => {
    const own = await limited("small", "profiles", 1);
    await aProfile(own, "one");
    expect(refusalOf(await createProfile(own, { name: "two", type: "sim", spec: {} }))).toMatchObject({ kind: "QuotaExceeded", quota: "profiles" });
    const lift = [
      { quota: "profiles", limit: null },
      { quota: "tokens", limit: 0 },
    ];
    valueOf(await updateProject(world.context(), { project: { name: "small" }, quota: lift }));
    await aProfile(own, "two");
    expect(refusalOf(await createToken(own, { name: "t", role: "READER" }))).toMatchObject({ kind: "QuotaExceeded", quota: "tokens", limit: 0 });
  });
});
