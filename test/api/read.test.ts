import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ActionsDocument,
  ClusterDocument,
  ClustersDocument,
  EventsDocument,
  EventTypesDocument,
  NodeDocument,
  NodesDocument,
  ProfilesDocument,
  ProfileTypesDocument,
  ProjectsDocument,
  TokensDocument,
  ViewerDocument,
  WorkersDocument,
} from "../../src/cli/graphql/generated/graphql.ts";
import { createProject } from "../../src/commands/project.ts";
import { eventTypeNames } from "../../src/core/event.ts";
import { encodeId, type ProjectId } from "../../src/core/ids.ts";
import { must, simCluster } from "../support/cluster.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
let foreign: ProjectId;
const sizes = { alpha: 3, beta: 1, gamma: 0, delta: 2 } as const;

beforeAll(async () => {
  stage = await openStage({ workers: 1 });
  const { world } = stage;
  foreign = must(await createProject(world.context(), { name: "elsewhere" })).projectId;
  for (const [name, desiredCapacity] of Object.entries(sizes)) await simCluster(world, { name, desiredCapacity });
  await world.until("every cluster has settled", async () => {
    const { clusters } = await stage.ask(ClustersDocument, { filter: { converged: true } });
    return clusters.nodes.length === Object.keys(sizes).length;
  });
});
afterAll(() => stage.stop());

async function codesOf(text: string, variables: Record<string, unknown> = {}, asker = {}): Promise<unknown[]> {
  const { errors = [] } = await stage.execute(text, variables, asker);
  return errors.map((error) => error.extensions["code"]);
}

async function firstNodeId(cluster: string): Promise<string> {
  const { cluster: found } = await stage.ask(ClusterDocument, { by: { name: cluster } });
  const id = found?.nodes.nodes[0]?.id;
  if (id === undefined) throw new Error("the cluster has no members");
  return id;
}

describe("lists", () => {
  test.each(["CREATED_AT", "NAME", "STATUS", "UPDATED_AT"] as const)(
    "clusters by %s, one a page, both ways: each once, in one order",
    async (field) => {
      for (const direction of ["ASC", "DESC"] as const) {
        const whole = (await stage.ask(ClustersDocument, { orderBy: { field, direction } })).clusters.nodes.map((cluster) => cluster.name);
        expect(whole.toSorted()).toEqual(Object.keys(sizes).toSorted());
        if (field === "NAME") expect(whole).toEqual(direction === "ASC" ? whole.toSorted() : whole.toSorted().reverse());
        if (field === "CREATED_AT" && direction === "ASC") expect(whole).toEqual(Object.keys(sizes));
        const walked: string[] = [];
        let after: string | null = null;
        do {
          const { clusters }: { clusters: { nodes: { name: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } } =
            await stage.ask(ClustersDocument, {
              first: 1,
              after,
              orderBy: { field, direction },
            });
          walked.push(...clusters.nodes.map((cluster) => cluster.name));
          after = clusters.pageInfo.hasNextPage ? clusters.pageInfo.endCursor : null;
        } while (after !== null);
        expect(walked).toEqual(whole);
      }
    },
  );

  test("backwards: last and before walk from the end; edges carry the cursors that pageInfo names", async () => {
    const text = `query ($before: String) { clusters(last: 2, before: $before) { edges { cursor node { name } } pageInfo { hasPreviousPage hasNextPage startCursor endCursor } totalCount } }`;
    const end = await stage.execute(text);
    expect(end.errors).toBeUndefined();
    expect(JSON.parse(JSON.stringify(end.data))).toMatchObject({
      clusters: {
        edges: [{ node: { name: "gamma" } }, { node: { name: "delta" } }],
        pageInfo: { hasPreviousPage: true, hasNextPage: false },
        totalCount: null,
      },
    });
    const { clusters } = JSON.parse(JSON.stringify(end.data));
    expect(clusters.pageInfo).toMatchObject({ startCursor: clusters.edges[0].cursor, endCursor: clusters.edges[1].cursor });
    const start = JSON.parse(JSON.stringify(await stage.execute(text, { before: clusters.pageInfo.startCursor })));
    expect(start.data.clusters.edges.map((edge: { node: { name: string } }) => edge.node.name)).toEqual(["alpha", "beta"]);
    expect(start.data.clusters.pageInfo).toMatchObject({ hasPreviousPage: false, hasNextPage: true });
  });

  test("a cursor under another filter, and junk → INVALID_CURSOR; wrong sizes and empty lists → BAD_USER_INPUT", async () => {
    const { clusters } = await stage.ask(ClustersDocument, { first: 1 });
    const after = clusters.pageInfo.endCursor;
    const list = `query ($after: String, $first: Int, $last: Int, $filter: ClusterFilter) { clusters(first: $first, last: $last, after: $after, filter: $filter) { nodes { id } } }`;
    expect(await codesOf(list, { after })).toEqual([]);
    expect(await codesOf(list, { after, filter: { nameContains: "a" } })).toEqual(["INVALID_CURSOR"]);
    expect(await codesOf(list, { after: "junk\0" })).toEqual(["INVALID_CURSOR"]);
    for (const variables of [{ first: -1 }, { first: 100_000 }, { first: 1, last: 1 }, { filter: { ids: [] } }, { filter: { nameContains: "\0" } }]) {
      expect(await codesOf(list, variables), JSON.stringify(variables)).toEqual(["BAD_USER_INPUT"]);
    }
    expect(await codesOf(`{ events(after: "junk") { nodes { id } } }`)).toEqual(["INVALID_CURSOR"]);
    expect(await codesOf(`{ clusters { nodes { nodes(first: 1001) { nodes { id } } } } }`)).toEqual(["BAD_USER_INPUT"]);
  });

  test("filters of clusters: by id, name, status, profile, metadata, time", async () => {
    const names = async (filter: NonNullable<Parameters<typeof stage.ask<unknown, { filter: object }>>[1]>["filter"]): Promise<string[]> =>
      (await stage.ask(ClustersDocument, { filter })).clusters.nodes.map((cluster) => cluster.name);
    const { cluster } = await stage.ask(ClusterDocument, { by: { name: "beta" } });
    if (cluster === null) throw new Error("beta is gone");
    expect(await names({ ids: [cluster.id, "cluster_junk", cluster.profile.id] })).toEqual(["beta"]);
    expect(await names({ ids: ["nonsense"] })).toEqual([]);
    expect(await names({ nameContains: "LT" })).toEqual(["delta"]);
    expect(await names({ status: ["ACTIVE"] })).toEqual(Object.keys(sizes));
    expect(await names({ profile: { id: cluster.profile.id } })).toEqual(["beta"]);
    expect(await names({ profile: { name: "alpha-profile" } })).toEqual(["alpha"]);
    expect(await names({ profile: { id: cluster.id } })).toEqual([]);
    expect(await names({ metadata: { absent: true } })).toEqual([]);
    expect(await names({ updatedSince: "2100-01-01T00:00:00Z" })).toEqual([]);
  });

  test("members of a cluster: counted, listed, filtered", async () => {
    const { cluster } = await stage.ask(ClusterDocument, { by: { name: "alpha" }, first: 2 });
    expect(cluster).toMatchObject({
      status: "ACTIVE",
      nodeCounts: { total: 3, active: 3, healthy: 3 },
      nodes: { totalCount: 3, pageInfo: { hasNextPage: true } },
    });
    expect(cluster?.nodes.nodes.map((node) => [node.name, node.status, node.health.status])).toEqual([
      ["alpha-1", "ACTIVE", "HEALTHY"],
      ["alpha-2", "ACTIVE", "HEALTHY"],
    ]);
    const sick = await stage.ask(ClusterDocument, { by: { name: "alpha" }, filter: { health: ["UNHEALTHY"] } });
    expect(sick.cluster?.nodes).toMatchObject({ nodes: [], totalCount: null });
    const all = await stage.ask(NodesDocument, { filter: { status: ["ACTIVE"] } });
    expect(all.clusterNodes.nodes.map((node) => node.cluster?.name)).toEqual(["alpha", "alpha", "alpha", "beta", "delta", "delta"]);
  });

  test("actions: of all, of a cluster, by kind and outcome", async () => {
    const { actions } = await stage.ask(ActionsDocument, { filter: { kinds: ["CLUSTER_CREATE"], status: ["SUCCEEDED"] } });
    expect(actions.nodes.map((action) => [action.subjectName, action.progress])).toEqual(
      Object.entries(sizes).map(([name, total]) => [name, { total, done: total, failed: 0 }]),
    );
    const { data } = await stage.execute(`{ clusters { nodes { name actions { nodes { kind finishedAt } } } } }`);
    const { clusters } = JSON.parse(JSON.stringify(data));
    for (const cluster of clusters.nodes) expect(cluster.actions.nodes).toEqual([{ kind: "CLUSTER_CREATE", finishedAt: expect.any(String) }]);
  });
});

describe("objects", () => {
  test("node and nodes: every kind of id finds its object; junk, other spellings and strangers' find none", async () => {
    const { data } = await stage.execute(`{
      viewer { id project { id } } profileTypes { id } profiles { nodes { id } } clusters { nodes { id } } clusterNodes { nodes { id } }
      actions { nodes { id } } events(first: 3) { nodes { id } } workers { id } }`);
    const found = JSON.parse(JSON.stringify(data));
    const ids: string[] = [
      found.viewer.id,
      found.viewer.project.id,
      found.profileTypes[0].id,
      found.profiles.nodes[0].id,
      found.clusters.nodes[0].id,
      found.clusterNodes.nodes[0].id,
      found.actions.nodes[0].id,
      found.events.nodes[0].id,
      found.workers[0].id,
    ];
    const ask = `query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }`;
    const answer = JSON.parse(JSON.stringify(await stage.execute(ask, { ids })));
    expect(answer.data.nodes).toEqual(
      ["Viewer", "Project", "ProfileType", "Profile", "Cluster", "ClusterNode", "Action", "Event", "Worker"].map((type, at) => ({
        __typename: type,
        id: ids[at],
      })),
    );
    const wrong = ids.flatMap((id) => [id.toUpperCase(), `${id}0`, id.slice(0, -1), id.replace("_", "__")]);
    const junk = ["", "cluster_", "cluster_00000000000000000000000000", "\0", "👾", ...wrong];
    expect(JSON.parse(JSON.stringify(await stage.execute(ask, { ids: junk }))).data.nodes).toEqual(junk.map(() => null));
    const abroad = JSON.parse(JSON.stringify(await stage.execute(ask, { ids: ids.slice(3, 8) }, { projectId: foreign })));
    expect(abroad.data.nodes).toEqual([null, null, null, null, null]);
    expect(await codesOf(ask, { ids: Array.from({ length: 1_001 }, () => "x") })).toEqual(["BAD_USER_INPUT"]);
    expect(await codesOf(ask, { ids: Array.from({ length: 1_000 }, () => "x") })).toEqual([]);
  });

  test("a member by id, name and index: the same; with health, addresses, history", async () => {
    const id = await firstNodeId("alpha");
    const cluster = { name: "alpha" };
    for (const by of [{ id }, { name: { cluster, name: "alpha-1" } }, { index: { cluster, index: 1 } }]) {
      const { clusterNode } = await stage.ask(NodeDocument, { by });
      expect(clusterNode).toMatchObject({
        id,
        name: "alpha-1",
        index: 1,
        cluster: { name: "alpha" },
        profile: { name: "alpha-profile", revision: 1 },
        health: { status: "HEALTHY", signals: expect.any(Array) },
      });
      expect(clusterNode?.events.nodes.every((event) => event.nodeId === id)).toBe(true);
    }
    for (const by of [
      { id: encodeId("project", stage.world.projectId) },
      { name: { cluster, name: "no such\0" } },
      { index: { cluster, index: 99 } },
    ]) {
      expect((await stage.ask(NodeDocument, { by })).clusterNode).toBeNull();
    }
  });

  test("profiles: types with their schemas, specs with defaults, the clusters made from each", async () => {
    const { profileTypes } = await stage.ask(ProfileTypesDocument, {});
    expect(profileTypes).toEqual([
      expect.objectContaining({ name: "sim", available: true, reason: null, specSchema: expect.objectContaining({ type: "object" }) }),
    ]);
    const { profiles } = await stage.ask(ProfilesDocument, { filter: { nameContains: "GAMMA" } });
    expect(profiles.nodes).toEqual([expect.objectContaining({ name: "gamma-profile", revision: 1, spec: expect.objectContaining({ createMs: 0 }) })]);
    const { data } = await stage.execute(`{ profiles { nodes { name clusters { nodes { name } } } } }`);
    for (const profile of JSON.parse(JSON.stringify(data)).profiles.nodes) {
      expect(profile.clusters.nodes).toEqual([{ name: profile.name.replace("-profile", "") }]);
    }
  });

  test("the viewer: project, role, quotas; workers and projects for an OPERATOR; tokens for an ADMIN", async () => {
    const { viewer } = await stage.ask(ViewerDocument, {}, { role: "READER" });
    expect(viewer).toMatchObject({ role: "READER", project: { name: "default" } });
    expect(viewer.project.quota.find((line) => line.quota === "clusters")).toMatchObject({ used: Object.keys(sizes).length });
    expect((await stage.ask(WorkersDocument, {})).workers).toEqual([expect.objectContaining({ host: "test-host", draining: false })]);
    expect((await stage.ask(ProjectsDocument, {})).projects.nodes.map((project) => project.name)).toEqual(["default", "elsewhere"]);
    expect((await stage.ask(TokensDocument, {}, { role: "ADMIN" })).tokens.nodes).toEqual([]);
    for (const [text, role] of [
      ["{ workers { id } }", "ADMIN"],
      ["{ projects { nodes { id } } }", "ADMIN"],
      ["{ tokens { nodes { id } } }", "MEMBER"],
    ] as const) {
      expect(await codesOf(text, {}, { role })).toEqual(["FORBIDDEN"]);
    }
  });

  test("a log: for an ADMIN, null where the driver has none; for others FORBIDDEN beside the rest", async () => {
    const text = `query ($id: ID!, $lines: Int! = 100) { clusterNode(by: { id: $id }) { name log(lastLines: $lines) } }`;
    const id = await firstNodeId("beta");
    expect(JSON.parse(JSON.stringify(await stage.execute(text, { id }, { role: "ADMIN" })))).toEqual({
      data: { clusterNode: { name: "beta-1", log: null } },
    });
    const refused = await stage.execute(text, { id }, { role: "MEMBER" });
    expect(refused.errors?.map((error) => error.extensions["code"])).toEqual(["FORBIDDEN"]);
    expect(JSON.parse(JSON.stringify(refused.data))).toEqual({ clusterNode: { name: "beta-1", log: null } });
    expect(await codesOf(text, { id, lines: 0 })).toEqual(["BAD_USER_INPUT"]);
  });
});

describe("history", () => {
  test("events: pages meet without gap; an object's are its own; the last page's end is where a stream goes on", async () => {
    const whole = await stage.ask(EventsDocument, { first: 1_000 });
    const all = whole.events.nodes.map((event) => event.cursor);
    const walked: string[] = [];
    let after: string | undefined;
    for (;;) {
      const { events } = await stage.ask(EventsDocument, { first: 7, ...(after === undefined ? {} : { after }) });
      walked.push(...events.nodes.map((event) => event.cursor));
      if (!events.pageInfo.hasNextPage) break;
      after = events.pageInfo.endCursor ?? undefined;
    }
    expect(walked).toEqual(all);
    const { events: newest } = await stage.ask(EventsDocument, { last: 5 });
    expect(newest.nodes.map((event) => event.cursor)).toEqual(all.slice(-5));
    const { cluster } = await stage.ask(ClusterDocument, { by: { name: "alpha" }, lastEvents: 1_000 });
    expect(cluster?.events.nodes.map((event) => event.cursor)).toEqual(
      whole.events.nodes.filter((event) => event.clusterName === "alpha").map((event) => event.cursor),
    );
    const types = new Set((await stage.ask(EventTypesDocument, {})).eventTypes.map((type) => type.name));
    expect(types).toEqual(new Set(eventTypeNames));
  });

  test("no events asked for: an empty page that says whether there is more, and where it stands", async () => {
    const { events: front } = await stage.ask(EventsDocument, { first: 0 });
    expect(front).toMatchObject({ nodes: [], pageInfo: { hasNextPage: true, startCursor: null, endCursor: null } });
    const { events: rest } = await stage.ask(EventsDocument, { first: 1, after: front.resumeCursor });
    const { events: first } = await stage.ask(EventsDocument, { first: 1 });
    expect(rest.nodes).toEqual(first.nodes);
    const { events: back } = await stage.ask(EventsDocument, { last: 0 });
    expect(back).toMatchObject({ nodes: [], pageInfo: { hasPreviousPage: true } });
    expect((await stage.ask(EventsDocument, { first: 1, after: back.resumeCursor })).events.nodes).toEqual([]);
  });

  test("filters of events: types by prefix, level, foreign ids; another project sees nothing of it", async () => {
    const typesOf = async (filter: object, asker = {}): Promise<Set<string>> =>
      new Set((await stage.ask(EventsDocument, { first: 1_000, filter }, asker)).events.nodes.map((event) => event.type));
    expect(
      [...(await typesOf({ types: ["cluster.c", "cluster.created", "node."] }))].every(
        (type) => type === "cluster.created" || type.startsWith("node."),
      ),
    ).toBe(true);
    expect(await typesOf({ types: ["no.such"] })).toEqual(new Set());
    expect(await typesOf({ minLevel: "CRITICAL" })).toEqual(new Set());
    expect(await typesOf({ clusters: ["junk"] })).toEqual(new Set());
    expect(await typesOf({}, { projectId: foreign })).toEqual(new Set(["project.created"]));
  });

  test("nested histories with a cursor: one question for all clusters; a filter for other objects matches nothing", async () => {
    const { events } = await stage.ask(EventsDocument, { first: 10 });
    const after = events.pageInfo.endCursor;
    const text = `query ($after: String, $filter: EventFilter) { clusters { nodes { name events(first: 1000, after: $after, filter: $filter) { nodes { cursor clusterName } } } } }`;
    const { data } = await stage.execute(text, { after });
    const whole = await stage.ask(EventsDocument, { first: 1_000, after });
    for (const cluster of JSON.parse(JSON.stringify(data)).clusters.nodes) {
      expect(cluster.events.nodes.map((event: { cursor: string }) => event.cursor)).toEqual(
        whole.events.nodes.filter((event) => event.clusterName === cluster.name).map((event) => event.cursor),
      );
    }
    const { cluster } = await stage.ask(ClusterDocument, { by: { name: "beta" } });
    const other = JSON.parse(JSON.stringify(await stage.execute(text, { filter: { clusters: [cluster?.id] } })));
    for (const found of other.data.clusters.nodes) expect(found.events.nodes.length > 0).toBe(found.name === "beta");
  });
});
