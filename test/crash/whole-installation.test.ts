/** `muster start` as a user has it, with real members: what is killed, when, and what a user sees of it. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ApiClient, connect } from "../../src/cli/client.ts";
import {
  ActionsDocument,
  ClusterDocument,
  CreateClusterDocument,
  CreateProfileDocument,
  DeleteClusterDocument,
  EventStreamDocument,
  FeedCursorDocument,
  NodeHealthDocument,
} from "../../src/cli/graphql/generated/graphql.ts";
import { refusalIn } from "../../src/cli/refusal.ts";
import { clearFolder, pidOf, runningIn, startFolder, startMuster, type TestInstallation, until } from "../support/installation.ts";

describe("an installation with members of the type process", () => {
  let folder: string;
  let at: TestInstallation;
  let client: ApiClient;
  beforeEach(async () => {
    folder = startFolder();
    at = await startMuster(folder, { env: { MUSTER_WORKERS: "2" } });
    client = connect({ url: at.url, token: at.token });
  });
  afterEach(async () => {
    await client.close();
    clearFolder(folder);
  });

  /** By what they are told, no two commands are the same: a member is known by its command line. */
  const members = (): number[] => runningIn(folder).flatMap(({ title, pid }) => (/^sleep 98765/.test(title) ? [pid] : []));
  const make = async (desiredCapacity: number): Promise<void> => {
    const input = { name: "web", type: "process", spec: { command: ["sleep", "98765"] } };
    expect(refusalIn((await client.request(CreateProfileDocument, { input })).createProfile)).toBeNull();
    const cluster = { name: "web", profile: { name: "web" }, desiredCapacity, minSize: 0, timeoutSeconds: 600 };
    expect(refusalIn((await client.request(CreateClusterDocument, { input: cluster })).createCluster)).toBeNull();
  };
  const settled = async (size: number): Promise<boolean> => {
    try {
      const { cluster } = await client.request(ClusterDocument, { by: { name: "web" }, first: 1 });
      return cluster?.observedGeneration === cluster?.generation && cluster?.nodeCounts.active === size && cluster.nodeCounts.total === size;
    } catch {
      // The API or its database is away just now.
      return false;
    }
  };
  const failures = async (): Promise<unknown[]> => {
    const { actions } = await client.request(ActionsDocument, { last: 200, filter: { status: ["FAILED"] } });
    return actions.nodes;
  };

  test("a worker killed while 50 are being made → exactly 50 processes, nothing FAILED; deleted → none", { timeout: 120_000 }, async () => {
    await make(50);
    await until(() => members().length > 0);
    process.kill(pidOf(folder, /^muster worker 1/), "SIGKILL");
    await until(() => settled(50));
    expect(members()).toHaveLength(50);
    expect(await failures()).toEqual([]);
    const gone = await client.request(DeleteClusterDocument, { input: { cluster: { name: "web" }, abandon: false } });
    expect(refusalIn(gone.deleteCluster)).toBeNull();
    await until(() => members().length === 0);
  });

  test("a member killed → a frame, events, a healthy one in its place, and the action says why", { timeout: 120_000 }, async () => {
    await make(5);
    await until(() => settled(5));
    const { feedCursor } = await client.request(FeedCursorDocument, {});
    const stop = new AbortController();
    const frames = client.subscribe(NodeHealthDocument, { cluster: { name: "web" }, after: feedCursor }, stop.signal)[Symbol.asyncIterator]();
    const events = client.subscribe(EventStreamDocument, { after: feedCursor, filter: { types: ["node."] } }, stop.signal)[Symbol.asyncIterator]();
    // Both stand before anything is killed: the rest of the API has answered on the same socket's server since.
    const frame = frames.next();
    const line = events.next();
    await client.request(FeedCursorDocument, {});
    const [victim = 0] = members();
    process.kill(victim, "SIGKILL");
    const seen = await frame;
    expect(seen.value).toMatchObject({ nodeHealth: { subject: "WORKLOAD", current: "UNHEALTHY", verdict: "UNHEALTHY" } });
    expect((await line).done).toBe(false);
    await until(async () => members().length === 5 && !members().includes(victim) && (await settled(5)));
    const { actions } = await client.request(ActionsDocument, { last: 1, filter: { causes: ["HEALTH"] } });
    expect(actions.nodes).toMatchObject([{ cause: "HEALTH" }]);
    stop.abort();
  });

  test("PostgreSQL killed → everything comes back by itself, the members have not noticed, a subscriber misses nothing", {
    timeout: 120_000,
  }, async () => {
    await make(3);
    await until(() => settled(3));
    const before = members();
    const { feedCursor } = await client.request(FeedCursorDocument, {});
    process.kill(pidOf(folder, /bin\/postgres /), "SIGKILL");
    await until(async () => {
      try {
        const { createProfile } = await client.request(CreateProfileDocument, {
          input: { name: "after", type: "sim", spec: {}, idempotencyKey: "after" },
        });
        return refusalIn(createProfile) === null;
      } catch {
        return false;
      }
    });
    expect(await until(() => settled(3))).toBe(true);
    expect(members()).toEqual(before);
    const stop = new AbortController();
    for await (const { events } of client.subscribe(EventStreamDocument, { after: feedCursor, filter: { types: ["profile."] } }, stop.signal)) {
      expect(events).toMatchObject({ type: "profile.created", data: { name: "after" } });
      break;
    }
    stop.abort();
    expect(readFileSync(`${folder}/.muster/admin-token`, "utf8").trim()).toBe(at.token);
  });
});
