import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { brandId, type ClusterId, type NodeId } from "../../src/core/ids.ts";
import { taskKinds } from "../../src/core/node.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { insertPlannedNodes, lockNodes } from "../../src/store/node-write.ts";
import { beginTasks, listDueTasks, nextTaskMs, setTasks } from "../../src/store/task.ts";
import { type Store, transaction } from "../../src/store/transaction.ts";
import { silentWake } from "../../src/store/wake.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

/** All in one lane, oldest first. */
const lane = 3;

describe("tasks that are due", () => {
  let database: TestDatabase;
  let store: Store;
  const ids: NodeId[] = [];
  beforeAll(async () => {
    database = await createTestDatabase();
    const runtime = realRuntime();
    store = { db: database.db, runtime, wake: silentWake, writer: 1 };
    const project = await database.db.selectFrom("muster.project").select("id").executeTakeFirstOrThrow();
    const clusterId: ClusterId = brandId("cluster", runtime.entropy.uuid());
    ids.push(...Array.from({ length: 200 }, () => brandId("node", runtime.entropy.uuid())));
    await transaction(store, async (tx) => {
      const common = {
        projectId: project.id,
        clusterId,
        clusterName: "c",
        profileId: brandId("profile", runtime.entropy.uuid()),
        lane,
        hostId: null,
        role: null,
        metadata: null,
        ownProfile: false,
        actionId: null,
      };
      await insertPlannedNodes(
        tx,
        await tx.now(),
        ids.map((id, index) => ({ ...common, id, index, name: `c-${index}` })),
      );
      // The last two are to be looked at, and they came last.
      const last = await lockNodes(tx.db, ids.slice(-2));
      await setTasks(
        tx.db,
        last.map((node) => ({ node, kind: "CHECK", dueAt: new Date(Date.now() - 1) })),
      );
    });
  });
  afterAll(() => database.drop());

  test("kinds that wait → are not read, and crowd nobody out", async () => {
    const others = taskKinds.filter((kind) => kind !== "CHECK" && kind !== "INSPECT");
    const due = await listDueTasks(store.db, [lane], [], 10, others);
    expect(due.map((task) => task.nodeId).sort()).toEqual(ids.slice(-2).sort());
  });

  test("in flight here → left out; other lanes → left out; never more than asked for", async () => {
    const first = await listDueTasks(store.db, [lane], [], 10);
    expect(first).toHaveLength(10);
    const next = await listDueTasks(
      store.db,
      [lane],
      first.map((task) => task.nodeId),
      10,
    );
    expect(next.filter((task) => first.some((other) => other.nodeId === task.nodeId))).toEqual([]);
    expect(await listDueTasks(store.db, [lane + 1], [], 10)).toEqual([]);
    expect(await nextTaskMs(store.db, [lane])).toBeLessThanOrEqual(0);
    expect(await nextTaskMs(store.db, [lane + 1])).toBeNull();
  });

  test("begun → due again only at its deadline; begun again after a takeover → no further attempt is counted; read before it changed → not begun", async () => {
    const [task] = await listDueTasks(store.db, [lane], [], 1);
    if (task === undefined) throw new Error("nothing is due");
    const begin = (epoch: bigint, read: typeof task, inMs: number): Promise<Set<NodeId>> =>
      transaction(store, async (tx) => beginTasks(tx, [{ task: read, epoch, deadline: new Date((await tx.now()).getTime() + inMs) }]));
    expect(await begin(5n, task, 0)).toEqual(new Set([task.nodeId]));
    expect(await begin(5n, task, 0)).toEqual(new Set());
    const again = (
      await listDueTasks(
        store.db,
        [lane],
        ids.filter((id) => id !== task.nodeId),
        1,
      )
    )[0];
    if (again === undefined) throw new Error("it is not due again");
    expect(again).toMatchObject({ attempt: 1, begunBy: 5n });
    expect(await begin(6n, again, 60_000)).toEqual(new Set([task.nodeId]));
    expect((await listDueTasks(store.db, [lane], [], 200)).some((other) => other.nodeId === task.nodeId)).toBe(false);
    const row = await store.db.selectFrom("muster.task").select(["attempt", "begun_by"]).where("node_id", "=", task.nodeId).executeTakeFirstOrThrow();
    expect({ attempt: row.attempt, begunBy: BigInt(row.begun_by) }).toEqual({ attempt: 1, begunBy: 6n });
  });
});
