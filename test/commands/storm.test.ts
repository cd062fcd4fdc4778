/**
 * Everything at once: random commands against a few clusters while two workers carry them out. Whatever is refused or overtaken, in the end every
 * action has ended, every cluster has what it wants, and (in the teardown) the ledger folds to the tables and nobody logged an error.
 */
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cancelAction } from "../../src/commands/action.ts";
import { createCluster, deleteCluster, updateCluster } from "../../src/commands/cluster.ts";
import { checkCluster, recoverCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster, scaleInCluster, scaleOutCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createClusterNode, deleteClusterNode, updateClusterNode } from "../../src/commands/node.ts";
import { checkClusterNode, recoverClusterNode } from "../../src/commands/node-job.ts";
import { createProfile } from "../../src/commands/profile.ts";
import type { Refusal, Result } from "../../src/core/errors.ts";
import { encodeId, type NodeId } from "../../src/core/ids.ts";
import { startWorld, type World } from "../support/world.ts";
import { valueOf } from "./support.ts";

let world: World;
let context: CommandContext;
beforeAll(async () => {
  world = await startWorld({ workers: 2 });
  context = world.context("ADMIN");
  const spec = { createMs: { min: 0, max: 60 }, deleteMs: { min: 0, max: 60 } };
  valueOf(await createProfile(context, { name: "web", type: "sim", spec }));
});
afterAll(() => world.stop());

/** The same dice in every run: a failure comes again. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

async function anyNode(at: number): Promise<NodeId | undefined> {
  const { rows } = await sql<{ id: NodeId }>`select id from muster.node order by id offset ${at} limit 1`.execute(world.store.db);
  return rows[0]?.id;
}

/** One random command. What it may be refused with is judged by the caller. */
async function act(roll: (sides: number) => number): Promise<Result<unknown>> {
  const cluster = { name: `c${roll(4)}` };
  const nodeId = await anyNode(roll(20));
  const node = nodeId === undefined ? { index: { cluster, index: 1 } } : { id: encodeId("node", nodeId) };
  const commands: (() => Promise<Result<unknown>>)[] = [
    () => createCluster(context, { name: cluster.name, profile: { name: "web" }, desiredCapacity: roll(8), minSize: 0, timeoutSeconds: 600 }),
    () => resizeCluster(context, { cluster, capacity: { exactly: roll(12) }, strict: true }),
    () => resizeCluster(context, { cluster, capacity: { by: roll(5) - 2 }, strict: false }),
    () => scaleOutCluster(context, { cluster, count: 1 + roll(3) }),
    () => scaleInCluster(context, { cluster }),
    () => updateCluster(context, { cluster, metadata: { roll: roll(100) } }),
    () => checkCluster(context, { cluster }),
    () => recoverCluster(context, { cluster }),
    () => createClusterNode(context, { cluster }),
    () => createClusterNode(context, { profile: { name: "web" } }),
    () => updateClusterNode(context, { node, tainted: roll(2) === 0 }),
    () => checkClusterNode(context, { node }),
    () => recoverClusterNode(context, { node }),
    () => recoverClusterNode(context, { node, operation: "replace" }),
    () => deleteClusterNode(context, { node, reduceDesiredCapacity: roll(2) === 0, abandon: roll(8) === 0 }),
    async () => {
      const { rows } = await sql<{ id: string }>`select id from muster.action order by id desc offset ${roll(10)} limit 1`.execute(world.store.db);
      return cancelAction(context, { id: `action_${rows[0]?.id ?? ""}` });
    },
    async () => {
      const row = await world.store.db.selectFrom("muster.action").select("id").orderBy("id", "desc").offset(roll(10)).limit(1).executeTakeFirst();
      return cancelAction(context, { id: row === undefined ? "none" : encodeId("action", row.id) });
    },
  ];
  if (roll(25) === 0) return deleteCluster(context, { cluster, abandon: roll(3) === 0 });
  const command = commands[roll(commands.length)];
  if (command === undefined) throw new Error("the dice have too many sides");
  return command();
}

/** What may rightly be said when everybody changes everything at once. */
const expected: ReadonlySet<Refusal["kind"]> = new Set(["NotFound", "Conflict", "InvalidInput", "Unsupported"]);

test("400 random commands, ten at a time → every action ends, every cluster has what it wants", async () => {
  const roll = dice(20_261_121);
  let left = 400;
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      while (left-- > 0) {
        const result = await act(roll);
        if (!result.ok) expect(expected).toContain(result.refusal.kind);
      }
    }),
  );
  const open = await world.until("every action has ended", async () => {
    const rows = await world.store.db
      .selectFrom("muster.action")
      .select(["id", "kind", "node_id", "status"])
      .where("finished_at", "is", null)
      .execute();
    return rows.length === 0 ? rows : null;
  });
  expect(open).toEqual([]);
  await world.until("every cluster has settled", async () => {
    const { rows } = await sql<{ wants: number; has: number; settled: boolean }>`
      select c.desired_capacity as wants, (select count(*)::int from muster.node n where n.cluster_id = c.id and n.status = 3) as has,
             not c.deleting and s.observed_generation = c.generation as settled
        from muster.cluster c join muster.cluster_state s on s.cluster_id = c.id`.execute(world.store.db);
    return rows.every((row) => row.settled && row.wants === row.has);
  });
  const { rows } = await sql<{ tasks: bigint }>`select count(*) as tasks from muster.task`.execute(world.store.db);
  expect(rows[0]?.tasks).toBe(0n);
});
