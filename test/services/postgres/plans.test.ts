/** What the engine and the API ask most, on this version of PostgreSQL, among many members: nothing that grows is read whole. */
import { expect, test } from "vitest";
import { openStage } from "../../api/stage.ts";
import { clusterFacts } from "../../support/cluster.ts";
import { fillCrowd } from "../../support/crowd.ts";
import { loggedPlans, logPlans, logPosition, stepsOf } from "../../support/plan-log.ts";

/** So few rows are read whole by whoever is in a hurry. */
const fewRows = 600;
/** Looks at all tasks of the lanes that a worker takes over: once, and with one worker these are all. */
const growing = new Set(["task.redo"]);

test.each(["force_custom_plan", "force_generic_plan"] as const)(
  "20,000 members, %s: resized, listed, healed → no table is read whole",
  async (mode) => {
    const stage = await openStage({ prepare: (database) => logPlans(database.superuserUrl, mode) });
    const { world } = stage;
    const crowd = await fillCrowd(world, 20_000);
    await world.database.analyze();
    const from = logPosition();
    world.startWorker();
    const settled = (): Promise<unknown> =>
      world.until("the cluster has settled", async () => {
        const facts = await clusterFacts(world.database.db, crowd.clusterId);
        return facts !== null && facts.observedGeneration === facts.generation;
      });
    const cluster = { id: crowd.id };
    for (const by of [10, -5]) {
      await stage.execute("mutation ($input: ResizeClusterInput!) { resizeCluster(input: $input) { __typename } }", {
        input: { cluster, capacity: { by } },
      });
      await settled();
    }
    for (const filter of [{}, { status: ["ERROR"] }, { clusters: [crowd.id] }]) {
      const { errors } = await stage.execute(
        `query ($first: Int, $filter: ClusterNodeFilter) { clusterNodes(first: $first, filter: $filter) { nodes { id name status health { status } events(last: 2) { nodes { id } } } }
         clusters(first: $first) { nodes { id nodeCounts { total } actions(last: 3) { nodes { id } } } } events(last: 20) { nodes { id message } } }`,
        { first: 20, filter },
      );
      expect(errors).toBeUndefined();
    }
    const plans = loggedPlans(from).filter(({ statement }) => !growing.has(statement));
    await stage.stop({ withoutHistory: true });
    const whole = plans.flatMap(({ statement, plan }) =>
      [...stepsOf(plan)].flatMap(({ node }) => {
        const rows = ((node["Actual Rows"] ?? 0) + (node["Rows Removed by Filter"] ?? 0)) * (node["Actual Loops"] ?? 1);
        return node["Node Type"] === "Seq Scan" && rows > fewRows ? [`${statement}: ${node["Relation Name"]}, ${rows} rows`] : [];
      }),
    );
    expect(new Set(plans.map(({ statement }) => statement)).size).toBeGreaterThan(40);
    expect([...new Set(whole)]).toEqual([]);
  },
);
