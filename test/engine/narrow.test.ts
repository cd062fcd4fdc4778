/** The database as it is met: hardly any connections, and a stranger who leaves a transaction open. */
import { sql } from "kysely";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import { openDatabase } from "../../src/store/database.ts";
import { ConnectionLost } from "../../src/store/failure.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { startWorld } from "../support/world.ts";

describe("a pool of one connection for the API's commands and one for the worker", () => {
  test("40 mutations and 40 reads at once, 100 members made and taken away → they queue, nobody waits for himself", async () => {
    const world = await startWorld({ workers: 1, poolSize: 1 });
    const { db } = world.database;
    const { id, clusterId } = await simCluster(world, { name: "narrow", desiredCapacity: 60 });
    const grow = (): ReturnType<typeof resizeCluster> => resizeCluster(world.context(), { cluster: { id }, capacity: { by: 1 }, strict: false });
    const look = (): Promise<unknown> => clusterFacts(db, clusterId);
    const [grown] = await Promise.all([Promise.all(Array.from({ length: 40 }, grow)), Promise.all(Array.from({ length: 40 }, look))]);
    for (const result of grown) must(result);
    await world.until("100 members", async () => (await clusterFacts(db, clusterId))?.active === 100);
    must(await deleteCluster(world.context(), { cluster: { id }, abandon: false }));
    await world.until("none", async () => (await clusterFacts(db, clusterId)) === null);
    // A connection that was waited for in vain is lost in the eyes of whoever waited.
    expect(world.log.lines.filter(({ fields }) => fields["error"] instanceof ConnectionLost)).toEqual([]);
    await world.stop();
  });

  test("every connection is taken for longer than one may wait → a clear failure within 6 s; when one is free again, all is well", async () => {
    const world = await startWorld();
    const small = openDatabase({ url: world.database.url, size: 1, applicationName: "small" });
    const asked = sql`select 1 as one`;
    await small.connection().execute(async () => {
      expect(await asked.execute(small).catch((error: unknown) => error)).toBeInstanceOf(ConnectionLost);
    });
    expect((await asked.execute(small)).rows).toEqual([{ one: 1 }]);
    await small.destroy();
    await world.stop();
  });
});

test("a stranger's transaction stays open, with a snapshot and a number of its own → clusters grow, shrink and are told of as ever", async () => {
  const world = await startWorld({ workers: 2 });
  const stranger = new pg.Client({ connectionString: world.database.superuserUrl });
  await stranger.connect();
  await stranger.query("begin isolation level repeatable read; select txid_current(); select count(*) from pg_class");
  const { id, clusterId } = await simCluster(world, { name: "unhurried", desiredCapacity: 30 });
  const at = (size: number): Promise<unknown> =>
    world.until(`${size} members`, async () => {
      const facts = await clusterFacts(world.database.db, clusterId);
      return facts?.active === size && facts.nodes === size && facts.observedGeneration === facts.generation;
    });
  await at(30);
  for (const size of [10, 40]) {
    must(await resizeCluster(world.context(), { cluster: { id }, capacity: { exactly: size }, strict: false }));
    await at(size);
  }
  // Every event has its place in the ledger: nobody waited for the stranger.
  await world.until("all positions", async () => {
    const { rows } = await sql<{ waiting: number }>`select count(*)::int as waiting from muster.marker`.execute(world.database.db);
    return rows[0]?.waiting === 0;
  });
  await stranger.query("rollback");
  await stranger.end();
  await world.stop();
});
