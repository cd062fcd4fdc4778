/** The API in process: the schema over a real database, feed and, where asked for, workers; asked with the documents that clients use. */
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { type ExecutionResult, execute, type GraphQLError, type GraphQLSchema, parse, subscribe, validate } from "graphql";
import { type ApiContext, type ApiDeps, createContext } from "../../src/api/context.ts";
import { buildSchema } from "../../src/api/schema.ts";
import type { ProjectId } from "../../src/core/ids.ts";
import { defaultLimits, type Limits } from "../../src/core/limits.ts";
import type { Principal, Role } from "../../src/core/principal.ts";
import { type Feed, startFeed } from "../../src/live/feed.ts";
import { openSession } from "../../src/store/session.ts";
import { countStatements } from "../support/count-statements.ts";
import { type StopOptions, startWorld, type World, type WorldOptions } from "../support/world.ts";

export interface Asker {
  readonly role?: Role;
  readonly projectId?: ProjectId;
}

/** What a subscriber holds. */
export interface Frames<Data> {
  [Symbol.asyncIterator](): Frames<Data>;
  next(): Promise<IteratorResult<Data, undefined>>;
  return(): Promise<IteratorResult<Data, undefined>>;
}

export interface Stage {
  readonly world: World;
  readonly schema: GraphQLSchema;
  readonly feed: Feed;
  /** The statements that were sent since the last time this was asked. */
  takeStatements(): string[];
  context(asker?: Asker): ApiContext;
  /** What an operation answers, errors and all. */
  execute(text: string, variables?: Record<string, unknown>, asker?: Asker): Promise<ExecutionResult>;
  /** The data of an operation that has no errors. */
  ask<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    asker?: Asker,
  ): Promise<Data>;
  /** A stream of frames. */
  follow<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    asker?: Asker,
  ): Promise<Frames<Data>>;
  /** Why a subscription does not begin. */
  refusedStream(text: string, variables?: Record<string, unknown>, asker?: Asker): Promise<readonly GraphQLError[]>;
  stop(options?: StopOptions): Promise<void>;
}

export async function openStage(options: WorldOptions & { readonly limits?: Partial<Limits> } = {}): Promise<Stage> {
  const world = await startWorld(options);
  const schema = buildSchema();
  const limits = { ...defaultLimits, ...options.limits };
  const feed = await startFeed({
    store: world.store,
    openSession: () => openSession({ url: world.database.url, applicationName: "test feed" }),
    logger: world.log,
    limits,
  });
  const counted = countStatements(world.database.db);
  const deps: ApiDeps = {
    store: { ...world.store, db: counted.db },
    feed,
    drivers: world.drivers,
    vault: world.vault,
    limits,
    processPolicy: { mode: "on" },
  };
  const context = ({ role = "OPERATOR", projectId }: Asker = {}): ApiContext =>
    createContext(deps, principalOf(world, role, projectId), "request", new AbortController().signal);
  const run = async (document: ReturnType<typeof parse>, variableValues: Record<string, unknown>, asker?: Asker): Promise<ExecutionResult> => {
    const errors = validate(schema, document);
    if (errors.length > 0) return { errors };
    return execute({ schema, document, variableValues, contextValue: context(asker) });
  };
  const stream = (document: ReturnType<typeof parse>, variableValues: Record<string, unknown>, asker?: Asker) =>
    subscribe({ schema, document, variableValues, contextValue: context(asker) });
  return {
    world,
    schema,
    feed,
    takeStatements: counted.take,
    context,
    execute: (text, variables = {}, asker) => run(parse(text), variables, asker),
    ask: async <Data, Variables extends Record<string, unknown>>(document: TypedDocumentNode<Data, Variables>, variables: Variables, asker?: Asker) =>
      dataOf<Data>(await run(document, variables, asker)),
    follow: async <Data, Variables extends Record<string, unknown>>(
      document: TypedDocumentNode<Data, Variables>,
      variables: Variables,
      asker?: Asker,
    ) => {
      const source = await stream(document, variables, asker);
      if (!(Symbol.asyncIterator in source)) throw source.errors?.[0] ?? new Error("no stream");
      return frames<Data>(source);
    },
    refusedStream: async (text, variables = {}, asker) => {
      const source = await stream(parse(text), variables, asker);
      if (Symbol.asyncIterator in source) throw new Error("it began");
      return source.errors ?? [];
    },
    stop: async (stopping) => {
      await feed.close();
      await world.stop(stopping);
    },
  };
}

function principalOf(world: World, role: Role, projectId: ProjectId | undefined): Principal {
  return world.context(role, projectId).principal;
}

function dataOf<Data>(result: ExecutionResult): Data {
  const [error] = result.errors ?? [];
  if (error !== undefined) throw error.originalError ?? error;
  if (!hasData<Data>(result)) throw new Error("no data");
  return result.data;
}

/** The document's type says what `data` is. Through JSON, as clients get it: no null prototypes, no Dates. */
function hasData<Data>(result: ExecutionResult): result is ExecutionResult & { data: ExecutionResult["data"] & Data } {
  return result.data !== null && result.data !== undefined;
}

/** Not a generator of its own: its `return` must reach the source while that waits, as a transport's does. */
function frames<Data>(source: AsyncGenerator<ExecutionResult, void, void>): Frames<Data> {
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: async () => {
      const { done, value } = await source.next();
      return done === true ? { done, value: undefined } : { done: false, value: dataOf<Data>(value) };
    },
    return: async () => {
      await source.return();
      return { done: true, value: undefined };
    },
  };
}
