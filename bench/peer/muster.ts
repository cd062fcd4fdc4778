/** What Muster does with the same questions as its peers, on databases of its own on the same server. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiClient, connect } from "../../src/cli/client.ts";
import { ClusterDocument } from "../../src/cli/graphql/generated/graphql.ts";
import { migrate } from "../../src/store/migrate.ts";
import { freePort } from "../../test/support/postgres.ts";
import { spawnMuster } from "../../test/support/spawn.ts";
import { type SpawnedWorker, spawnWorker } from "../../test/support/spawned-worker.ts";
import { check, listen, makeCluster, makeProfile, resize } from "../ask.ts";
import { startInstallation } from "../installation.ts";
import { openPoster, type Poster } from "../post.ts";
import { openProviderDoor, type ProviderDoor } from "../provider-door.ts";
import { type Latency, latencyOf, type Spread, spreadOf } from "../statistic.ts";

export interface MusterSize {
  readonly members: number;
  readonly rounds: number;
  readonly singles: number;
  readonly patienceMs: number;
}

export interface Throughput {
  /** Checks: each member is read, its driver asked, and the outcome counted. */
  readonly checked: Spread;
  readonly made: Spread;
  readonly takenAway: Spread;
}

/** `muster start` as it comes: an API process, and a worker for each core but one. */
export async function measureThroughput(databaseUrl: string, { members, rounds }: MusterSize): Promise<Throughput> {
  const { client, stop } = await startInstallation(databaseUrl);
  try {
    await makeProfile(client, "noop", "sim", {});
    const { clusterId } = await makeCluster(client, "noop", 0);
    const ends = await listen(client, ["action.finished"]);
    const perSecond = async (ask: () => Promise<string>): Promise<number> => {
      const startedMs = performance.now();
      const action = await ask();
      const { data } = await ends.next(({ actionId }) => actionId === action);
      if (data["status"] !== "SUCCEEDED") throw new Error(`the action ended as ${String(data["status"])}`);
      return members / ((performance.now() - startedMs) / 1_000);
    };
    const [checked, made, takenAway]: number[][] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      made?.push(await perSecond(() => resize(client, clusterId, members)));
      checked?.push(await perSecond(() => check(client, clusterId)));
      takenAway?.push(await perSecond(() => resize(client, clusterId, 0)));
    }
    ends.close();
    return { checked: spreadOf(checked ?? []), made: spreadOf(made ?? []), takenAway: spreadOf(takenAway ?? []) };
  } finally {
    await stop();
  }
}

export interface Timing {
  readonly sinceSent: Latency;
  readonly sinceAccepted: Latency;
  /** Members whose making the killed worker had in hand, and how long until another had called the driver for the first and the last of them, ms. */
  readonly takeover: { readonly held: number; readonly firstMs: number | null; readonly allMs: number | null };
}

/** An API process and two workers, whose provider is in this process. */
export async function measureTiming(databaseUrl: string, size: MusterSize): Promise<Timing> {
  await migrate(databaseUrl);
  const folder = mkdtempSync(join(tmpdir(), "muster-bench-"));
  const token = `bench-${randomBytes(16).toString("hex")}`;
  const vaultKey = randomBytes(32).toString("hex");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const provider = await openProviderDoor();
  const api = spawnMuster({
    args: ["api"],
    env: {
      DATABASE_URL: databaseUrl,
      MUSTER_PORT: String(port),
      MUSTER_DATA: folder,
      MUSTER_SECRET_KEY: vaultKey,
      MUSTER_ADMIN_TOKEN: token,
      MUSTER_LIMIT_TOKEN_REQUESTS_PER_SECOND: "100000",
    },
  });
  const workers: SpawnedWorker[] = [];
  const client = connect({ url, token });
  const poster = openPoster({ url, token }, 1);
  try {
    await api.line(/The API is there/);
    const hostId = "00000000-0000-7000-8000-0000000be7c4";
    for (const name of ["worker 1", "worker 2"])
      workers.push(await spawnWorker({ url: databaseUrl, providerUrl: provider.url, hostId, name, vaultKey }));
    const single = await timeSingles(client, poster, provider, size.singles);
    return { ...single, takeover: await takeOver(client, provider, workers, size) };
  } finally {
    poster.close();
    await client.close();
    for (const worker of workers) await worker.kill();
    api.kill("SIGTERM");
    await api.exited;
    await provider.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const checkOne = "mutation ($id: ID!) { checkClusterNode(input: { node: { id: $id } }) { ... on Error { message } } }";
/** Members that are checked in turn. */
const fleet = 50;
/** Between two single checks at most, ms: as for the peers. */
const pauseMs = 500;

/** From the mutation, and from its answer, until the driver is called for that member. */
async function timeSingles(client: ApiClient, poster: Poster, provider: ProviderDoor, rounds: number): Promise<Omit<Timing, "takeover">> {
  await makeProfile(client, "single", "sim", {});
  const ends = await listen(client, ["action.finished"]);
  const { clusterId, actionId } = await makeCluster(client, "single", fleet);
  await ends.next((line) => line.actionId === actionId);
  ends.close();
  const { cluster } = await client.request(ClusterDocument, { by: { id: clusterId }, first: fleet });
  const ids = (cluster?.nodes.nodes ?? []).map(({ id }) => id);
  const sinceSent: number[] = [];
  const sinceAccepted: number[] = [];
  // The first ones pay for compilation and connections.
  for (let n = -20; n < rounds; n++) {
    const called = new Promise<number>((resolve) => provider.onCall(({ atMs }) => resolve(atMs)));
    const sentMs = performance.now();
    const text = await poster.post(checkOne, { id: ids[(n + ids.length) % ids.length] });
    const acceptedMs = performance.now();
    if (text.includes("message")) throw new Error(text);
    const calledMs = await called;
    if (n >= 0) {
      sinceSent.push(calledMs - sentMs);
      sinceAccepted.push(calledMs - acceptedMs);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * pauseMs));
  }
  return { sinceSent: latencyOf(sinceSent), sinceAccepted: latencyOf(sinceAccepted) };
}

async function takeOver(
  client: ApiClient,
  provider: ProviderDoor,
  [victim, heir]: readonly SpawnedWorker[],
  { members, patienceMs }: MusterSize,
): Promise<Timing["takeover"]> {
  if (victim === undefined || heir === undefined) throw new Error("there are not two workers");
  const slow = Math.min(members, 1_000);
  await makeProfile(client, "slow", "sim", { createMs: 600_000 });
  const held = new Set<string>();
  const seen = new Map<string, number>();
  let killedMs = Number.POSITIVE_INFINITY;
  let begun = 0;
  await new Promise<void>((resolve) => {
    provider.onCall(({ nodeId, caller }) => {
      begun += 1;
      if (caller === victim.name) held.add(nodeId);
      if (begun === slow) resolve();
    });
    void makeCluster(client, "slow", slow);
  });
  const taken = new Promise<void>((resolve) => {
    provider.onCall(({ nodeId, caller, atMs }) => {
      if (caller !== heir.name || !held.has(nodeId) || seen.has(nodeId)) return;
      seen.set(nodeId, atMs - killedMs);
      if (seen.size === held.size) resolve();
    });
  });
  killedMs = performance.now();
  await victim.kill();
  await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, patienceMs).unref())]);
  const times = [...seen.values()].sort((a, b) => a - b);
  return { held: held.size, firstMs: times[0] ?? null, allMs: times.length === held.size ? (times.at(-1) ?? null) : null };
}
