import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ActionLiveDocument,
  type ActionLiveSubscription,
  ClusterLiveDocument,
  CreateClusterDocument,
  CreateProfileDocument,
  CreateTokenDocument,
  DeleteClusterDocument,
  EventBatchesDocument,
  EventStreamDocument,
  EventsDocument,
  FeedCursorDocument,
  NodeHealthDocument,
  ResizeClusterDocument,
} from "../../src/cli/graphql/generated/graphql.ts";
import { createProject } from "../../src/commands/project.ts";
import type { ProjectId } from "../../src/core/ids.ts";
import { must } from "../support/cluster.ts";
import { type Frames, openStage, type Stage } from "./stage.ts";

let stage: Stage;
let foreign: ProjectId;

beforeAll(async () => {
  stage = await openStage({ workers: 1 });
  foreign = must(await createProject(stage.world.context(), { name: "elsewhere" })).projectId;
  await stage.ask(CreateProfileDocument, { input: { name: "plain", type: "sim", spec: {} } });
});
afterAll(() => stage.stop());

async function aCluster(name: string, desiredCapacity: number): Promise<{ id: string; action: string }> {
  const { createCluster } = await stage.ask(CreateClusterDocument, { input: { name, profile: { name: "plain" }, desiredCapacity } });
  if (!("cluster" in createCluster)) throw new Error(JSON.stringify(createCluster));
  return { id: createCluster.cluster.id, action: createCluster.action.id };
}

/** The next frame; the stream must not have ended. */
async function next<T>(stream: Frames<T>): Promise<T> {
  const { done, value } = await stream.next();
  if (done === true || value === undefined) throw new Error("the stream has ended");
  return value;
}

describe("events", () => {
  test("from now on: what is written after the subscription, in the order of history, each with its cursor", async () => {
    const stream = await stage.follow(EventStreamDocument, { filter: { types: ["cluster.", "action."] } });
    const { id } = await aCluster("live-1", 1);
    const seen: string[] = [];
    for (let event = (await next(stream)).events; ; event = (await next(stream)).events) {
      expect(event.clusterId).toBe(id);
      seen.push(event.cursor);
      if (event.type === "cluster.settled") break;
    }
    await stream.return();
    const { events } = await stage.ask(EventsDocument, { first: 1_000, filter: { clusters: [id], types: ["cluster.", "action."] } });
    expect(events.nodes.map((event) => event.cursor).slice(0, seen.length)).toEqual(seen);
  });

  test("after a cursor of any kind: nothing is missed, nothing comes twice", async () => {
    const { feedCursor } = await stage.ask(FeedCursorDocument, {});
    const { id } = await aCluster("live-2", 2);
    await stage.world.until(
      "it has settled",
      async () => (await stage.ask(EventsDocument, { filter: { clusters: [id], types: ["cluster.settled"] } })).events.nodes.length > 0,
    );
    const whole = (await stage.ask(EventsDocument, { first: 1_000, filter: { clusters: [id] } })).events;
    const cursors = whole.nodes.map((event) => event.cursor);
    for (const [after, expected] of [
      [feedCursor, cursors],
      [cursors[0], cursors.slice(1)],
      [cursors[3], cursors.slice(4)],
    ] as const) {
      const stream = await stage.follow(EventStreamDocument, { after: after ?? null, filter: { clusters: [id] } });
      const seen: string[] = [];
      while (seen.length < expected.length) seen.push((await next(stream)).events.cursor);
      await stream.return();
      expect(seen).toEqual(expected);
    }
    const stream = await stage.follow(EventStreamDocument, { after: whole.resumeCursor, filter: { clusters: [id] } });
    await stage.ask(ResizeClusterDocument, { input: { cluster: { id }, capacity: { exactly: 3 } } });
    expect((await next(stream)).events.type).toBe("cluster.resized");
    await stream.return();
  });

  test("in batches: as many as fit in each, the whole history in order", async () => {
    const whole = (await stage.ask(EventsDocument, { first: 1_000 })).events.nodes.map((event) => event.cursor);
    const { events: first } = await stage.ask(EventsDocument, { first: 1 });
    const stream = await stage.follow(EventBatchesDocument, { after: first.nodes[0]?.cursor ?? null, maxSize: 5, maxWaitMs: 0 });
    const seen: string[] = [];
    while (seen.length < whole.length - 1) {
      const { eventBatches: batch } = await next(stream);
      expect(batch.events.length).toBeLessThanOrEqual(5);
      expect(batch.cursor).toBe(batch.events.at(-1)?.cursor);
      seen.push(...batch.events.map((event) => event.cursor));
    }
    await stream.return();
    expect(seen.slice(0, whole.length - 1)).toEqual(whole.slice(1));
  });

  test("another project's stream: only its own; below ADMIN nothing of tokens", async () => {
    const abroad = await stage.follow(EventStreamDocument, {}, { projectId: foreign });
    const below = await stage.follow(EventStreamDocument, { filter: { types: ["token.", "profile."] } }, { role: "MEMBER" });
    const admin = await stage.follow(EventStreamDocument, { filter: { types: ["token.", "profile."] } }, { role: "ADMIN" });
    await stage.ask(CreateTokenDocument, { input: { name: "seen", role: "READER" } });
    await stage.ask(CreateProfileDocument, { input: { name: "seen", type: "sim", spec: {} } });
    await stage.ask(CreateProfileDocument, { input: { name: "theirs", type: "sim", spec: {} } }, { projectId: foreign });
    expect((await next(below)).events.type).toBe("profile.created");
    expect((await next(admin)).events.type).toBe("token.created");
    expect((await next(abroad)).events.message).toContain("theirs");
    for (const stream of [abroad, below, admin]) await stream.return();
    const { events } = await stage.ask(EventsDocument, { first: 1_000, filter: { types: ["token."] } }, { role: "READER" });
    expect(events.nodes).toEqual([]);
  });

  test("junk, another incarnation, wrong sizes → refused with a code before anything streams", async () => {
    const codes = async (text: string): Promise<unknown[]> => (await stage.refusedStream(text)).map((error) => error.extensions["code"]);
    expect(await codes(`subscription { events(after: "junk") { id } }`)).toEqual(["INVALID_CURSOR"]);
    expect(await codes(`subscription { eventBatches(maxSize: 0) { cursor } }`)).toEqual(["BAD_USER_INPUT"]);
    expect(await codes(`subscription { eventBatches(maxWaitMs: -1) { cursor } }`)).toEqual(["BAD_USER_INPUT"]);
    expect(await codes(`subscription { events(filter: { nodes: [] }) { id } }`)).toEqual(["BAD_USER_INPUT"]);
    expect(await codes(`subscription { nodeHealth(cluster: { name: "nowhere" }) { cursor } }`)).toEqual(["BAD_USER_INPUT"]);
    const expired = await stage.follow(EventStreamDocument, { after: "1.1.1.1" });
    await expect(expired.next()).rejects.toMatchObject({ extensions: { code: "CURSOR_EXPIRED", oldest: expect.stringMatching(/^1\./) } });
  });

  test("a client completes while nothing happens: the stream is gone at once, and from the feed as well", async () => {
    const before = stage.feed.stats().subscribers;
    const stream = await stage.follow(EventStreamDocument, { filter: { types: ["cluster.deleted"] } });
    const waiting = stream.next();
    await stage.world.until("it waits", async () => stage.feed.stats().subscribers > before);
    await stream.return();
    expect((await waiting).done).toBe(true);
    expect(stage.feed.stats().subscribers).toBe(before);
  });
});

describe("objects, live", () => {
  test("a cluster: at once, after changes, null once it is gone, then the end", async () => {
    const { id } = await aCluster("shown", 2);
    const stream = await stage.follow(ClusterLiveDocument, { by: { name: "shown" } });
    const seen = [(await next(stream)).cluster];
    while (seen.at(-1)?.nodeCounts.active !== 2) seen.push((await next(stream)).cluster);
    expect(seen.every((cluster) => cluster?.id === id)).toBe(true);
    await stage.ask(DeleteClusterDocument, { input: { cluster: { id } } });
    while (seen.at(-1) !== null) seen.push((await next(stream)).cluster);
    expect((await stream.next()).done).toBe(true);
    const none = await stage.follow(ClusterLiveDocument, { by: { id } });
    expect(await next(none)).toEqual({ cluster: null });
    expect((await none.next()).done).toBe(true);
  });

  test("a cluster with pages above 100 → BAD_USER_INPUT in each frame", async () => {
    await aCluster("paged", 0);
    const stream = await stage.follow(ClusterLiveDocument, { by: { name: "paged" }, first: 101 });
    await expect(stream.next()).rejects.toMatchObject({ extensions: { code: "BAD_USER_INPUT" } });
  });

  test("an action: at once and until it has finished, then the end", async () => {
    const { action } = await aCluster("followed", 3);
    const stream = await stage.follow(ActionLiveDocument, { id: action });
    const seen: ActionLiveSubscription["action"][] = [];
    for await (const frame of stream) seen.push(frame.action);
    expect(seen.at(-1)).toMatchObject({ id: action, status: "SUCCEEDED", progress: { total: 3, done: 3 } });
    for (const frame of seen.slice(0, -1)) expect(frame?.finishedAt).toBeNull();
    const finished = await stage.follow(ActionLiveDocument, { id: action });
    expect((await next(finished)).action?.status).toBe("SUCCEEDED");
    expect((await finished.next()).done).toBe(true);
    const abroad = await stage.follow(ActionLiveDocument, { id: action }, { projectId: foreign });
    expect(await next(abroad)).toEqual({ action: null });
    expect((await abroad.next()).done).toBe(true);
  });

  test("health: verdicts and signals as they change, of one cluster or node, by id also after it is gone", async () => {
    await stage.ask(CreateProfileDocument, { input: { name: "mortal", type: "sim", spec: { lifetimeMs: 300 } } });
    const { feedCursor } = await stage.ask(FeedCursorDocument, {});
    const { createCluster } = await stage.ask(CreateClusterDocument, { input: { name: "mortal", profile: { name: "mortal" }, desiredCapacity: 1 } });
    if (!("cluster" in createCluster)) throw new Error(JSON.stringify(createCluster));
    const { id } = createCluster.cluster;
    const stream = await stage.follow(NodeHealthDocument, { cluster: { name: "mortal" }, after: feedCursor });
    const seen = [(await next(stream)).nodeHealth];
    expect(seen[0]).toMatchObject({ clusterId: id, nodeName: "mortal-1", current: "HEALTHY", verdict: "HEALTHY" });
    while (seen.at(-1)?.subject !== null || seen.at(-1)?.current !== "UNHEALTHY") seen.push((await next(stream)).nodeHealth);
    await stream.return();
    expect(seen.filter((change) => change.subject === "WORKLOAD" && change.current === "UNHEALTHY").length).toBeGreaterThan(0);
    const nodeId = seen[0]?.nodeId ?? "";
    const { deleteCluster } = await stage.ask(DeleteClusterDocument, { input: { cluster: { id } } });
    if (!("action" in deleteCluster)) throw new Error(JSON.stringify(deleteCluster));
    const ended = await stage.follow(ActionLiveDocument, { id: deleteCluster.action.id });
    while ((await ended.next()).done !== true);
    const again = await stage.follow(NodeHealthDocument, { node: { id: nodeId }, after: feedCursor });
    for (const change of seen.filter((one) => one.nodeId === nodeId)) expect((await next(again)).nodeHealth).toEqual(change);
    await again.return();
  });
});
