import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ClusterStatus, clusterStatusCodec, clusterStatuses } from "../../src/core/cluster.ts";
import { brandId, type ClusterId, type ProfileId, type ProjectId } from "../../src/core/ids.ts";
import {
  type ClusterFilter,
  type ClusterOrder,
  type ClusterRow,
  clusterKeyset,
  getClustersByIds,
  listClusters,
  listClustersOfProfiles,
} from "../../src/store/cluster.ts";
import type { Keyset, Page } from "../../src/store/page.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

interface Model {
  readonly id: ClusterId;
  readonly projectId: ProjectId;
  readonly profileId: ProfileId;
  readonly name: string;
  readonly status: ClusterStatus;
  readonly deleting: boolean;
  readonly converged: boolean;
  readonly tier: number;
  readonly updatedAt: Date;
}

const uuid = (kind: number, n: number): string => `00000000-0000-7000-8${String(kind).padStart(3, "0")}-${String(n).padStart(12, "0")}`;
const project = (n: number): ProjectId => brandId("project", uuid(1, n));
const cluster = (n: number): ClusterId => brandId("cluster", uuid(2, n));
const profile = (n: number): ProfileId => brandId("profile", uuid(3, n));

let database: TestDatabase;
const statuses = clusterStatuses.filter((status) => status !== "DELETING");
const models: Model[] = Array.from(
  { length: 200 },
  (_, i): Model => ({
    id: cluster(i),
    projectId: project(i % 4 === 0 ? 2 : 1),
    profileId: profile(i % 3),
    name: `${["Web", "db", "queue"][(i * 5) % 3]}-${(i * 37) % 200}`,
    status: statuses[(i * 3) % statuses.length] ?? "ACTIVE",
    deleting: i % 17 === 0,
    converged: i % 2 === 0,
    tier: i % 4,
    updatedAt: new Date(Date.UTC(2026, 0, 1) + ((i * 53) % 50) * 1_000 + 7),
  }),
);

beforeAll(async () => {
  database = await createTestDatabase();
  const { db } = database;
  for (let n = 0; n < 3; n++) {
    await sql`insert into muster.profile (id, project_id, name, revision, type, spec, created_at, updated_at) values (${profile(n)}, ${project(1)}, 'p', ${n + 1}, 'sim', '{}', now(), now())`.execute(
      db,
    );
  }
  for (const row of models) {
    const conditions = JSON.stringify([{ type: "CONVERGED", status: row.converged ? "TRUE" : "FALSE" }]);
    await sql`
      with c as (insert into muster.cluster (id, project_id, name, profile_id, desired_capacity, min_size, generation, deleting, node_name_format, timeout_seconds, metadata, created_at, updated_at)
        values (${row.id}, ${row.projectId}, ${row.name}, ${row.profileId}, 0, 0, 2, ${row.deleting}, '', 1, ${JSON.stringify({ tier: row.tier, more: { a: 1 } })}::jsonb, '2026-01-01', '2026-01-01'))
      insert into muster.cluster_state (cluster_id, project_id, status, observed_generation, conditions, updated_at)
      values (${row.id}, ${row.projectId}, ${clusterStatusCodec.code(row.status)}, 2, ${conditions}::jsonb, ${row.updatedAt}::timestamptz)`.execute(
      db,
    );
  }
  await sql`analyze`.execute(db);
});
afterAll(() => database.drop());

const shown = (row: Model): ClusterStatus => (row.deleting ? "DELETING" : row.status);

function matches(row: Model, projectId: ProjectId, filter: ClusterFilter): boolean {
  const among = <T>(list: readonly T[] | null | undefined, value: T): boolean => list == null || list.includes(value);
  const wanted = filter.profile;
  return (
    row.projectId === projectId &&
    among(filter.ids, row.id) &&
    among(filter.status, shown(row)) &&
    (filter.nameContains == null || row.name.toLowerCase().includes(filter.nameContains.toLowerCase())) &&
    (wanted == null ||
      ("id" in wanted ? row.profileId === wanted.id : row.profileId === profile(2) && projectId === project(1) && wanted.name === "p")) &&
    (filter.converged == null || filter.converged === (row.converged && !row.deleting)) &&
    (filter.metadata == null || row.tier === filter.metadata["tier"]) &&
    (filter.updatedSince == null || row.updatedAt >= filter.updatedSince)
  );
}

const some = <T>(values: readonly T[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
const aFilter: fc.Arbitrary<ClusterFilter> = fc.record(
  {
    ids: some(Array.from({ length: 60 }, (_, i) => cluster(i))),
    nameContains: fc.constantFrom("web", "WEB-1", "-9", "%", "_"),
    status: some(clusterStatuses),
    profile: fc.constantFrom({ id: profile(1) }, { name: "p" }, { name: "none" }),
    converged: fc.boolean(),
    metadata: fc.constantFrom({ tier: 1 }, { tier: 2, more: {} }),
    updatedSince: fc.constantFrom(new Date(Date.UTC(2026, 0, 1) + 20_007)),
  },
  { requiredKeys: [] },
);
const anOrder: fc.Arbitrary<ClusterOrder> = fc.record({
  field: fc.constantFrom("CREATED_AT", "NAME", "STATUS", "UPDATED_AT"),
  descending: fc.boolean(),
});

describe("listClusters", () => {
  test("any filter, any order, any page size, from either end → every match once, in one order", async () => {
    await fc.assert(
      fc.asyncProperty(
        aFilter,
        anOrder,
        fc.constantFrom(1, 2),
        fc.integer({ min: 7, max: 50 }),
        fc.boolean(),
        async (filter, order, owner, limit, backward) => {
          const expected = models.filter((row) => matches(row, project(owner), filter));
          const found: ClusterRow[] = [];
          let at: Keyset | null = null;
          for (;;) {
            const page: Page<ClusterRow> = await listClusters(database.db, project(owner), filter, order, {
              limit,
              backward,
              after: backward ? null : at,
              before: backward ? at : null,
            });
            if (backward) found.unshift(...page.rows);
            else found.push(...page.rows);
            const edge = backward ? page.rows[0] : page.rows.at(-1);
            if (!(backward ? page.hasPrevious : page.hasNext) || edge === undefined) break;
            at = clusterKeyset(edge, order.field);
          }
          expect(found.map((row) => row.id).sort()).toEqual(expected.map((row) => row.id).sort());
          const key = (row: ClusterRow): string | number => clusterKeyset(row, order.field).value ?? row.id;
          if (order.field === "NAME") return;
          for (const [i, row] of found.entries()) {
            const former = found[i - 1];
            if (former === undefined) continue;
            const [a, b] = order.descending ? [row, former] : [former, row];
            expect(key(a) < key(b) || (key(a) === key(b) && a.id < b.id)).toBe(true);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test("by name → PostgreSQL's own order, the other way round when asked", async () => {
    const page = { limit: 500, backward: false, after: null, before: null };
    const up = await listClusters(database.db, project(1), {}, { field: "NAME", descending: false }, page);
    const down = await listClusters(database.db, project(1), {}, { field: "NAME", descending: true }, page);
    expect(down.rows.map((row) => row.name)).toEqual(up.rows.map((row) => row.name).reverse());
  });

  test("one that is wanted gone → DELETING, whatever the planner wrote last; another project's → absent", async () => {
    expect((await getClustersByIds(database.db, project(1), [cluster(17)]))[0]?.status).toBe("DELETING");
    expect(await getClustersByIds(database.db, project(1), [cluster(4)])).toEqual([]);
  });

  test("of many profiles at once → each has its page", async () => {
    const pages = await listClustersOfProfiles(database.db, project(1), [profile(0), profile(1), brandId("profile", uuid(3, 99))], {
      limit: 5,
      backward: false,
      after: null,
      before: null,
    });
    for (const [id, page] of pages) {
      const all = models.filter((row) => row.profileId === id && row.projectId === project(1)).map((row) => row.id);
      expect(page.rows.map((row) => row.id)).toEqual(all.slice(0, 5));
      expect(page.hasNext).toBe(all.length > 5);
    }
  });
});
