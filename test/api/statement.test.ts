import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCluster } from "../../src/commands/cluster.ts";
import { createProfile } from "../../src/commands/profile.ts";
import { brandId, type ClusterId, type NodeId, type ProjectId } from "../../src/core/ids.ts";
import { transaction } from "../../src/store/transaction.ts";
import { must } from "../support/cluster.ts";
import { openStage, type Stage } from "./stage.ts";

const clusters = 100;
const members = 3;
let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ workers: 1 });
  const context = stage.world.context();
  must(await createProfile(context, { name: "plain", type: "sim", spec: {} }));
  for (let i = 0; i < clusters; i++) {
    must(await createCluster(context, { name: `c${i}`, profile: { name: "plain" }, desiredCapacity: members, minSize: 0, timeoutSeconds: 60 }));
  }
  await stage.world.until("every cluster has settled", async () => {
    const { data } = await stage.execute(`{ clusters(first: 1000, filter: { converged: true }) { nodes { id } } }`);
    return JSON.parse(JSON.stringify(data)).clusters.nodes.length === clusters;
  });
  await endOnTime();
});
afterAll(() => stage.stop());

/**
 * The newest events of each cluster and node, as many as a walk to the last one looks at, are of transactions that crossed no other.
 * Late ones are looked up by themselves and may need a second walk (two to four statements, however many clusters there are): that
 * is the subject of `test/store/ledger-read.test.ts`, and would come and go here.
 */
async function endOnTime(): Promise<void> {
  const { store, until } = stage.world;
  const { rows } = await sql<{ id: ClusterId; node: NodeId; project_id: ProjectId; generation: number }>`
    select c.id, n.id as node, c.project_id, c.generation from muster.cluster c join muster.node n on n.cluster_id = c.id`.execute(store.db);
  for (let i = 0; i < 3; i++) {
    await transaction(store, async (tx) => {
      for (const { id, node, project_id, generation } of rows) {
        tx.events.push({ type: "cluster.settled", projectId: project_id, clusterId: id, nodeId: node, data: { generation } });
      }
    });
  }
  await until("everything has its position", async () => {
    const { rows: waiting } = await sql`select from muster.marker limit 1`.execute(store.db);
    return waiting.length === 0;
  });
}

/** The statements of an operation, and what it answered. */
async function cost(text: string, variables: Record<string, unknown> = {}): Promise<{ names: string[]; data: unknown }> {
  stage.takeStatements();
  const { data, errors } = await stage.execute(text, variables);
  expect(errors).toBeUndefined();
  return { names: stage.takeStatements(), data: JSON.parse(JSON.stringify(data)) };
}

const members10 = `nodes(first: 10) { nodes { id name status health { status reason signals { subject status } } addresses { host port } } totalCount }`;

describe("statements", () => {
  test("100 clusters with profile, counts, 10 members with health, actions and last event: at most 10, each once", async () => {
    const { names, data } = await cost(
      `query ($first: Int!) { clusters(first: $first) { nodes { id name status
      profile { name revision } nodeCounts { total active byStatus { status count } } ${members10}
      actions(last: 1) { nodes { kind progress { done } } } events(last: 1) { nodes { message } } } } }`,
      { first: clusters },
    );
    expect(data).toMatchObject({ clusters: { nodes: expect.objectContaining({ length: clusters }) } });
    expect(JSON.stringify(data)).toContain(`"totalCount":${members}`);
    expect(names.length, names.join(" ")).toBeLessThanOrEqual(10);
    expect(new Set(names).size, names.join(" ")).toBe(names.length);
  });

  test("a page of one: as many statements as a page of a hundred", async () => {
    const text = `query ($first: Int!) { clusters(first: $first) { nodes { profile { name } nodeCounts { total } ${members10} events(last: 2) { nodes { type node { name } action { kind } } } } } }`;
    const [one, many] = [await cost(text, { first: 1 }), await cost(text, { first: clusters })];
    expect(many.names.toSorted()).toEqual(one.names.toSorted());
  });

  test("1,000 nodes by id with cluster, profile and history: a handful", async () => {
    const { data } = await cost(`{ clusterNodes(first: 300) { nodes { id } } }`);
    const ids = [...JSON.stringify(data).matchAll(/node_[0-9a-z]{26}/g)].map(([id]) => id);
    expect(ids).toHaveLength(clusters * members);
    const { names } = await cost(
      `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ClusterNode { name cluster { name profile { name } } profile { name } actions(first: 1) { nodes { kind } } events(last: 1) { nodes { type } } health { reason } } } }`,
      { ids },
    );
    expect(names.length, names.join(" ")).toBeLessThanOrEqual(10);
    expect(new Set(names).size, names.join(" ")).toBe(names.length);
  });

  test("actions with their subjects, chains and events: a handful", async () => {
    const { names } = await cost(
      `{ actions(last: 100) { nodes { kind cluster { name } node { name } supersededBy { id } liveAction { id } events(last: 2) { nodes { type } } } } }`,
    );
    expect(names.length, names.join(" ")).toBeLessThanOrEqual(10);
  });

  test("the same cluster asked for ten times under other names: read once", async () => {
    const { data } = await cost(`{ clusters(first: 1) { nodes { id } } }`);
    const [id] = /cluster_[0-9a-z]{26}/.exec(JSON.stringify(data)) ?? [];
    const fields = Array.from({ length: 10 }, (_, i) => `c${i}: cluster(by: { id: "${id}" }) { name nodeCounts { total } }`);
    expect((await cost(`{ ${fields.join(" ")} }`)).names).toEqual(["cluster.get", "count.read"]);
  });

  test("ten operations ask at once, of their own clusters and of each other's → each statement once, and anew for those who ask later", async () => {
    const { data } = await cost("{ clusters(first: 10) { nodes { id name } } }");
    const found: readonly { readonly id: string; readonly name: string }[] = Reflect.get(Reflect.get(Object(data), "clusters"), "nodes");
    const all = async (): Promise<string[]> => {
      stage.takeStatements();
      const answers = await Promise.all(
        [...found, ...found].map(({ id }) =>
          stage.execute("query ($id: ID!) { cluster(by: { id: $id }) { name nodeCounts { total } profile { name } } }", { id }),
        ),
      );
      expect(answers.map((answer) => Reflect.get(Object(answer.data?.["cluster"]), "name"))).toEqual([...found, ...found].map(({ name }) => name));
      return stage.takeStatements().toSorted();
    };
    const once = ["cluster.get", "count.read", "profile.get"];
    expect(await all()).toEqual(once);
    expect(await all()).toEqual(once);
  });

  test("another project asks for the same at the same moment → it sees nothing of it, by a statement of its own", async () => {
    const { data } = await cost("{ clusters(first: 1) { nodes { id } } }");
    const [id = ""] = /cluster_[0-9a-z]{26}/.exec(JSON.stringify(data)) ?? [];
    const text = "query ($id: ID!) { cluster(by: { id: $id }) { id } }";
    const stranger = { projectId: brandId("project", stage.world.store.runtime.entropy.uuid()) };
    stage.takeStatements();
    const [ours, theirs] = await Promise.all([stage.execute(text, { id }), stage.execute(text, { id }, stranger)]);
    expect([ours.data, theirs.data]).toMatchObject([{ cluster: { id } }, { cluster: null }]);
    expect(stage.takeStatements()).toEqual(["cluster.get", "cluster.get"]);
  });

  test("changes of one cluster that are accepted together → their payloads are read together", async () => {
    const { data } = await cost("{ clusters(first: 1) { nodes { id desiredCapacity } } }");
    const cluster = Reflect.get(Reflect.get(Object(data), "clusters"), "nodes")[0];
    const text = `mutation ($id: ID!, $size: Int!) {
      resizeCluster(input: { cluster: { id: $id }, capacity: { exactly: $size } }) { ... on ResizeClusterPayload { action { id status } cluster { name } } ... on Error { message } } }`;
    stage.takeStatements();
    const sizes = Array.from({ length: 30 }, (_, i) => cluster.desiredCapacity + 1 + (i % 2));
    const answers = await Promise.all(sizes.map((size) => stage.execute(text, { id: cluster.id, size })));
    for (const answer of answers) expect(answer).toMatchObject({ data: { resizeCluster: { action: { id: expect.any(String) } } } });
    const reads = stage.takeStatements().filter((name) => name === "action.get");
    // The first goes alone; those that come while one is written go together.
    expect(reads.length).toBeLessThan(10);
  });
});
