/** Exact sizes wished for one cluster at once: written together, each as if it had come alone. */
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import type { ResizeClusterInput } from "../../src/commands/input.ts";
import { updateProject } from "../../src/commands/project.ts";
import type { ActionId, ClusterId, ProfileId } from "../../src/core/ids.ts";
import { startWorld, type World } from "../support/world.ts";
import { readEventsOf } from "./history.ts";
import { aCluster, actionNow, aProfile, clusterNow, refusalOf, valueOf } from "./support.ts";

let world: World;
let context: CommandContext;
let profileId: ProfileId;
beforeAll(async () => {
  world = await startWorld();
  context = world.context("MEMBER");
  profileId = await aProfile(context, "web");
});
afterAll(() => world.stop());

const resize = (name: string, exactly: number, more: Partial<ResizeClusterInput> = {}) =>
  resizeCluster(context, { cluster: { name }, capacity: { exactly }, strict: true, ...more });

/** Transactions that wrote events about it. */
async function batchesOf(clusterId: ClusterId): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(distinct batch)::int as n from muster.event where cluster_id = ${clusterId}`.execute(
    world.store.db,
  );
  return rows[0]?.n ?? 0;
}

describe("many exact sizes at once", () => {
  test("forty → each has its generation and its action, each superseded by the next, in few transactions; the last one is wanted", async () => {
    const made = await aCluster(context, profileId, { name: "forty", desiredCapacity: 5 });
    const before = await batchesOf(made.clusterId);
    const sizes = Array.from({ length: 40 }, (_, i) => 10 + i);
    const actions = (await Promise.all(sizes.map((size) => resize("forty", size)))).map((result) => valueOf(result).actionId);
    const last = actions.at(-1);
    expect(await clusterNow(context, made.clusterId)).toMatchObject({ desiredCapacity: 49, generation: 41, sizeActionId: last });
    expect(await actionNow(context, made.actionId)).toMatchObject({ status: "SUPERSEDED", supersededBy: actions[0] });
    for (const [i, id] of actions.entries()) {
      const wished = await actionNow(context, id);
      expect(wished.generation).toBe(2 + i);
      expect(wished).toMatchObject(id === last ? { status: "PENDING", supersededBy: null } : { status: "SUPERSEDED", supersededBy: actions[i + 1] });
      expect(wished.inputs).toMatchObject({ capacity: { exactly: 10 + i } });
    }
    expect((await batchesOf(made.clusterId)) - before).toBe(2);
  });

  test("together or one after the other → the same events about each action, and the same progress", async () => {
    const sizes = [7, 9, 9, 3, 3, 12];
    const histories: unknown[] = [];
    for (const name of ["together", "apart"]) {
      const { clusterId } = await aCluster(context, profileId, { name, desiredCapacity: 3 });
      const order: ActionId[] = [];
      if (name === "together") order.push(...(await Promise.all(sizes.map((size) => resize(name, size)))).map((result) => valueOf(result).actionId));
      else for (const size of sizes) order.push(valueOf(await resize(name, size)).actionId);
      const place = (id: ActionId | null): number => (id === null ? -1 : order.indexOf(id));
      const events = await readEventsOf(context, { clusterId });
      const rows = await Promise.all(order.map((id) => actionNow(context, id)));
      histories.push({
        events: order.map((id) =>
          events
            .filter((event) => event.action_id === id)
            .map(({ type, data: { supersededBy, ...data } }) => ({ type, data, superseded: supersededBy != null })),
        ),
        rows: rows.map(({ status, progress, supersededBy }) => ({ status, progress, by: place(supersededBy) })),
        cluster: (({ desiredCapacity, generation }) => ({ desiredCapacity, generation }))(await clusterNow(context, clusterId)),
      });
    }
    expect(histories[0]).toEqual(histories[1]);
  });

  test("some are refused → they say why and leave nothing, their keys included; the others are accepted", async () => {
    const { clusterId } = await aCluster(context, profileId, { name: "some", desiredCapacity: 5, maxSize: 20 });
    const asked = [
      resize("some", 6),
      resize("some", 7),
      resize("some", 21, { idempotencyKey: "too-many" }),
      resize("some", 8, { ifGeneration: 1 }),
      resize("some", 9),
    ];
    const [, , over, stale, last] = await Promise.all(asked);
    if (over === undefined || stale === undefined || last === undefined) throw new Error("one gave no answer");
    expect(refusalOf(over)).toMatchObject({ kind: "InvalidInput" });
    expect(refusalOf(stale)).toMatchObject({ kind: "Conflict", reason: "GENERATION_CHANGED", generation: 3 });
    expect(await clusterNow(context, clusterId)).toMatchObject({ desiredCapacity: 9, generation: 4, sizeActionId: valueOf(last).actionId });
    valueOf(await resize("some", 10, { idempotencyKey: "too-many" }));
  });

  test("one key for several calls → one of them is written, all are answered alike; for something else it is refused", async () => {
    const { clusterId } = await aCluster(context, profileId, { name: "keyed", desiredCapacity: 5 });
    const first = resize("keyed", 6);
    const keyed = (size: number, idempotencyKey: string) => resize("keyed", size, { idempotencyKey });
    const calls = [keyed(7, "seven"), keyed(7, "seven"), keyed(8, "eight"), keyed(9, "eight"), keyed(7, "seven")];
    const [a, b, c, d, e] = await Promise.all(calls);
    valueOf(await first);
    if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined) throw new Error("one gave no answer");
    expect(valueOf(b)).toEqual(valueOf(a));
    expect(valueOf(e)).toEqual(valueOf(a));
    expect(refusalOf(d)).toMatchObject({ kind: "Conflict", reason: "KEY_REUSED" });
    expect(valueOf(await keyed(8, "eight"))).toEqual(valueOf(c));
    expect((await clusterNow(context, clusterId)).generation).toBe(4);
  });

  test("near the quota → each is told by itself; of a cluster that is going, or is not there, too", async () => {
    const { clusterId } = await aCluster(context, profileId, { name: "near", desiredCapacity: 1 });
    const { rows } = await sql<{ wanted: number }>`select sum(desired_capacity)::int as wanted from muster.cluster where not deleting`.execute(
      world.store.db,
    );
    const limit = (rows[0]?.wanted ?? 0) + 10;
    const quota = (nodes: number | null) =>
      updateProject(world.context(), { project: { name: "default" }, quota: [{ quota: "nodes", limit: nodes }] });
    valueOf(await quota(limit));
    const answers = await Promise.all([resize("near", 2), resize("near", 5), resize("near", 500), resize("near", 9)]);
    expect(answers.map((answer) => (answer.ok ? "accepted" : answer.refusal.kind))).toEqual(["accepted", "accepted", "QuotaExceeded", "accepted"]);
    valueOf(await quota(null));
    expect((await clusterNow(context, clusterId)).generation).toBe(4);
    valueOf(await deleteCluster(context, { cluster: { name: "near" }, abandon: false }));
    for (const answer of await Promise.all([resize("near", 2), resize("near", 3), resize("near", 4)])) {
      expect(refusalOf(answer)).toMatchObject({ kind: "Conflict", reason: "DELETING" });
    }
    for (const answer of await Promise.all([resize("nobody", 2), resize("nobody", 3), resize("nobody", 4)]))
      expect(refusalOf(answer).kind).toBe("NotFound");
  });
});
