/** The real API on a real port: a world, its feed, its schema, and tokens for whoever asks. */
import { createProject } from "../../src/commands/project.ts";
import { createToken } from "../../src/commands/token.ts";
import type { Result } from "../../src/core/errors.ts";
import { encodeId, type ProjectId, type TokenId } from "../../src/core/ids.ts";
import { type Limits, limitsWith } from "../../src/core/limits.ts";
import type { Role } from "../../src/core/principal.ts";
import { type Feed, startFeed } from "../../src/live/feed.ts";
import { createMetrics } from "../../src/server/metrics.ts";
import { startServer } from "../../src/server/server.ts";
import { openSession } from "../../src/store/session.ts";
import { startWorld, type World, type WorldOptions } from "../support/world.ts";

/** What a command that must succeed answered. */
export function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.refusal)}`);
  return result.value;
}

export interface LiveApi {
  readonly world: World;
  readonly feed: Feed;
  readonly url: string;
  mint(role: Role, projectId?: ProjectId): Promise<{ readonly secret: string; readonly tokenId: TokenId }>;
  project(name: string): Promise<ProjectId>;
  ask(token: string | null, query: string, variables?: unknown): Promise<Response>;
  /** Opens an SSE stream; aborting the signal leaves it. */
  stream(token: string | null, query: string, options?: { signal?: AbortSignal; lastEventId?: string; variables?: unknown }): Promise<Response>;
  stop(): Promise<void>;
}

export async function startLiveApi(options: WorldOptions & { readonly limits?: Partial<Limits> } = {}): Promise<LiveApi> {
  const world = await startWorld(options);
  const limits = limitsWith(options.limits ?? {});
  const { store, drivers, vault, log, database } = world;
  const feed = await startFeed({ store, openSession: () => openSession({ url: database.url, applicationName: "test feed" }), logger: log, limits });
  const server = await startServer({
    api: { store, feed, drivers, vault, limits, processPolicy: { mode: "on" } },
    host: "127.0.0.1",
    port: 0,
    origins: [],
    graphiql: true,
    logger: log,
    metrics: createMetrics(),
  });
  const headers = (token: string | null): Record<string, string> => ({
    "content-type": "application/json",
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  });
  let minted = 0;
  return {
    world,
    feed,
    url: server.url,
    mint: async (role, projectId = world.projectId) =>
      valueOf(
        await createToken(world.context("OPERATOR"), {
          name: `test-${role.toLowerCase()}-${++minted}`,
          role,
          project: { id: encodeId("project", projectId) },
        }),
      ),
    project: async (name) => valueOf(await createProject(world.context("OPERATOR"), { name })).projectId,
    ask: (token, query, variables) =>
      fetch(`${server.url}/graphql`, {
        method: "POST",
        headers: { ...headers(token), accept: "application/json" },
        body: JSON.stringify({ query, variables }),
      }),
    stream: (token, query, { signal, lastEventId, variables } = {}) =>
      fetch(`${server.url}/graphql`, {
        method: "POST",
        headers: { ...headers(token), accept: "text/event-stream", ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) },
        body: JSON.stringify({ query, variables }),
        ...(signal === undefined ? {} : { signal }),
      }),
    stop: async () => {
      await server.close();
      await feed.close();
      await world.stop();
    },
  };
}

/** The first frame's data of an SSE answer; leaves the stream after it. */
export async function firstFrame(response: Response): Promise<unknown> {
  if (response.body === null) throw new Error("the stream has no body");
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    text += decoder.decode(value, { stream: true });
    const data = /^data: (.+)$/m.exec(text)?.[1];
    if (data !== undefined && text.includes(`${data}\n\n`)) {
      await reader.cancel();
      const frame: unknown = JSON.parse(data);
      return frame;
    }
    if (done) throw new Error(`the stream ended without a frame: ${text}`);
  }
}
