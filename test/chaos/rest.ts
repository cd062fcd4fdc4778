/** After the storm: everything is put in order, comes to rest, and stays there. */
import { sql } from "kysely";
import type { ApiClient } from "../../src/cli/client.ts";
import { ClustersDocument } from "../../src/cli/graphql/generated/graphql.ts";
import { nodeStatusCodes } from "../../src/core/node.ts";
import type { Runtime } from "../../src/core/runtime.ts";
import type { Database } from "../../src/store/database.ts";
import type { ProviderProcess } from "../support/provider.ts";
import { ask, type Noted, notedOf } from "./client.ts";

export interface RestDeps {
  readonly db: Database;
  readonly provider: ProviderProcess;
  readonly api: ApiClient;
  readonly runtime: Runtime;
  readonly journal: Noted[];
}

/** How long everything may take to come to rest, ms. */
const patienceMs = 90_000;
/** Recovery is asked for again so often: members of the flaky cluster fail again and again, ms. */
const kickMs = 2_000;
const lookMs = 100;
/** So long nothing may be asked of the provider once all is at rest, ms. */
const quietMs = 2_500;

/** Checks all members, heals the dead ones, waits. Resolves to what does not come to rest. */
export async function settle(deps: RestDeps): Promise<string[]> {
  const { db, runtime } = deps;
  await toAll(deps, "check");
  const startedMs = runtime.clock.monotonicMs();
  let kickedMs = startedMs;
  for (;;) {
    const unrest = await whatMoves(db);
    if (unrest.length === 0) return [];
    const nowMs = runtime.clock.monotonicMs();
    if (nowMs - startedMs > patienceMs) return unrest.map((what) => `never at rest: ${what}`);
    if (nowMs - kickedMs > kickMs) {
      kickedMs = nowMs;
      await toAll(deps, "recover");
    }
    await runtime.timers.wait(lookMs);
  }
}

/** At rest nothing is asked of the provider. */
export async function staysQuiet({ provider, runtime }: RestDeps): Promise<string[]> {
  const { total } = await provider.books();
  await runtime.timers.wait(quietMs);
  const after = (await provider.books()).total;
  return after === total ? [] : [`at rest, the provider was called ${after - total} times in ${quietMs / 1_000} s`];
}

/** Deletes every cluster. Resolves to what is left of them. */
export async function removeAll(deps: RestDeps): Promise<string[]> {
  const { db, provider, runtime } = deps;
  await toAll(deps, "delete");
  const startedMs = runtime.clock.monotonicMs();
  for (;;) {
    const { rows } = await sql<{ what: string }>`
      /* chaos.left */
      select 'cluster ' || name as what from muster.cluster union all select 'node ' || name from muster.node
      union all select 'task of ' || node_id from muster.task union all select 'notable ' || node_id from muster.notable
      union all select 'open action ' || id from muster.action where finished_at is null
      union all select 'counts of ' || cluster_id from muster.cluster_count union all select 'due ' || cluster_id from muster.cluster_due
      union all select 'batch ' || batch || ' without a position' from muster.marker`.execute(db);
    const alive = (await provider.books()).alive.map((life) => `at the provider: ${life.physicalId}`);
    const left = [...rows.map((row) => row.what), ...alive];
    if (left.length === 0) return [];
    if (runtime.clock.monotonicMs() - startedMs > patienceMs) return left.map((what) => `left behind: ${what}`);
    await runtime.timers.wait(lookMs);
  }
}

async function whatMoves(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    /* chaos.unrest */
    select 'cluster ' || c.name || ' wants ' || c.desired_capacity || ' at generation ' || c.generation || ', has ' || m.nodes || ', active ' || m.active
           || ', settled at ' || s.observed_generation || ', ' || s.conditions as what
      from muster.cluster c join muster.cluster_state s on s.cluster_id = c.id
      cross join lateral (select count(*) as nodes, count(*) filter (where n.status = ${nodeStatusCodes.ACTIVE}) as active
                            from muster.node n where n.cluster_id = c.id) m
     where c.deleting or s.observed_generation <> c.generation or m.nodes <> c.desired_capacity or m.active <> c.desired_capacity
    union all
    select 'action ' || id || ' of kind ' || kind || ' for ' || coalesce(subject_name, '?') || ' has status ' || status from muster.action where finished_at is null
    union all
    select 'task of kind ' || kind || ' of node ' || node_id || ', due ' || due_at || ', begun by ' || begun_by from muster.task
    union all
    select 'batch ' || batch || ' has no position' from muster.marker`.execute(db);
  return rows.map((row) => row.what);
}

let asked = 0;

/** Asks it of every cluster; one that is on its way out refuses. */
async function toAll({ api, journal }: RestDeps, kind: "check" | "recover" | "delete"): Promise<void> {
  const { clusters } = await api.request(ClustersDocument, { first: 100 });
  for (const { name } of clusters.nodes) {
    asked += 1;
    const noted = notedOf(`rest-${asked}`, { kind, cluster: name });
    journal.push(noted);
    await ask(api, noted);
    if (noted.lost.length > 0) throw new Error(`in peace, an answer was lost: ${noted.lost.join("; ")}`);
  }
}
