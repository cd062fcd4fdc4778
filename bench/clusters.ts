/** Very many small clusters at once: how fast they are accepted, how long until all of them are ACTIVE, what they weigh, what they cost at rest. */
import pg from "pg";
import type { ApiClient } from "../src/cli/client.ts";
import { UpdateProjectDocument } from "../src/cli/graphql/generated/graphql.ts";
import { clusterStatusCodes } from "../src/core/cluster.ts";
import { accepted, makeProfile } from "./ask.ts";
import { openBooks } from "./books.ts";
import { startInstallation } from "./installation.ts";
import { openPoster, type Poster } from "./post.ts";
import { cpuSecondsUnder } from "./process-tree.ts";
import { latencyOf } from "./statistic.ts";
import { latency, memoryUnder, printTable, whole } from "./table.ts";

const membersEach = 10;
/** As many as one operation may hold (MUSTER_LIMIT_ROOT_MUTATIONS). */
const perRequest = 20;
/** More would only wait for each other: an operation carries out its mutations one by one, within its 10 s. */
const connections = 4;
/** Between two looks at the database while it works, ms: a look reads a row per cluster. */
const lookMs = 250;
const restSeconds = 60;

export async function benchClusters(count: number): Promise<void> {
  const installation = await startInstallation();
  const { client, pid, databaseUrl, stop } = installation;
  const database = new pg.Client({ connectionString: databaseUrl });
  const poster = openPoster(installation, connections);
  const books = await openBooks(databaseUrl);
  try {
    await database.connect();
    await makeProfile(client, "small", "sim", {});
    await raiseQuota(client, count);
    const cpuBefore = cpuUnder(pid);
    const startedMs = performance.now();
    const taken: number[] = [];
    let next = 0;
    const ask = async (): Promise<void> => {
      for (let from = next; from < count; from = next) {
        next = Math.min(count, from + perRequest);
        const sentMs = performance.now();
        await makeClusters(poster, from, next);
        taken.push(performance.now() - sentMs);
      }
    };
    await Promise.all(Array.from({ length: connections }, ask));
    const acceptedMs = performance.now() - startedMs;
    const activeWhenAccepted = await readyClusters(database);
    while ((await readyClusters(database)) < count) await new Promise((resolve) => setTimeout(resolve, lookMs));
    const activeMs = performance.now() - startedMs;
    const cpuAfter = cpuUnder(pid);
    const cpuMs = {
      muster: (1_000 * (cpuAfter.muster - cpuBefore.muster)) / count,
      postgres: (1_000 * (cpuAfter.postgres - cpuBefore.postgres)) / count,
    };
    const memory = memoryUnder(pid);
    if (!(await books.rest())) console.log("PostgreSQL has not come to rest: the idle figure is what it still does");
    const restBefore = cpuSecondsUnder(pid);
    await new Promise((resolve) => setTimeout(resolve, restSeconds * 1_000));
    const idle = (100 * (cpuSecondsUnder(pid) - restBefore)) / restSeconds;
    const request = latencyOf(taken);
    const { rows } = await database.query<{ bytes: string }>("select pg_database_size(current_database()) as bytes");
    const databaseMiB = Number(rows[0]?.bytes) / 2 ** 20;
    const members = count * membersEach;
    printTable(
      [
        [
          `clusters of ${membersEach}, accepted a second (${connections} connections, ${perRequest} mutations a request)`,
          whole(count / (acceptedMs / 1_000)),
        ],
        [`request of ${perRequest} mutations, p50 / p99 ms`, latency(request)],
        [`all ${whole(count)} accepted after, s (ACTIVE by then)`, `${(acceptedMs / 1_000).toFixed(1)} (${whole(activeWhenAccepted)})`],
        [`all ${whole(count)} ACTIVE after, s`, (activeMs / 1_000).toFixed(1)],
        ["members/s, from the first mutation until all are ACTIVE", whole(members / (activeMs / 1_000))],
        ["CPU time a cluster, Muster's processes + PostgreSQL's, ms", `${cpuMs.muster.toFixed(1)} + ${cpuMs.postgres.toFixed(1)}`],
        [`memory of Muster's ${memory.processes} processes, MiB`, whole(memory.muster)],
        ["memory of PostgreSQL, MiB", whole(memory.postgres)],
        ["database with its ledger, MiB", whole(databaseMiB)],
        ["idle afterwards, CPU of all processes with PostgreSQL's, % of a core", idle.toFixed(1)],
      ],
      { clusters: count, membersEach, acceptedMs, activeMs, activeWhenAccepted, request, cpuMs, memory, databaseMiB, idle },
    );
  } finally {
    poster.close();
    await books.close();
    await database.end();
    await stop();
  }
}

function cpuUnder(pid: number): { readonly muster: number; readonly postgres: number } {
  const postgres = cpuSecondsUnder(pid, (title) => /postgres/.test(title));
  return { postgres, muster: cpuSecondsUnder(pid) - postgres };
}

/** To four times what is asked for: near a limit requests are counted one by one. */
async function raiseQuota(client: ApiClient, count: number): Promise<void> {
  const quota = [
    { quota: "clusters", limit: 4 * count },
    { quota: "nodes", limit: 4 * count * membersEach },
  ];
  const { updateProject } = await client.request(UpdateProjectDocument, { input: { project: { name: "default" }, quota } });
  accepted(updateProject, "project");
}

/** Those that are ACTIVE and have nothing left to do. */
async function readyClusters(database: pg.Client): Promise<number> {
  const { rows } = await database.query<{ ready: string }>(
    `select count(*) as ready from muster.cluster_state s join muster.cluster c on c.id = s.cluster_id
      where s.status = $1 and s.observed_generation = c.generation`,
    [clusterStatusCodes.ACTIVE],
  );
  return Number(rows[0]?.ready);
}

async function makeClusters(poster: Poster, from: number, to: number): Promise<void> {
  const fields = Array.from({ length: to - from }, (_, n) => {
    const input = `{ name: "c-${from + n}", profile: { name: "small" }, desiredCapacity: ${membersEach}, timeoutSeconds: 3600 }`;
    return `c${n}: createCluster(input: ${input}) { ... on Error { message } }`;
  });
  const text = await poster.post(`mutation { ${fields.join("\n")} }`);
  const { data, errors }: { data?: Readonly<Record<string, { readonly message?: string }>> | null; errors?: unknown } = JSON.parse(text);
  const refusals = Object.values(data ?? {}).filter((payload) => payload.message !== undefined);
  if (data == null || errors !== undefined || refusals.length > 0) throw new Error(`clusters were refused: ${text.slice(0, 500)}`);
}
