/** How many statements a mutation sends: a bounded number, the same for a thousand members and a hundred thousand. */
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cancelAction } from "../../src/commands/action.ts";
import { createCluster, deleteCluster, updateCluster } from "../../src/commands/cluster.ts";
import { checkCluster, recoverCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster, scaleInCluster, scaleOutCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createClusterNode, deleteClusterNode, updateClusterNode } from "../../src/commands/node.ts";
import { updateProject } from "../../src/commands/project.ts";
import { type ClusterId, encodeId, type ProfileId } from "../../src/core/ids.ts";
import type { Tables } from "../../src/store/tables.ts";
import { startWorld, type World } from "../support/world.ts";
import { aCluster, aProfile, valueOf } from "./support.ts";

/** Beyond this a mutation could not keep its 20 ms with the database a room away. */
const bound = 24;

let world: World;
let context: CommandContext;
let profileId: ProfileId;
let sent: string[] = [];
let noting: Kysely<Tables>;
beforeAll(async () => {
  world = await startWorld();
  const pool = new pg.Pool({ connectionString: world.database.url, max: 2, types: { getTypeParser: typeParser } });
  noting = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), log: (event) => void sent.push(event.query.sql) });
  const plain = world.context("ADMIN");
  context = { ...plain, store: { ...plain.store, db: noting } };
  profileId = await aProfile(plain, "web");
  // Without a quota nobody has to wait for the project to itself, which would begin once more.
  valueOf(await updateProject(world.context(), { project: { name: "default" }, quota: [{ quota: "nodes", limit: null }] }));
});
afterAll(async () => {
  await noting.destroy();
  await world.stop();
});

function typeParser(oid: number, format?: string): unknown {
  if (oid === 20) return (text: string) => BigInt(text);
  return pg.types.getTypeParser(oid, format === "binary" ? "binary" : "text");
}

async function countOf(act: () => Promise<unknown>): Promise<number> {
  sent = [];
  await act();
  return sent.length;
}

async function pretend(clusterId: ClusterId, members: number): Promise<void> {
  await sql`insert into muster.cluster_count (cluster_id, writer, active, healthy, created_total) values (${clusterId}, 77, ${members}, ${members}, ${members})`.execute(
    world.store.db,
  );
}

async function countsAt(members: number): Promise<Record<string, number>> {
  const name = `of-${members}`;
  const cluster = { name };
  const counts: Record<string, number> = {};
  const input = { name, profile: { name: "web" }, desiredCapacity: members, minSize: 0, timeoutSeconds: 60, idempotencyKey: name };
  counts["createCluster"] = await countOf(async () => valueOf(await createCluster(context, input)));
  counts["createCluster, again"] = await countOf(async () => valueOf(await createCluster(context, input)));
  const { clusterId } = valueOf(await createCluster(context, input));
  await pretend(clusterId, members);
  counts["resizeCluster"] = await countOf(async () =>
    valueOf(await resizeCluster(context, { cluster, capacity: { exactly: members + 1 }, strict: true, idempotencyKey: `${name}-r` })),
  );
  counts["scaleOutCluster"] = await countOf(async () => valueOf(await scaleOutCluster(context, { cluster })));
  counts["scaleInCluster"] = await countOf(async () => valueOf(await scaleInCluster(context, { cluster })));
  counts["updateCluster"] = await countOf(async () => valueOf(await updateCluster(context, { cluster, metadata: { members } })));
  counts["updateCluster, profile"] = await countOf(async () => valueOf(await updateCluster(context, { cluster, profile: { name: "web" } })));
  counts["checkCluster"] = await countOf(async () => valueOf(await checkCluster(context, { cluster })));
  counts["recoverCluster"] = await countOf(async () => valueOf(await recoverCluster(context, { cluster })));
  const { nodeId } = valueOf(await createClusterNode(context, { cluster, name: "first" }));
  counts["createClusterNode"] = await countOf(async () => valueOf(await createClusterNode(context, { cluster })));
  const node = { id: encodeId("node", nodeId) };
  counts["updateClusterNode"] = await countOf(async () => valueOf(await updateClusterNode(context, { node, role: "a" })));
  counts["deleteClusterNode"] = await countOf(async () =>
    valueOf(await deleteClusterNode(context, { node, reduceDesiredCapacity: true, abandon: false })),
  );
  const last = valueOf(await resizeCluster(context, { cluster, capacity: { exactly: members + 9 }, strict: true }));
  counts["cancelAction"] = await countOf(async () => valueOf(await cancelAction(context, { id: encodeId("action", last.actionId) })));
  counts["deleteCluster"] = await countOf(async () => valueOf(await deleteCluster(context, { cluster, abandon: false })));
  // What was pretended must not outlive the test: counts are compared with nodes at its end.
  await sql`delete from muster.cluster_count where writer = 77`.execute(world.store.db);
  return counts;
}

test("every mutation: 1,000 members and 100,000 → as many statements, and few", async () => {
  const few = await countsAt(1_000);
  expect(await countsAt(100_000)).toEqual(few);
  for (const [mutation, count] of Object.entries(few)) expect({ mutation, within: count <= bound, count }).toEqual({ mutation, within: true, count });
  expect(few["createCluster, again"]).toBeLessThan(6);
  // A hundred clusters beside it change nothing either.
  for (let i = 0; i < 100; i++) await aCluster(world.context(), profileId, { name: `beside-${i}`, desiredCapacity: 1 });
  expect(await countsAt(1_001)).toEqual(few);
});
