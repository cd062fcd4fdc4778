import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ActionCause,
  type ActionKind,
  type ActionStatus,
  actionCauseCodec,
  actionCauses,
  actionKindCodec,
  actionKinds,
  actionStatusCodec,
  actionStatuses,
  isFinished,
} from "../../src/core/action.ts";
import { type ActionId, brandId, type ClusterId, type NodeId, type ProjectId } from "../../src/core/ids.ts";
import { type ActionFilter, type ActionRow, getActionsByIds, listActions, listActionsOf, liveActionsOf } from "../../src/store/action.ts";
import type { Page, PageRequest } from "../../src/store/page.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

interface Model {
  readonly id: ActionId;
  readonly projectId: ProjectId;
  readonly clusterId: ClusterId;
  readonly nodeId: NodeId | null;
  readonly kind: ActionKind;
  readonly status: ActionStatus;
  readonly cause: ActionCause;
}

const uuid = (kind: number, n: number): string => `00000000-0000-7000-8${String(kind).padStart(3, "0")}-${String(n).padStart(12, "0")}`;
const project = (n: number): ProjectId => brandId("project", uuid(1, n));
const cluster = (n: number): ClusterId => brandId("cluster", uuid(2, n));
const node = (n: number): NodeId => brandId("node", uuid(3, n));
const action = (n: number): ActionId => brandId("action", uuid(4, n));

let database: TestDatabase;
const models: Model[] = Array.from({ length: 500 }, (_, i): Model => {
  const n = i + 1;
  return {
    id: action(n),
    projectId: project(n % 5 === 0 ? 2 : 1),
    clusterId: cluster(n % 5),
    nodeId: n % 3 === 0 ? node(n % 7) : null,
    kind: actionKinds[(n * 7) % actionKinds.length] ?? "CLUSTER_CREATE",
    status: actionStatuses[(n * 3 + Math.floor(n / 11)) % actionStatuses.length] ?? "PENDING",
    cause: actionCauses[n % actionCauses.length] ?? "USER",
  };
});

beforeAll(async () => {
  database = await createTestDatabase();
  await insert(models);
  await insert(
    Array.from(
      { length: 11_000 },
      (_, i): Model => ({
        id: action(10_000 + i),
        projectId: project(3),
        clusterId: cluster(9),
        nodeId: null,
        kind: i === 10_999 ? "CLUSTER_DELETE" : "CLUSTER_RESIZE",
        status: "SUCCEEDED",
        cause: "USER",
      }),
    ),
  );
  await sql`analyze muster.action`.execute(database.db);
});
afterAll(() => database.drop());

async function insert(rows: readonly Model[]): Promise<void> {
  const column = <T>(pick: (row: Model) => T): T[] => rows.map(pick);
  await sql`
    insert into muster.action (id, project_id, cluster_id, node_id, kind, status, cause, inputs, created_at, finished_at)
    select d.*, '{}', now(), case when f then now() end
      from unnest(${column((r) => r.id)}::uuid[], ${column((r) => r.projectId)}::uuid[], ${column((r) => r.clusterId)}::uuid[], ${column((r) => r.nodeId)}::uuid[],
                  ${column((r) => actionKindCodec.code(r.kind))}::smallint[], ${column((r) => actionStatusCodec.code(r.status))}::smallint[],
                  ${column((r) => actionCauseCodec.code(r.cause))}::smallint[]) with ordinality as e(id, p, c, n, k, s, u, at)
      cross join lateral (select e.id, e.p, e.c, e.n, e.k, e.s, e.u) d
      cross join lateral (select (${column((r) => isFinished(r.status))}::boolean[])[e.at] as f) g`.execute(database.db);
}

function matches(row: Model, projectId: ProjectId, filter: ActionFilter): boolean {
  const among = <T>(list: readonly T[] | null | undefined, value: T | null): boolean => list == null || (value !== null && list.includes(value));
  return (
    row.projectId === projectId &&
    among(filter.kinds, row.kind) &&
    among(filter.status, row.status) &&
    among(filter.causes, row.cause) &&
    among(filter.clusters, row.clusterId) &&
    among(filter.nodes, row.nodeId) &&
    (filter.finished == null || filter.finished === isFinished(row.status))
  );
}

async function walk(read: (page: PageRequest) => Promise<Page<ActionRow>>, limit: number, backward: boolean): Promise<ActionId[]> {
  const ids: ActionId[] = [];
  let at: { id: string } | null = null;
  for (;;) {
    const page: Page<ActionRow> = await read({ limit, backward, after: backward ? null : at, before: backward ? at : null });
    const own = page.rows.map((row) => row.id);
    if (backward) ids.unshift(...own);
    else ids.push(...own);
    if (!(backward ? page.hasPrevious : page.hasNext)) return ids;
    expect(own.length === limit || page.stoppedAt !== undefined).toBe(true);
    const edge = backward ? own[0] : own.at(-1);
    at = page.stoppedAt ?? (edge === undefined ? null : { id: edge });
  }
}

const some = <T>(values: readonly T[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
/** Clients also say things twice. */
const someTwice = <T>(values: readonly T[]) => fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 4 });
const aFilter: fc.Arbitrary<ActionFilter> = fc.record(
  {
    kinds: some(actionKinds),
    status: some(actionStatuses),
    causes: some(actionCauses),
    clusters: someTwice([0, 1, 2, 3, 77].map(cluster)),
    nodes: someTwice([0, 1, 2, 3, 4, 77].map(node)),
    finished: fc.boolean(),
  },
  { requiredKeys: [] },
);

describe("listActions", () => {
  test("any filter, any page size, from either end → exactly what a filter in memory gives, in order", async () => {
    await fc.assert(
      fc.asyncProperty(aFilter, fc.constantFrom(1, 2), fc.integer({ min: 15, max: 60 }), fc.boolean(), async (filter, owner, limit, backward) => {
        const expected = models.filter((row) => matches(row, project(owner), filter)).map((row) => row.id);
        expect(await walk((page) => listActions(database.db, project(owner), filter, page), limit, backward)).toEqual(expected);
      }),
      { numRuns: 120 },
    );
  });

  test("of many clusters, of many nodes → each has the page it would have alone", async () => {
    await fc.assert(
      fc.asyncProperty(aFilter, fc.integer({ min: 0, max: 12 }), fc.boolean(), async (filter, limit, backward) => {
        const page = { limit, backward, after: null, before: null };
        const shown = (all: readonly ActionId[]) => (limit === 0 ? [] : backward ? all.slice(-limit) : all.slice(0, limit));
        const ids = [1, 2, 3, 0].map(cluster);
        for (const [id, found] of await listActionsOf(database.db, project(1), "cluster", ids, filter, page)) {
          const all = models.filter((row) => row.clusterId === id && matches(row, project(1), filter)).map((row) => row.id);
          expect(found.rows.map((row) => row.id)).toEqual(shown(all));
        }
        const nodes = [1, 2, 6].map(node);
        for (const [id, found] of await listActionsOf(database.db, project(1), "node", nodes, filter, page)) {
          const all = models.filter((row) => row.nodeId === id && matches(row, project(1), filter)).map((row) => row.id);
          expect(found.rows.map((row) => row.id)).toEqual(shown(all));
        }
      }),
      { numRuns: 40 },
    );
  });

  test("a cluster that is named twice → its actions once", async () => {
    const page = { limit: 50, backward: false, after: null, before: null };
    const once = await listActions(database.db, project(1), { clusters: [cluster(1)] }, page);
    expect(once.rows.length).toBeGreaterThan(1);
    expect(await listActions(database.db, project(1), { clusters: [cluster(1), cluster(1)] }, page)).toEqual(once);
  });

  test("one in 11,000 → a short page that says where the walk stopped, then the one", async () => {
    const page = { limit: 10, backward: false, after: null, before: null };
    for (const filter of [{ kinds: ["CLUSTER_DELETE" as const] }, { kinds: ["CLUSTER_DELETE" as const], clusters: [cluster(9)] }]) {
      const first = await listActions(database.db, project(3), filter, page);
      expect(first).toMatchObject({ rows: [], hasNext: true, stoppedAt: { id: action(19_999) } });
      expect((await listActions(database.db, project(3), filter, { ...page, after: first.stoppedAt ?? null })).rows).toHaveLength(1);
    }
  });

  test("another project's → absent, by id as well", async () => {
    expect(await getActionsByIds(database.db, project(2), [action(1), action(5)])).toMatchObject([{ id: action(5) }]);
  });
});

describe("liveActionsOf", () => {
  /** `next[i]` supersedes `i`. */
  async function chain(from: number, length: number): Promise<ActionId[]> {
    const ids = Array.from({ length }, (_, i) => action(from + i));
    await insert(
      ids.map(
        (id): Model => ({
          id,
          projectId: project(4),
          clusterId: cluster(9),
          nodeId: null,
          kind: "CLUSTER_RESIZE",
          status: "SUPERSEDED",
          cause: "USER",
        }),
      ),
    );
    await sql`
      update muster.action a set superseded_by = d.next from unnest(${ids.slice(0, -1)}::uuid[], ${ids.slice(1)}::uuid[]) as d(id, next) where a.id = d.id`.execute(
      database.db,
    );
    return ids;
  }

  test("a chain of a hundred → its end from everywhere; a live one → itself; unknown and foreign → left out", async () => {
    const ids = await chain(50_000, 100);
    const live = await liveActionsOf(database.db, project(4), [...ids, action(1), action(999_999)]);
    expect([...live.keys()]).toEqual(ids);
    expect(new Set(live.values())).toEqual(new Set([ids.at(-1)]));
  });

  test("chains that join → one end; a chain too long to follow → what the cluster's facet names", async () => {
    const ids = await chain(60_000, 400);
    const other = await chain(70_000, 2);
    await sql`update muster.action set superseded_by = ${ids[398]} where id = ${other[1]}`.execute(database.db);
    const live = await liveActionsOf(database.db, project(4), [other[0] ?? action(0), ids[390] ?? action(0)]);
    expect([...live.values()]).toEqual([ids[399], ids[399]]);
    await sql`insert into muster.profile (id, project_id, name, revision, type, spec, created_at, updated_at) values (${uuid(9, 1)}, ${project(4)}, 'p', 1, 'sim', '{}', now(), now())`.execute(
      database.db,
    );
    await sql`
      insert into muster.cluster (id, project_id, name, profile_id, desired_capacity, min_size, generation, node_name_format, timeout_seconds, size_action_id, created_at, updated_at)
      values (${cluster(9)}, ${project(4)}, 'c', ${uuid(9, 1)}, 0, 0, 1, '', 1, ${ids[399]}, now(), now())`.execute(database.db);
    expect((await liveActionsOf(database.db, project(4), [ids[0] ?? action(0)])).get(ids[0] ?? action(0))).toBe(ids[399]);
  });
});
