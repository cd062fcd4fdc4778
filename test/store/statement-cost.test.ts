/**
 * Every statement that the engine, the commands and the API send, at a hundred members and at a hundred thousand: what it touches must not depend on how
 * many there are, and no table that grows is read whole, whichever way PostgreSQL plans it.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { openStage, type Stage } from "../api/stage.ts";
import { clusterFacts } from "../support/cluster.ts";
import { type Crowd, fillCrowd } from "../support/crowd.ts";
import { type LoggedPlan, loggedPlans, logPlans, logPosition, rowsTouched, stepsOf } from "../support/plan-log.ts";
import { ledgerStatements, statementNames } from "./statement-names.ts";
import { tourStatements } from "./statement-tour.ts";

type Mode = "force_custom_plan" | "force_generic_plan";

/** So few rows are read whole by whoever is in a hurry, whatever there is to read them by: the table of lanes has 264, and is compared with as many. */
const fewRows = 600;

/** Lists that may be read from one end to the other of what is asked for, which is what they are asked for. */
const pages = { first: 20 };

type Ask = (text: string, variables?: Record<string, unknown>) => Promise<Record<string, unknown>>;

function askOf(stage: Stage): Ask {
  return async (text, variables = {}) => {
    const { data, errors } = await stage.execute(text, variables);
    if (errors !== undefined && errors.length > 0) throw new Error(`${text}: ${JSON.stringify(errors)}`);
    return data ?? {};
  };
}

/** A mutation whose payload is not looked at, but for its being no refusal. */
async function change(ask: Ask, name: string, input: Record<string, unknown>): Promise<void> {
  const type = `${(name[0] ?? "").toUpperCase()}${name.slice(1)}`;
  const answer = JSON.stringify(await ask(`mutation ($input: ${type}Input!) { ${name}(input: $input) { __typename } }`, { input }));
  if (!answer.includes(`${type}Payload`)) throw new Error(`${name}: ${answer}`);
}

/** What users and the engine do, each thing once. */
async function live(stage: Stage, crowd: Crowd): Promise<void> {
  const { world } = stage;
  const ask = askOf(stage);
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
  await ask("query ($first: Int) { profiles(first: $first) { nodes { clusters(first: $first) { nodes { id } } } } }", pages);
  // The same key again: what was answered then.
  await ask("mutation ($input: ResizeClusterInput!) { resizeCluster(input: $input) { __typename } }", {
    input: { cluster, capacity: { by: 10 }, strict: true, idempotencyKey: "one" },
  });
}

/** From the first to the last of a project's things, by their names. */
async function comeAndGo(stage: Stage): Promise<void> {
  const ask = askOf(stage);
  const { world } = stage;
  const brief = { name: "brief" };
  await change(ask, "createProfile", { name: "brief", type: "sim", spec: {} });
  await change(ask, "reviseProfile", { profile: brief, spec: { createMs: 1 } });
  await change(ask, "createCluster", { name: "brief", profile: brief, desiredCapacity: 2 });
  const observed = (generation: number): Promise<unknown> =>
    world.until(`generation ${generation}`, async () =>
      JSON.stringify(await ask("query ($by: ObjectBy!) { cluster(by: $by) { observedGeneration } }", { by: brief })).includes(`:${generation}}`),
    );
  await observed(1);
  await change(ask, "reviseProfile", { profile: brief, spec: { hosts: 2 } });
  await change(ask, "updateCluster", { cluster: brief, profile: brief });
  await observed(2);
  await change(ask, "checkCluster", { cluster: brief });
  await world.until("it is checked", async () => {
    const { actions } = await ask("query ($filter: ActionFilter) { actions(first: 1, filter: $filter) { nodes { id } } }", {
      filter: { finished: false, kinds: ["CLUSTER_CHECK"] },
    });
    return JSON.stringify(actions) === '{"nodes":[]}';
  });
  await change(ask, "updateCluster", { cluster: brief, name: "briefly" });
  await change(ask, "createClusterNode", { cluster: { name: "briefly" }, name: "guest" });
  await change(ask, "deleteCluster", { cluster: { name: "briefly" } });
  await world.until("the cluster is gone", async () => {
    const { cluster } = await ask("query ($by: ObjectBy!) { cluster(by: $by) { id } }", { by: { name: "briefly" } });
    return cluster === null;
  });
  await change(ask, "updateProfile", { profile: brief, name: "briefly", metadata: { a: 1 } });
  await change(ask, "deleteProfile", { profile: { name: "briefly" } });
  await change(ask, "createProject", { name: "brief" });
  await change(ask, "createToken", { name: "brief", project: brief, role: "READER" });
  await change(ask, "createToken", { name: "brief", role: "READER" });
  await change(ask, "revokeToken", { token: brief });
  await change(ask, "updateProject", { project: brief, name: "briefly" });
  await change(ask, "deleteProject", { project: { name: "briefly" } });
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
  await comeAndGo(stage);
  await tourStatements(stage.world, crowd);
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

/**
 * A filter for what is usual walks the members in order, so far and no further: then it answers a short page with a cursor. And so far a look goes for
 * members that are of another profile than their cluster, which are all of them at a roll-out's beginning.
 */
const walks = new Set(["node.walk", "outdated.summary", "outdated.next", "outdated.count"]);
/** Two looks at 5,000 members of another profile each, and a window of those that are chosen. */
const longestWalk = 12_500;

/** Statements that may read more where there is more, and why. */
const growing: ReadonlyMap<string, string> = new Map([
  ["task.redo", "once per takeover, a worker looks at the tasks of the lanes it takes: what the former owner had begun is due again"],
  ["token.any_operator", "once per start, up to the first token of an operator: of tokens there are few, and no index is kept for that"],
  ["readback.left", "while a restore is being read back, and only then, all tasks are walked"],
]);

/** Statements whose plan is not looked at, and why. */
const unjudged: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "of the embedded PostgreSQL, before there is a database of ours": [
      "embedded.database",
      "embedded.database.create",
      "embedded.role",
      "embedded.role.create",
    ],
    "a migration, before there is anything": [
      "installation.create",
      "migration.lock",
      "migration.patience",
      "migration.schema.create",
      "migration.schema.present",
      "project.create.first",
    ],
    "commands that have no plan": ["partition.attach", "partition.create", "partition.detach", "partition.drop", "session.listen"],
    "one row of a table of some dozens, when a partition is made or dropped": ["partition.forget", "partition.insert"],
    "touches no table of ours": ["sequencer.end-leader", "server.room", "sequencer.settings", "transaction.status"],
    "the ledger's one row": ["ledger.state.session"],
  } satisfies Record<string, readonly string[]>).flatMap(([reason, names]) => names.map((name) => [name, reason])),
);

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
    ...new Set(plans.filter(({ statement }) => !growing.has(statement)).flatMap(wholeReads)),
  ];

  test("names: every statement in the sources → its plans are judged, here or by ledger-plan.test.ts, or it says why not", () => {
    const there = statementNames();
    for (const plans of [many, generic]) {
      const judged = new Set([...plans.map(({ statement }) => statement), ...ledgerStatements]);
      expect([...there].filter((name) => !judged.has(name)).sort()).toEqual([...unjudged.keys()].sort());
    }
    expect([...growing.keys(), ...walks].filter((name) => !there.has(name))).toEqual([]);
  });

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
        !growing.has(statement) && !(walks.has(statement) && rows <= longestWalk) && rows > Math.max(fewRows, 2 * (before.get(statement) ?? 0)),
    );
    expect(grown.map(([statement, rows]) => `${statement}: ${before.get(statement) ?? "never"} → ${rows}`)).toEqual([]);
  });
});
