import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HealthStatus, healthStatusCodec, healthStatuses } from "../../src/core/health.ts";
import { brandId, type ClusterId, type NodeId, type ProjectId } from "../../src/core/ids.ts";
import { laneOf } from "../../src/core/lane.ts";
import { type NodeStatus, nodeStatusCodec, nodeStatuses, taskKindCodes } from "../../src/core/node.ts";
import type { NodeRow } from "../../src/store/node.ts";
import { listNodes, listNodesOfClusters, type NodeFilter } from "../../src/store/node-list.ts";
import { isNotable } from "../../src/store/notable.ts";
import type { Page, PageRequest } from "../../src/store/page.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

interface Model {
  readonly id: NodeId;
  readonly projectId: ProjectId;
  readonly clusterId: ClusterId | null;
  readonly status: NodeStatus;
  readonly health: HealthStatus;
  readonly role: string | null;
  readonly zone: string | null;
  readonly metadata: { readonly tier: number } | null;
}

const uuid = (kind: number, n: number): string => `00000000-0000-7000-8${String(kind).padStart(3, "0")}-${String(n).padStart(12, "0")}`;
const project = (n: number): ProjectId => brandId("project", uuid(1, n));
const cluster = (n: number): ClusterId => brandId("cluster", uuid(2, n));
const node = (n: number): NodeId => brandId("node", uuid(3, n));

let database: TestDatabase;
const models: Model[] = [];

/** Two projects with three clusters each and orphans, 600 nodes in every status; beside them a cluster too large for one walk. */
beforeAll(async () => {
  // One connection: its own statistics are what the last test reads.
  database = await createTestDatabase({ poolSize: 1 });
  const { db } = database;
  await sql`insert into muster.profile (id, project_id, name, revision, type, spec, created_at, updated_at) values (${uuid(9, 1)}, ${project(1)}, 'p', 1, 'sim', '{}', now(), now())`.execute(
    db,
  );
  for (let c = 1; c <= 7; c++) {
    await sql`
      insert into muster.cluster (id, project_id, name, profile_id, desired_capacity, min_size, generation, node_name_format, timeout_seconds, created_at, updated_at)
      values (${cluster(c)}, ${project(c <= 3 || c === 7 ? 1 : 2)}, ${`c${c}`}, ${uuid(9, 1)}, 0, 0, 1, '', 1, now(), now())`.execute(db);
  }
  for (let n = 1; n <= 600; n++) {
    const of = n % 7;
    const status = nodeStatuses[(n * 7 + Math.floor(n / 10)) % nodeStatuses.length] ?? "ACTIVE";
    const health = healthStatuses[(n * 3 + Math.floor(n / 7)) % healthStatuses.length] ?? "HEALTHY";
    const plain = n % 3 === 0;
    models.push({
      id: node(n),
      projectId: project(of < 4 ? 1 : 2),
      clusterId: of === 0 ? null : cluster(of < 4 ? of : of),
      status: plain ? "ACTIVE" : status,
      health: plain ? "HEALTHY" : health,
      role: n % 5 === 0 ? "db" : n % 5 === 1 ? "web" : null,
      zone: n % 4 === 0 ? null : `z${n % 4}`,
      metadata: n % 2 === 0 ? null : { tier: n % 3 },
    });
  }
  await insert(models);
  const crowd = Array.from({ length: 12_000 }, (_, i): Model => {
    const n = 100_000 + i;
    return {
      id: node(n),
      projectId: project(1),
      clusterId: cluster(7),
      status: "ACTIVE",
      health: "HEALTHY",
      role: i === 11_999 ? "rare" : null,
      zone: null,
      metadata: null,
    };
  });
  await insert(crowd);
  await sql`analyze`.execute(db);
});
afterAll(() => database.drop());

async function insert(rows: readonly Model[]): Promise<void> {
  const column = <T>(pick: (row: Model) => T): T[] => rows.map(pick);
  await sql`
    insert into muster.node (id, project_id, cluster_id, profile_id, lane, name, status, health, role, placement, metadata, created_at, updated_at)
    select d.id, d.project_id, d.cluster_id, ${uuid(9, 1)}, d.lane, d.id::text, d.status, d.health, d.role, d.placement, d.metadata, now(), now()
      from unnest(${column((r) => r.id)}::uuid[], ${column((r) => r.projectId)}::uuid[], ${column((r) => r.clusterId)}::uuid[], ${column((r) => laneOf(r.id))}::int[],
                  ${column((r) => nodeStatusCodec.code(r.status))}::smallint[], ${column((r) => healthStatusCodec.code(r.health))}::smallint[], ${column((r) => r.role)}::text[],
                  ${column((r) => JSON.stringify({ zone: r.zone }))}::jsonb[], ${column((r) => (r.metadata === null ? null : JSON.stringify(r.metadata)))}::jsonb[])
        as d(id, project_id, cluster_id, lane, status, health, role, placement, metadata)`.execute(database.db);
  await sql`
    insert into muster.notable (node_id, project_id, cluster_id, status, health, since)
    select id, project_id, cluster_id, status, health, now() from muster.node n
     where n.id = any(${rows.filter((r) => isNotable(r.status, r.health)).map((r) => r.id)}::uuid[])`.execute(database.db);
  const tasks = rows.filter((r) => r.status === "PLANNED" || r.status === "CREATING" || r.status === "DELETING");
  await sql`
    insert into muster.task (node_id, project_id, cluster_id, lane, kind, due_at)
    select n.id, n.project_id, n.cluster_id, n.lane, case when n.status = ${nodeStatusCodec.code("DELETING")} then ${taskKindCodes.DELETE}::smallint else ${taskKindCodes.CREATE}::smallint end, now()
      from muster.node n where n.id = any(${tasks.map((r) => r.id)}::uuid[])`.execute(database.db);
}

function matches(row: Model, projectId: ProjectId, filter: NodeFilter): boolean {
  const among = <T>(list: readonly T[] | null | undefined, value: T | null): boolean => list == null || (value !== null && list.includes(value));
  return (
    row.projectId === projectId &&
    among(filter.ids, row.id) &&
    among(filter.clusters, row.clusterId) &&
    (filter.orphan == null || filter.orphan === (row.clusterId === null)) &&
    among(filter.status, row.status) &&
    among(filter.health, row.health) &&
    among(filter.roles, row.role) &&
    among(filter.zones, row.zone) &&
    (filter.metadata == null || row.metadata?.tier === filter.metadata["tier"])
  );
}

/** All rows of a list, page by page. */
async function walk(read: (page: PageRequest) => Promise<Page<NodeRow>>, limit: number, backward: boolean): Promise<NodeId[]> {
  const ids: NodeId[] = [];
  let at: { id: string } | null = null;
  for (;;) {
    const page: Page<NodeRow> = await read({ limit, backward, after: backward ? null : at, before: backward ? at : null });
    const own = page.rows.map((row) => row.id);
    if (backward) ids.unshift(...own);
    else ids.push(...own);
    const more = backward ? page.hasPrevious : page.hasNext;
    expect(own.length <= limit && (!more || own.length === limit || page.stoppedAt !== undefined)).toBe(true);
    if (!more) return ids;
    const edge = backward ? own[0] : own.at(-1);
    at = page.stoppedAt ?? (edge === undefined ? null : { id: edge });
  }
}

const some = <T>(values: readonly T[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
const aFilter: fc.Arbitrary<NodeFilter> = fc.record(
  {
    ids: some(Array.from({ length: 40 }, (_, i) => node(i * 13))),
    clusters: some([1, 2, 3, 4, 5, 99].map(cluster)),
    orphan: fc.boolean(),
    status: some(nodeStatuses),
    health: some(healthStatuses),
    roles: some(["db", "web", "none"]),
    zones: some(["z1", "z2"]),
    metadata: fc.constantFrom({ tier: 0 }, { tier: 1 }),
  },
  { requiredKeys: [] },
);

describe("listNodes", () => {
  test("any filter, any page size, from either end → exactly what a filter in memory gives, in order", async () => {
    await fc.assert(
      fc.asyncProperty(aFilter, fc.constantFrom(2, 1), fc.integer({ min: 20, max: 60 }), fc.boolean(), async (filter, owner, limit, backward) => {
        // The large cluster is another test's.
        const asked = filter.clusters == null && filter.orphan !== true && owner === 1 ? { ...filter, clusters: [1, 2, 3].map(cluster) } : filter;
        const expected = models.filter((row) => matches(row, project(owner), asked)).map((row) => row.id);
        expect(await walk((page) => listNodes(database.db, project(owner), asked, page), limit, backward)).toEqual(expected);
      }),
      { numRuns: 120 },
    );
  });

  test("clusters asked for together → each has the page it would have alone; another project's none", async () => {
    const ids = [1, 2, 3, 4].map(cluster);
    await fc.assert(
      fc.asyncProperty(aFilter, fc.integer({ min: 0, max: 15 }), fc.boolean(), async (filter, limit, backward) => {
        const page = { limit, backward, after: null, before: null };
        const pages = await listNodesOfClusters(database.db, project(1), ids, filter, page);
        for (const id of ids) {
          const all = models.filter((row) => row.clusterId === id && matches(row, project(1), filter)).map((row) => row.id);
          const shown = limit === 0 ? [] : backward ? all.slice(-limit) : all.slice(0, limit);
          const found = pages.get(id);
          expect(found?.rows.map((row) => row.id)).toEqual(shown);
          expect(backward ? found?.hasPrevious : found?.hasNext).toBe(all.length > limit);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("one in 12,000 → a short page that says where the walk stopped, then the one", async () => {
    const filter = { clusters: [cluster(7)], roles: ["rare"] };
    const page = { limit: 10, backward: false, after: null, before: null };
    const first = await listNodes(database.db, project(1), filter, page);
    expect(first).toMatchObject({ rows: [], hasNext: true, stoppedAt: { id: node(100_000 + 9_999) } });
    const second = await listNodes(database.db, project(1), filter, { ...page, after: first.stoppedAt ?? null });
    expect(second.rows.map((row) => row.id)).toEqual([node(111_999)]);
    expect(second).toMatchObject({ hasNext: false });
    expect(await walk((request) => listNodes(database.db, project(1), { roles: ["rare"] }, request), 10, true)).toEqual([node(111_999)]);
  });

  test("a walk that finds enough early → reads no further", async () => {
    const page = { limit: 10, backward: false, after: null, before: null };
    const { rows } = await explain(() => listNodesOfClusters(database.db, project(1), [cluster(7)], { status: ["ACTIVE"] }, page));
    expect(rows).toBeLessThan(100);
  });
});

/** Rows that scans of the node table gave while `act` ran, by PostgreSQL's own statistics of this backend. */
async function explain(act: () => Promise<unknown>): Promise<{ rows: number }> {
  const read = async (): Promise<number> => {
    await sql`select pg_stat_force_next_flush()`.execute(database.db);
    const { rows } = await sql<{
      n: bigint;
    }>`select coalesce(idx_tup_fetch, 0) + seq_tup_read as n from pg_stat_user_tables where schemaname = 'muster' and relname = 'node'`.execute(
      database.db,
    );
    return Number(rows[0]?.n ?? 0);
  };
  const before = await read();
  await act();
  const after = await read();
  return { rows: after - before };
}
