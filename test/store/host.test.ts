import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { brandId, type HostId, type NodeId } from "../../src/core/ids.ts";
import { hostLane, laneOf } from "../../src/core/lane.ts";
import { type NodeStatus, nodeStatusCodec } from "../../src/core/node.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { listReachedMembers, listSilentHosts } from "../../src/store/host.ts";
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
