/** A server with a schema of its own, for tests of the transports: nothing of Muster's nouns, no database. */
import { randomBytes, randomUUID } from "node:crypto";
import { buildSchema, type GraphQLField, type GraphQLObjectType, type GraphQLSchema } from "graphql";
import { brandId, type TokenId } from "../../src/core/ids.ts";
import { type Limits, limitsWith } from "../../src/core/limits.ts";
import type { Principal, Role } from "../../src/core/principal.ts";
import type { Logger, Runtime } from "../../src/core/runtime.ts";
import { TokenAuthenticator, type TokenSource } from "../../src/server/authenticate.ts";
import { type DoorOptions, openDoor, type RunningServer } from "../../src/server/door.ts";
import { createMetrics } from "../../src/server/metrics.ts";
import { hashTokenSecret, mintTokenSecret } from "../../src/store/token.ts";

export interface TestRuntime extends Runtime {
  /** Moves the clock; timers stay real. */
  advance(ms: number): void;
  /** From here on the clock moves by `advance` alone. */
  freeze(): void;
}

function testRuntime(): TestRuntime {
  let offset = 0;
  let frozenAt: number | null = null;
  return {
    clock: { monotonicMs: () => (frozenAt ?? performance.now()) + offset, wallMs: () => Date.now() + offset },
    timers: {
      wait: (ms, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted === true) return resolve();
          const done = (): void => {
            clearTimeout(timer);
            signal?.removeEventListener("abort", done);
            resolve();
          };
          const timer = setTimeout(done, ms);
          signal?.addEventListener("abort", done);
        }),
    },
    entropy: { uuid: () => randomUUID(), bytes: (count) => randomBytes(count), fraction: () => 0.5 },
    advance: (ms) => {
      offset += ms;
    },
    freeze: () => {
      frozenAt = performance.now();
    },
  };
}

export interface LogLine {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export function memoryLogger(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const write = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => void lines.push({ level, fields, message });
  return { lines, debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

/** Tokens in memory, with switches. */
export class MemoryTokens implements TokenSource {
  readonly lookups: string[] = [];
  readonly noted: TokenId[] = [];
  private readonly known = new Map<string, { principal: Principal; state: "good" | "expired" | "revoked" }>();
  /** Thrown by every look-up while it is set. */
  failure: Error | null = null;

  mint(runtime: Runtime, role: Role = "ADMIN", state: "good" | "expired" | "revoked" = "good"): string {
    const secret = mintTokenSecret(runtime.entropy);
    const principal: Principal = {
      tokenId: brandId("token", randomUUID()),
      tokenName: "test",
      projectId: brandId("project", randomUUID()),
      role,
      expiresAtMs: null,
    };
    this.known.set(hashTokenSecret(secret).toString("hex"), { principal, state });
    return secret;
  }

  revoke(secret: string): void {
    const entry = this.known.get(hashTokenSecret(secret).toString("hex"));
    if (entry === undefined) throw new Error("no such token");
    entry.state = "revoked";
  }

  async find(hash: Buffer): Promise<Principal | "expired" | "revoked" | null> {
    if (this.failure !== null) throw this.failure;
    this.lookups.push(hash.toString("hex"));
    const entry = this.known.get(hash.toString("hex"));
    if (entry === undefined) return null;
    return entry.state === "good" ? entry.principal : entry.state;
  }

  async stillGood(tokens: readonly TokenId[]): Promise<ReadonlySet<TokenId>> {
    const good = [...this.known.values()].filter(({ state }) => state === "good").map(({ principal }) => principal.tokenId);
    return new Set(tokens.filter((id) => good.includes(id)));
  }

  used(token: TokenId): void {
    this.noted.push(token);
  }
}

/** What the schema's resolvers are told and tell, so that a test can wait for it. */
export interface Probe {
  /** Called with what happens inside. */
  note: (event: string) => void;
  /** Streams pull from here. */
  source: (field: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal) => AsyncIterable<unknown>;
  /** What `Query.act` does. */
  act: (signal: AbortSignal) => unknown;
}

interface TestContext {
  readonly probe: Probe;
  readonly signal: AbortSignal;
  readonly principal: Principal;
}

const sdl = `
  interface Node { id: ID! }
  type Thing implements Node { id: ID! name: String things(first: Int, after: String, last: Int, before: String): ThingConnection! parent: Thing note: Note }
  type Note { text: String }
  type ThingConnection { edges: [ThingEdge!]! nodes: [Thing!]! pageInfo: PageInfo! totalCount: Int }
  type ThingEdge { cursor: String! node: Thing! }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type Tick { cursor: String! number: Int! text: String }
  type Batch { cursor: String! ticks: [Tick!]! }
  union Found = Thing | Note
  type Query {
    hello(name: String = "world"): String!
    role: String!
    act: String
    thing(id: ID): Thing
    things(first: Int, after: String, last: Int, before: String): ThingConnection!
    nodes(ids: [ID!]!): [Node]!
    find: Found
    count(n: Int!): Int!
    total(amount: Amount!): Int
  }
  input Amount { by: Int! parts: [Amount!] note: String }
  type Mutation { bump: Int! act: String }
  type Subscription { ticks(after: String, big: Boolean): Tick! batches(after: String, maxSize: Int! = 500): Batch! state: Thing plain: Int! }
`;

/** Three pages of things, as deep as anybody asks. */
function thing(id: string): object {
  const page = ({ first, last }: { first?: number; last?: number }): object => {
    const things = Array.from({ length: Math.min(first ?? last ?? 50, 3) }, (_, i) => thing(`${id}.${i}`));
    return { nodes: things, edges: things.map((node) => ({ cursor: "c", node })), pageInfo: { hasNextPage: false, endCursor: null }, totalCount: 3 };
  };
  return { __typename: "Thing", id, name: `thing ${id}`, things: page, parent: () => thing(`${id}^`), note: { __typename: "Note", text: "n" } };
}

function field(type: GraphQLObjectType | null | undefined, name: string): GraphQLField<unknown, TestContext> {
  const found = type?.getFields()[name];
  if (found === undefined) throw new Error(`no field ${name}`);
  return found;
}

export function testSchema(): GraphQLSchema {
  const schema = buildSchema(sdl);
  const query = schema.getQueryType();
  let bumps = 0;
  field(query, "hello").resolve = (_s, args) => `hello ${String(args["name"])}`;
  field(query, "role").resolve = (_s, _a, context) => context.principal.role;
  field(query, "act").resolve = (_s, _a, context) => context.probe.act(context.signal);
  field(query, "thing").resolve = (_s, args) => thing(String(args["id"] ?? "t"));
  field(query, "things").resolve = (_s, args) => Reflect.apply(Reflect.get(thing("r"), "things"), null, [args]);
  field(query, "nodes").resolve = (_s, args) => (Array.isArray(args["ids"]) ? args["ids"].map((id) => thing(String(id))) : []);
  field(query, "find").resolve = () => thing("f");
  field(query, "count").resolve = (_s, args) => args["n"];
  field(schema.getMutationType(), "bump").resolve = () => ++bumps;
  field(schema.getMutationType(), "act").resolve = (_s, _a, context) => context.probe.act(context.signal);
  for (const name of ["ticks", "batches", "state", "plain"]) {
    const subscription = field(schema.getSubscriptionType(), name);
    subscription.subscribe = (_s, args, context) => context.probe.source(name, args, context.signal);
    subscription.resolve = (payload) => payload;
  }
  return schema;
}

export interface TestServer extends RunningServer {
  readonly runtime: TestRuntime;
  readonly tokens: MemoryTokens;
  readonly logger: ReturnType<typeof memoryLogger>;
  readonly probe: Probe;
  readonly options: DoorOptions;
  /** An ADMIN's. */
  readonly token: string;
  readonly ws: string;
  /** POST of JSON with the token. */
  ask(
    query: string,
    rest?: { variables?: unknown; operationName?: string; token?: string | null; headers?: Record<string, string> },
  ): Promise<Response>;
}

export async function startTestServer(overrides: Partial<Omit<DoorOptions, "limits">> & { limits?: Partial<Limits> } = {}): Promise<TestServer> {
  const runtime = testRuntime();
  const tokens = new MemoryTokens();
  const logger = memoryLogger();
  const probe: Probe = {
    note: () => undefined,
    source: () => {
      throw new Error("no source was given");
    },
    act: () => "acted",
  };
  const limits = limitsWith(overrides.limits ?? {});
  const options: DoorOptions = {
    schema: testSchema(),
    contextFor: (principal, _requestId, signal) => ({ probe, signal, principal }),
    authenticator: new TokenAuthenticator(tokens, runtime.clock, limits),
    runtime,
    host: "127.0.0.1",
    port: 0,
    origins: ["http://localhost:*", "http://127.0.0.1:*", "https://console.example"],
    hosts: [],
    graphiql: true,
    logger,
    metrics: createMetrics(),
    ready: () => true,
    ...overrides,
    limits,
  };
  const token = tokens.mint(runtime);
  const running = await openDoor(options);
  return {
    ...running,
    runtime,
    tokens,
    logger,
    probe,
    options,
    token,
    ws: `${running.url.replace("http", "ws")}/graphql`,
    ask: (query, rest = {}) =>
      fetch(`${running.url}/graphql`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/graphql-response+json, application/json",
          ...(rest.token === null ? {} : { authorization: `Bearer ${rest.token ?? token}` }),
          ...rest.headers,
        },
        body: JSON.stringify({ query, variables: rest.variables, operationName: rest.operationName }),
      }),
  };
}

export interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly unknown[];
    readonly extensions: Readonly<Record<string, unknown>>;
  }[];
  readonly extensions?: { readonly cost?: { readonly requested: number; readonly actual: number; readonly limit: number } };
}

export async function answer(response: Response): Promise<Answer> {
  const body: Answer = await response.json();
  return body;
}
