import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { brandId, type HostId, type NodeId } from "../../src/core/ids.ts";
import { hostLane, laneOf } from "../../src/core/lane.ts";
import { type NodeStatus, nodeStatusCodec } from "../../src/core/node.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { listReachedMembers, listSilentHosts, nextSilenceMs } from "../../src/store/host.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

const { entropy } = realRuntime();
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

async function host(name: string, silentSeconds: number): Promise<{ readonly id: HostId; readonly number: number }> {
  const id = brandId("host", entropy.uuid());
  const { rows } = await sql<{ number: number }>`
    insert into muster.host (id, name, incarnation, seen_at) values (${id}, ${name}, 'x', clock_timestamp() - make_interval(secs => ${silentSeconds}))
    returning number`.execute(database.db);
  return { id, number: rows[0]?.number ?? -1 };
}

async function member(at: { readonly id: HostId; readonly number: number } | null, status: NodeStatus): Promise<NodeId> {
  const id = brandId("node", entropy.uuid());
  const lane = at === null ? laneOf(id) : hostLane(at.number, id);
  await sql`
    insert into muster.node (id, project_id, profile_id, lane, host_id, name, status, health, created_at, updated_at, started_at)
    values (${id}, ${entropy.uuid()}, ${entropy.uuid()}, ${lane}, ${at?.id ?? null}, 'n', ${nodeStatusCodec.code(status)}, 3, now(), now(), now())`.execute(
    database.db,
  );
  return id;
}

test("a host that falls silent among hundreds that went for good → it alone is found, until its members are known to be lost", async () => {
  for (let i = 0; i < 120; i++) {
    const gone = await host(`gone-${i}`, 86_400);
    if (i % 10 === 0) await member(gone, "UNKNOWN");
  }
  const silent = await host("silent", 60);
  const heard = await host("heard", 0);
  const lost = await member(silent, "ACTIVE");
  await member(silent, "UNKNOWN");
  await member(heard, "ACTIVE");
  await member(null, "ACTIVE");
  expect(await listSilentHosts(database.db, 5_000)).toMatchObject([{ id: silent.id, number: silent.number, name: "silent" }]);
  expect(await listReachedMembers(database.db, silent, 10)).toEqual([lost]);
  await sql`update muster.node set status = ${nodeStatusCodec.code("UNKNOWN")} where id = ${lost}`.execute(database.db);
  expect(await listSilentHosts(database.db, 5_000)).toEqual([]);
});

test("when a host may have fallen silent next → as long as the one that was heard longest ago has left; at once while a silent one has a worker; never among those that went for good", async () => {
  await sql`delete from muster.host`.execute(database.db);
  expect(await nextSilenceMs(database.db, 60_000)).toBeNull();
  const gone = await host("gone", 86_400);
  expect(await nextSilenceMs(database.db, 60_000)).toBeNull();
  await host("heard", 0);
  await host("heard-before", 2);
  const left = (await nextSilenceMs(database.db, 60_000)) ?? Number.NaN;
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(58_000);
  await sql`
    insert into muster.worker (id, number, host_id, pid, version, application_name, home, started_at, heartbeat_at)
    values (${entropy.uuid()}, 1, ${gone.id}, 1, 'x', 'x', 'x', now(), now())`.execute(database.db);
  expect(await nextSilenceMs(database.db, 60_000)).toBe(0);
});
