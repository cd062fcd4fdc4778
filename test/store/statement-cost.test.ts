/**
 * Every statement that the engine, the commands and the API send, at a hundred members and at a hundred thousand: what it touches must not depend on how
 * many there are, and no table that grows is read whole, whichever way PostgreSQL plans it.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { openStage, type Stage } from "../api/stage.ts";
import { clusterFacts } from "../support/cluster.ts";
import { type Crowd, fillCrowd } from "../support/crowd.ts";
import { type LoggedPlan, loggedPlans, logPlans, logPosition, rowsTouched, stepsOf } from "../support/plan-log.ts";

type Mode = "force_custom_plan" | "force_generic_plan";

/** So few rows are read whole by whoever is in a hurry, whatever there is to read them by. */
const fewRows = 300;

/** Lists that may be read from one end to the other of what is asked for, which is what they are asked for. */
const pages = { first: 20 };

/** What users and the engine do, each thing once. */
async function live(stage: Stage, crowd: Crowd): Promise<void> {
  const { world } = stage;
  const ask = async (text: string, variables: Record<string, unknown> = {}): Promise<Record<string, unknown>> => {
    const { data, errors } = await stage.execute(text, variables);
    if (errors !== undefined && errors.length > 0) throw new Error(`${text}: ${JSON.stringify(errors)}`);
    return data ?? {};
  };
  const settled = (what: string): Promise<unknown> =>
    world.until(what, async () => {
      const facts = await clusterFacts(world.database.db, crowd.clusterId);
      return facts !== null && facts.observedGeneration === facts.generation && facts;
    });
  const cluster = { id: crowd.id };
  await ask("mutation ($input: ResizeClusterInput!) { resizeCluster(input: $input) { __typename } }", {
    input: { cluster, capacity: { by: 10 }, strict: true, idempotencyKey: "one" },
  });
  await settled("ten more");
  await ask("mutation ($input: ScaleInClusterInput!) { scaleInCluster(input: $input) { __typename } }", { input: { cluster, count: 5 } });
  await settled("five fewer");
  await ask("mutation ($input: UpdateClusterInput!) { updateCluster(input: $input) { __typename } }", { input: { cluster, metadata: { a: 1 } } });
  const read = await ask(
    `query ($by: ObjectBy!, $first: Int) { cluster(by: $by) { id status desiredCapacity nodeCounts { total active error } conditions { type status }
       nodes(first: $first) { nodes { id name status health { status } profile { id } actions(last: 1) { nodes { id } } events(last: 3) { nodes { id } } } pageInfo { endCursor } }
       actions(last: 5) { nodes { id status } } events(last: 5) { nodes { id message } } } }`,
    { by: cluster, ...pages },
  );
  const nodeId = firstId(read);
  await ask("mutation ($input: CheckClusterNodeInput!) { checkClusterNode(input: $input) { __typename } }", { input: { node: { id: nodeId } } });
  await ask("mutation ($input: UpdateClusterNodeInput!) { updateClusterNode(input: $input) { __typename } }", {
    input: { node: { id: nodeId }, role: "leader" },
  });
  await ask("mutation ($input: DeleteClusterNodeInput!) { deleteClusterNode(input: $input) { __typename } }", {
    input: { node: { id: nodeId }, reduceDesiredCapacity: false },
  });
  await settled("one replaced");
  for (const filter of [
    {},
    { status: ["ERROR"] },
    { health: ["UNKNOWN"] },
    { clusters: [crowd.id] },
    { clusters: [crowd.id], status: ["ACTIVE"] },
    { orphan: true },
  ]) {
    await ask("query ($first: Int, $filter: ClusterNodeFilter) { clusterNodes(first: $first, filter: $filter) { nodes { id } } }", {
      ...pages,
      filter,
    });
  }
  for (const filter of [{}, { nameContains: "crowd" }, { status: ["ACTIVE"] }, { converged: true }]) {
    await ask("query ($first: Int, $filter: ClusterFilter) { clusters(first: $first, filter: $filter) { nodes { id nodeCounts { total } } } }", {
      ...pages,
      filter,
    });
  }
  for (const field of ["CREATED_AT", "NAME", "UPDATED_AT"]) {
    await ask("query ($first: Int, $orderBy: ClusterOrder) { clusters(first: $first, orderBy: $orderBy) { nodes { id } } }", {
      ...pages,
      orderBy: { field },
    });
  }
  for (const filter of [{}, { clusters: [crowd.id] }, { finished: false }, { kinds: ["CLUSTER_RESIZE"] }]) {
    await ask("query ($last: Int, $filter: ActionFilter) { actions(last: $last, filter: $filter) { nodes { id } } }", { last: 20, filter });
  }
  await ask(
    "query ($first: Int) { profiles(first: $first) { nodes { id } } projects(first: $first) { nodes { id } } tokens(first: $first) { nodes { id } } workers { id } }",
    pages,
  );
  await ask("query ($by: ClusterNodeBy!) { clusterNode(by: $by) { id } }", { by: { index: { cluster, index: 1 } } });
  await ask("query ($by: ObjectBy!) { cluster(by: $by) { id } profile(by: $by) { id } }", { by: { name: "crowd" } });
}

function firstId(answer: Record<string, unknown>): string {
  const id = /"nodes":\[\{"id":"([^"]+)"/.exec(JSON.stringify(answer))?.[1];
  if (id === undefined) throw new Error("the page has no node");
  return id;
}

async function plansAt(members: number, mode: Mode): Promise<LoggedPlan[]> {
  const stage = await openStage({ prepare: (database) => logPlans(database.superuserUrl, mode) });
  const crowd = await fillCrowd(stage.world, members);
  await stage.world.database.analyze();
  const from = logPosition();
  stage.world.startWorker();
  await live(stage, crowd);
  const plans = loggedPlans(from);
  await stage.stop({ withoutHistory: true });
  return plans;
}

/** By statement, the most rows it touched in one go. */
function costs(plans: readonly LoggedPlan[]): Map<string, number> {
  const most = new Map<string, number>();
  for (const { statement, plan } of plans) most.set(statement, Math.max(most.get(statement) ?? 0, rowsTouched(plan)));
  return most;
}

/** Steps of a plan that read a table from one end to the other. */
function wholeReads({ statement, plan }: LoggedPlan): string[] {
  return [...stepsOf(plan)].flatMap(({ node, parents }) => {
    const table = node["Relation Name"];
    const rows = ((node["Actual Rows"] ?? 0) + (node["Rows Removed by Filter"] ?? 0)) * (node["Actual Loops"] ?? 1);
    if (table === undefined || rows <= fewRows) return [];
    if (node["Node Type"] === "Seq Scan") return [`${statement}: Seq Scan on ${table}, ${rows} rows`];
    // An index walked from its beginning is a page in order where a limit ends it, and a whole read where none does.
    const unbounded =
      /^Index (?:Only )?Scan$/.test(node["Node Type"]) &&
      node["Index Cond"] === undefined &&
      !parents.some((parent) => parent["Node Type"] === "Limit");
    return unbounded ? [`${statement}: all of ${node["Index Name"] ?? "an index"}, ${rows} rows`] : [];
  });
}

/** A filter for what is usual walks the members in order, so far and no further: then it answers a short page with a cursor. */
const walks = new Set(["node.walk"]);
const longestWalk = 10_100;

/** Once per takeover, a worker looks at the tasks of the lanes it takes: what the former owner had begun is due again. */
const atTakeover = new Set(["task.redo"]);

describe("statements", () => {
  let few: LoggedPlan[];
  let many: LoggedPlan[];
  let generic: LoggedPlan[];
  beforeAll(async () => {
    few = await plansAt(1_000, "force_custom_plan");
    many = await plansAt(100_000, "force_custom_plan");
    generic = await plansAt(100_000, "force_generic_plan");
  }, 300_000);

  const wholeReadsOf = (plans: readonly LoggedPlan[]): string[] => [
    ...new Set(plans.filter(({ statement }) => !atTakeover.has(statement)).flatMap(wholeReads)),
  ];

  test("custom plans: 100,000 members → no growing table is read whole", () => {
    expect(wholeReadsOf(many)).toEqual([]);
  });

  test("generic plans: 100,000 members → no growing table is read whole", () => {
    expect(wholeReadsOf(generic)).toEqual([]);
  });

  test("rows touched: 1,000 members and 100,000 → the same, statement by statement", () => {
    const before = costs(few);
    const grown = [...costs(many)].filter(
      ([statement, rows]) =>
        !atTakeover.has(statement) && !(walks.has(statement) && rows <= longestWalk) && rows > Math.max(100, 2 * (before.get(statement) ?? 0)),
    );
    expect(grown.map(([statement, rows]) => `${statement}: ${before.get(statement) ?? "never"} → ${rows}`)).toEqual([]);
  });
});
