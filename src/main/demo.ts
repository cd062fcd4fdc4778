/**
 * `muster start --demo`: a Muster of its own in $MUSTER_DATA/demo, a cluster of five small servers made through the API, shown live.
 * Kill one, and watch it being told and replaced. At the end nothing of it runs any more.
 */
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ApiClient, ApiError, connect, Refused } from "../cli/client.ts";
import { type Display, openDisplay } from "../cli/display.ts";
import { CreateClusterDocument, CreateProfileDocument, DeleteClusterDocument, FeedCursorDocument } from "../cli/graphql/generated/graphql.ts";
import { refusalIn } from "../cli/refusal.ts";
import type { ClusterView } from "../cli/screen.ts";
import { watchCluster } from "../cli/watch.ts";
import type { Runtime } from "../core/runtime.ts";
import { isLoopback } from "../server/origin.ts";
import { Complaint } from "./complaint.ts";
import type { Config } from "./config.ts";
import { adminTokenFile, openDataFolder } from "./data-folder.ts";
import { emptyDemoFolder, endMembers } from "./demo-folder.ts";
import { createLogger } from "./logger.ts";
import { takeOwnerLock } from "./owner-lock.ts";
import { realRuntime } from "./runtime.ts";
import { type Installation, startInstallation } from "./start.ts";
import { listenForStop, type StopSignal, untilAborted } from "./stop-signal.ts";
import { packageFolder } from "./version.ts";

const clusterName = "web";
const clusterSize = 5;
/** How long the members may take to end in order before they are killed, ms. */
const farewellMs = 8_000;

export async function runDemo(given: Config): Promise<number> {
  process.title = "muster start --demo";
  if (!isLoopback(given.host) && given.process !== "on") {
    throw new Complaint(
      `The demo runs processes, and MUSTER_HOST is ${given.host}, which others can reach. Leave MUSTER_HOST out, or set MUSTER_PROCESS=on as well.`,
    );
  }
  const stop = listenForStop();
  const runtime = realRuntime();
  const config: Config = { ...given, data: join(given.data, "demo"), databaseUrl: null, directUrl: null, process: "on" };
  openDataFolder(config.data);
  const lock = await takeOwnerLock(config.data, "muster start --demo", runtime.timers);
  process.stdout.write("Starting PostgreSQL, the API and the workers …\n");
  const quiet = createLogger({ level: "silent", process: "start", file: null });
  await emptyDemoFolder(config, { ...runtime, logger: quiet });
  const logFile = join(config.data, "log", "muster.log");
  mkdirSync(join(config.data, "log"), { recursive: true, mode: 0o700 });
  const output = openSync(logFile, "a", 0o600);
  try {
    const logger = createLogger({ level: config.logLevel, process: "start", file: logFile });
    const installation = await startInstallation({
      config,
      command: "muster start --demo",
      runtime,
      logger,
      logFile,
      output,
      stop,
      lock,
    });
    await showAndEnd(config, installation, runtime, stop);
  } finally {
    await endMembers(config, { ...runtime, logger: quiet });
    lock.release();
    closeSync(output);
  }
  return 0;
}

async function showAndEnd(config: Config, installation: Installation, runtime: Runtime, stop: StopSignal): Promise<void> {
  const token = config.adminToken ?? installation.newToken ?? readFileSync(adminTokenFile(config.data), "utf8").trim();
  const client = connect({ url: installation.url, token });
  try {
    await show({ config, client, runtime, stop, url: installation.url, token });
    process.stdout.write("Stopping: the members first, then everything else …\n");
    await deleteMembers(client, runtime, stop);
  } finally {
    await client.close();
    await installation.stop({ hurry: true });
  }
  process.stdout.write("Nothing is left running.\n");
}

interface Show {
  readonly config: Config;
  readonly client: ApiClient;
  readonly runtime: Runtime;
  readonly stop: StopSignal;
  readonly url: string;
  readonly token: string;
}

async function show({ config, client, runtime, stop, url, token }: Show): Promise<void> {
  const { feedCursor } = await client.request(FeedCursorDocument, {});
  await createCluster(client, runtime);
  process.stdout.write(
    `\n  GraphiQL  ${url}/graphiql#token=${token}\n  GraphQL   ${url}/graphql   (token in ${adminTokenFile(config.data)})\n  Log       ${join(config.data, "log", "muster.log")}\n\n`,
  );
  const display = openDisplay(process.stdout);
  display.hint("Five members are being started. Ctrl-C ends everything.");
  try {
    await watchCluster({
      client,
      display,
      cluster: clusterName,
      after: feedCursor,
      timers: runtime.timers,
      signal: stop.asked,
      onCluster: (cluster) => suggest(display, cluster),
      // The log says why, and the next picture follows.
      onAway: (reason) => display.hint(reason === null ? "" : "The API is away for a moment. Ctrl-C ends everything."),
    });
    // Somebody deleted the cluster by hand: everything else goes on until Ctrl-C.
    if (!stop.asked.aborted) display.hint("The cluster is gone. Ctrl-C ends everything else.");
    await untilAborted(stop.asked);
  } catch (error) {
    if (error instanceof Refused) throw new Complaint(`The demo's token is refused: ${error.message}`);
    throw error;
  } finally {
    display.close();
  }
}

/** A command that can be copied: whom to kill. */
function suggest(display: Display, cluster: ClusterView | null): void {
  const victim = cluster?.members.find((member) => member.health === "HEALTHY" && member.pid !== null);
  if (cluster === null || victim === undefined) return;
  const { healthy, desired } = cluster;
  display.hint(
    healthy < desired
      ? `${healthy} of ${desired} members are healthy. Ctrl-C ends everything.`
      : `All ${desired} members are healthy. In another terminal, kill one and watch (Ctrl-C ends everything):\n\n  kill -9 ${victim.pid}`,
  );
}

async function createCluster(client: ApiClient, runtime: Runtime): Promise<void> {
  const spec = {
    command: [process.execPath, join(packageFolder(), "examples", "web", "server.mjs")],
    publicEnv: { PORT: "{{ports.http}}", NAME: "{{node.name}}" },
    ports: ["http"],
    health: { http: { port: "http", path: "/" }, intervalMs: 1_000, timeoutMs: 1_000 },
  };
  const profile = await client.request(CreateProfileDocument, {
    input: { name: clusterName, type: "process", spec, idempotencyKey: runtime.entropy.uuid() },
  });
  accept(refusalIn(profile.createProfile));
  const cluster = await client.request(CreateClusterDocument, {
    input: {
      name: clusterName,
      profile: { name: clusterName },
      desiredCapacity: clusterSize,
      minSize: 1,
      maxSize: 50,
      idempotencyKey: runtime.entropy.uuid(),
    },
  });
  accept(refusalIn(cluster.createCluster));
}

function accept(refusal: string | null): void {
  if (refusal !== null) throw new Complaint(`The demo's cluster was refused: ${refusal}`);
}

/** Has Muster end its members in order, as long as that takes no longer than people wait. What is left is killed afterwards. */
async function deleteMembers(client: ApiClient, runtime: Runtime, stop: StopSignal): Promise<void> {
  const patience = new AbortController();
  const bounded = AbortSignal.any([patience.signal, stop.hurried]);
  const timeout = runtime.timers.wait(farewellMs, bounded).then(() => patience.abort());
  try {
    const { deleteCluster } = await client.request(DeleteClusterDocument, {
      input: { cluster: { name: clusterName }, idempotencyKey: runtime.entropy.uuid() },
    });
    const silent: Display = { cluster: () => undefined, event: () => undefined, hint: () => undefined, close: () => undefined };
    const { feedCursor } = await client.request(FeedCursorDocument, {});
    if (refusalIn(deleteCluster) === null) {
      await watchCluster({
        client,
        display: silent,
        cluster: clusterName,
        after: feedCursor,
        timers: runtime.timers,
        signal: bounded,
        onCluster: () => undefined,
        onAway: () => undefined,
      });
    }
  } catch (error) {
    // The API may be away just now; the members are ended all the same.
    if (!(error instanceof ApiError || error instanceof TypeError)) throw error;
  } finally {
    patience.abort();
    await timeout;
  }
}
