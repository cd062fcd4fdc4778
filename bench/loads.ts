/** What `profile` looks at: each load is something to do, and how many pieces of it there are. */
import { setMaxListeners } from "node:events";
import { connect } from "../src/cli/client.ts";
import { ClusterDocument, EventStreamDocument, FeedCursorDocument } from "../src/cli/graphql/generated/graphql.ts";
import { check, listen, makeCluster, makeProfile, resize } from "./ask.ts";
import { openBooks } from "./books.ts";
import { gather } from "./crowd.ts";
import type { Installation } from "./installation.ts";
import { openPoster } from "./post.ts";
import { singleSettings, singleSpec } from "./single.ts";
import { changeSize, connections } from "./supersede.ts";
import { swing } from "./wish.ts";

const wishes = 200;
const pages = 60;
const reads = 400;
const restSeconds = 30;
const changes = 5_000;
const stormy = 1_000;
const subscribers = 1_000;
const told = 20;

export interface Load {
  readonly name: string;
  readonly unit: string;
  readonly units: number;
  prepare?(): Promise<void>;
  run(): Promise<void>;
}

/** An installation, and what is asked of it. */
export interface Scene {
  readonly settings: Readonly<Record<string, string>>;
  /** One after the other: each finds what the one before has left. */
  loads(installation: Installation): Promise<{ readonly loads: readonly Load[]; close(): Promise<void> }>;
}

export function scenesOf(members: number): readonly Scene[] {
  return [
    { settings: { MUSTER_LIMIT_TOKEN_SOCKETS: String(subscribers + 10) }, loads: (installation) => batchedLoads(installation, members) },
    { settings: singleSettings, loads: (installation) => singleLoads(installation, Math.ceil(members / 10)) },
  ];
}

async function batchedLoads(installation: Installation, members: number): ReturnType<Scene["loads"]> {
  const { client } = installation;
  await makeProfile(client, "big", "sim", {});
  await makeProfile(client, "small", "sim", {});
  await makeProfile(client, "overtaken", "sim", {});
  const ends = await listen(client, ["action.finished"]);
  const ended = async (action: string): Promise<void> => void (await ends.next(({ actionId }) => actionId === action));
  const sized = async (id: string, size: number): Promise<void> => ended(await resize(client, id, size));
  const [big, small] = [await makeCluster(client, "big", 0), await makeCluster(client, "small", 3)];
  await ended(small.actionId);
  const alternate = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) await sized(small.clusterId, 3 + ((i + 1) % 2));
  };
  const overtaken = await makeCluster(client, "overtaken", stormy);
  await ended(overtaken.actionId);
  const poster = openPoster(installation, connections);
  const books = await openBooks(installation.databaseUrl);
  const crowd = createCrowd(installation, small.clusterId);
  const loads: readonly Load[] = [
    {
      name: "a member made, and taken away again",
      unit: "member",
      units: 2 * members,
      run: () => sized(big.clusterId, members).then(() => sized(big.clusterId, 0)),
    },
    { name: "a wish for one member more, or less, carried out", unit: "wish", units: wishes, run: () => alternate(wishes) },
    {
      name: "a change of a cluster's size, as many as go",
      unit: "change",
      units: changes,
      run: async () => {
        const { sizes } = swing(stormy, changes, 1);
        let next = 0;
        const ask = async (): Promise<void> => {
          for (let n = next++; n < changes; n = next++) await changeSize(poster, overtaken.clusterId, sizes[n] ?? 0);
        };
        await Promise.all(Array.from({ length: connections }, ask));
      },
    },
    {
      name: "a check of a member, in a check of all",
      unit: "check",
      units: members,
      prepare: () => sized(big.clusterId, members),
      run: async () => ended(await check(client, big.clusterId)),
    },
    {
      name: "a page of 1,000 members",
      unit: "page",
      units: pages,
      run: async () => {
        for (let i = 0; i < pages; i++) await client.request(ClusterDocument, { by: { id: big.clusterId }, first: 1_000, lastEvents: 1 });
      },
    },
    {
      name: "a cluster with 50 members and its last events",
      unit: "read",
      units: reads,
      run: async () => {
        for (let i = 0; i < reads; i++) await client.request(ClusterDocument, { by: { id: big.clusterId }, first: 50, lastEvents: 10 });
      },
    },
    {
      name: `at rest with ${members} members`,
      unit: "second",
      units: restSeconds,
      prepare: async () => void (await books.rest()),
      run: () => new Promise((resolve) => setTimeout(resolve, 1_000 * restSeconds)),
    },
    {
      name: `a frame to one of ${subscribers} subscribers, with the wish that it tells of`,
      unit: "frame",
      units: told * subscribers,
      prepare: () => crowd.gather(),
      run: async () => {
        const all = crowd.next(told);
        await alternate(told);
        await all;
      },
    },
  ];
  return {
    loads,
    close: async () => {
      ends.close();
      poster.close();
      await crowd.leave();
      await books.close();
    },
  };
}

async function singleLoads({ client }: Installation, members: number): ReturnType<Scene["loads"]> {
  await makeProfile(client, "single", "sim", singleSpec);
  const ends = await listen(client, ["action.finished"]);
  const { clusterId } = await makeCluster(client, "single", 0);
  const sized = async (size: number): Promise<void> => {
    const action = await resize(client, clusterId, size);
    await ends.next(({ actionId }) => actionId === action);
  };
  const run = async (): Promise<void> => {
    await sized(members);
    await sized(0);
  };
  return {
    loads: [{ name: "a member made, or taken away, by one driver call", unit: "member", units: 2 * members, run }],
    close: async () => ends.close(),
  };
}

/** Many who are told of each action of a cluster that ends, each over a WebSocket of its own. */
function createCrowd(installation: Installation, clusterId: string) {
  const over = new AbortController();
  // Everybody listens: that is no leak.
  setMaxListeners(0, over.signal);
  let followers: readonly Promise<void>[] = [];
  let frames = 0;
  let awaited = { frames: Number.POSITIVE_INFINITY, resolve: (): void => undefined };
  const follow = async (after: string): Promise<void> => {
    const own = connect(installation);
    try {
      const ofCluster = { after, filter: { clusters: [clusterId], types: ["action.finished"] } };
      for await (const _ of own.subscribe(EventStreamDocument, ofCluster, over.signal)) {
        frames++;
        if (frames >= awaited.frames) awaited.resolve();
      }
    } finally {
      await own.close();
    }
  };
  return {
    gather: async (): Promise<void> => {
      const { feedCursor } = await installation.client.request(FeedCursorDocument, {});
      followers = await gather(installation.client, subscribers, () => follow(feedCursor));
    },
    /** Resolves when each has been told so many times more. */
    next: (times: number): Promise<void> =>
      new Promise((resolve) => {
        awaited = { frames: frames + times * subscribers, resolve };
      }),
    leave: async (): Promise<void> => {
      over.abort();
      await Promise.all(followers);
    },
  };
}
