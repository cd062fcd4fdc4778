/**
 * PostgreSQL without room. That it refuses with 53100 is its own; a trigger makes it do so here, for every event and so for every transaction that changes
 * anything, whoever runs the tests and wherever.
 */
import { sql } from "kysely";
import pg from "pg";
import { expect, test } from "vitest";
import { operationalProblem } from "../../src/api/problem.ts";
import { resizeCluster } from "../../src/commands/cluster-size.ts";
import { poolUse } from "../../src/store/database.ts";
import { isFull } from "../../src/store/failure.ts";
import { clusterFacts, must, simCluster } from "../support/cluster.ts";
import { startProvider } from "../support/provider.ts";
import { startWorld } from "../support/world.ts";

test("full while members are being made → mutations say so and do nothing, nothing made is forgotten or made again; room again → all goes on", async () => {
  const provider = await startProvider();
  const world = await startWorld({ workers: 1, provider: provider.provider });
  const { db } = world.database;
  const admin = new pg.Client({ connectionString: world.database.superuserUrl });
  await admin.connect();
  await admin.query(`
    create table public.disk (full_since timestamptz);
    grant select on public.disk to muster;
    create function public.refuse_when_full() returns trigger language plpgsql as $$
      begin
        if exists (select from public.disk) then raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end if;
        return null;
      end $$;
    create trigger full_disk before insert on muster.event for each statement execute function public.refuse_when_full()`);
  const { id, clusterId } = await simCluster(world, { name: "full", desiredCapacity: 20, spec: { createMs: 300 } });
  await world.until("all are being made", async () => (await provider.books()).created === 20);
  await admin.query("insert into public.disk values (now())");

  const resize = (): ReturnType<typeof resizeCluster> =>
    resizeCluster(world.context(), { cluster: { id }, capacity: { by: 5 }, strict: false, idempotencyKey: "five more" });
  const failure: unknown = await resize().catch((error: unknown) => error);
  expect(isFull(failure)).toBe(true);
  expect(operationalProblem(failure)?.extensions).toEqual({ code: "UNAVAILABLE", reason: "DATABASE_FULL" });
  expect(poolUse(db).full).toBeGreaterThan(0);
  expect(await clusterFacts(db, clusterId)).toMatchObject({ generation: 1, desiredCapacity: 20 });
  // The outcomes have come, and cannot be written.
  await world.until("outcomes wait", async () => {
    const { rows } = await admin.query("select from pg_stat_database where datname = current_database() and xact_rollback > 20");
    return rows.length > 0;
  });
  expect((await clusterFacts(db, clusterId))?.active).toBe(0);

  await admin.query("delete from public.disk");
  must(await resize());
  must(await resize());
  await world.until("25 members", async () => {
    const facts = await clusterFacts(db, clusterId);
    return facts?.active === 25 && facts.nodes === 25 && facts.observedGeneration === facts.generation;
  });
  const books = await provider.books();
  expect([books.created, books.doubles, books.alive.length]).toEqual([25, [], 25]);
  expect((await sql`select from muster.action where status_reason is not null`.execute(db)).rows).toEqual([]);
  await admin.end();
  await world.stop();
  await provider.stop();
});
