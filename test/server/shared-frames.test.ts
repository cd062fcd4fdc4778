/** Frames are made once for all who asked the same, and for nobody else. */
import { type DocumentNode, type ExecutionResult, GraphQLError, GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, parse } from "graphql";
import { beforeEach, describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import type { Role } from "../../src/core/principal.ts";
import { SharedFrames } from "../../src/server/shared-frames.ts";

interface Tick {
  readonly n: number;
}

/** How often each field was asked for. */
let asked: Record<"n" | "times" | "read", number>;
let frames: SharedFrames;
/** What each stream yields: the very same objects. */
let ticks: readonly Tick[];
let failure: Error | null;
beforeEach(() => {
  asked = { n: 0, times: 0, read: 0 };
  frames = new SharedFrames();
  ticks = [{ n: 1 }, { n: 2 }, { n: 3 }];
  failure = null;
});

function counted(field: keyof typeof asked, value: number): number {
  asked[field] += 1;
  return value;
}

const tickType = new GraphQLObjectType<Tick>({
  name: "Tick",
  fields: {
    n: { type: GraphQLInt, resolve: ({ n }) => counted("n", n) },
    times: { type: GraphQLInt, args: { by: { type: new GraphQLNonNull(GraphQLInt) } }, resolve: ({ n }, { by }) => counted("times", n * Number(by)) },
    read: { type: GraphQLInt, resolve: ({ n }) => Promise.resolve(counted("read", n)) },
    broken: {
      type: GraphQLInt,
      resolve: () => {
        throw new GraphQLError("broken");
      },
    },
  },
});
const schemaOf = (subscribe: () => AsyncIterable<Tick>): GraphQLSchema =>
  new GraphQLSchema({
    query: new GraphQLObjectType({ name: "Query", fields: { none: { type: GraphQLInt } } }),
    subscription: new GraphQLObjectType({
      name: "Subscription",
      fields: { ticks: { type: tickType, args: { after: { type: GraphQLInt } }, subscribe, resolve: (tick: Tick) => tick } },
    }),
  });
const schema = schemaOf(async function* () {
  yield* ticks;
  if (failure !== null) throw failure;
});

const home = brandId("project", "00000000-0000-7000-8000-000000000001");
const foreign = brandId("project", "00000000-0000-7000-8000-000000000002");

interface Asking {
  readonly variables?: Record<string, unknown>;
  readonly role?: Role;
  readonly projectId?: typeof home;
}

async function follow(
  document: DocumentNode,
  { variables, role = "READER", projectId = home }: Asking = {},
): Promise<AsyncIterableIterator<ExecutionResult>> {
  const stream = await frames.subscribe({ schema, document, variableValues: variables ?? {} }, { projectId, role });
  if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream));
  return stream;
}

/** Everything that each of them is told, one step of each after the other. */
async function told(streams: readonly AsyncIterableIterator<ExecutionResult>[]): Promise<unknown[][]> {
  const all: unknown[][] = streams.map(() => []);
  for (let open = streams.length; open > 0; ) {
    open = 0;
    for (const [i, stream] of streams.entries()) {
      const { done, value } = await stream.next();
      if (done === true) continue;
      open++;
      all[i]?.push(value.data);
    }
  }
  return all;
}

const plain = [{ ticks: { n: 1 } }, { ticks: { n: 2 } }, { ticks: { n: 3 } }];

describe("shared frames", () => {
  test("three ask the same → each is told everything, and it is made once", async () => {
    const document = parse("subscription { ticks { n } }");
    const streams = [await follow(document), await follow(document), await follow(document)];
    expect(await told(streams)).toEqual([plain, plain, plain]);
    expect(asked.n).toBe(3);
  });

  test("from another place on → the same frames", async () => {
    const document = parse("subscription($after: Int) { ticks(after: $after) { n } }");
    await told([await follow(document, { variables: { after: 1 } }), await follow(document, { variables: { after: 2 } }), await follow(document)]);
    expect(asked.n).toBe(3);
  });

  test("another variable that tells what a frame looks like, another role, another project → frames of their own", async () => {
    const document = parse("subscription($by: Int!) { ticks { times(by: $by) } }");
    const [one, ten, admin, stranger] = await told([
      await follow(document, { variables: { by: 1 } }),
      await follow(document, { variables: { by: 10 } }),
      await follow(document, { variables: { by: 1 }, role: "ADMIN" }),
      await follow(document, { variables: { by: 1 }, projectId: foreign }),
    ]);
    expect(one).toEqual([1, 2, 3].map((times) => ({ ticks: { times } })));
    expect(ten).toEqual([10, 20, 30].map((times) => ({ ticks: { times } })));
    expect([admin, stranger]).toEqual([one, one]);
    expect(asked.times).toBe(12);
  });

  test("a variable that is absent, and one that is null → not the same", async () => {
    const document = parse("subscription($with: Boolean = true) { ticks { n @include(if: $with) } }");
    const [present, absent] = await told([await follow(document), await follow(document, { variables: { with: false } })]);
    expect(present).toEqual(plain);
    expect(absent).toEqual([{ ticks: {} }, { ticks: {} }, { ticks: {} }]);
  });

  test("what reads something → made for each", async () => {
    const document = parse("subscription { ticks { read } }");
    await told([await follow(document), await follow(document)]);
    expect(asked.read).toBe(6);
  });

  test("a frame with an error → made for each: it is told with the request's own id", async () => {
    const document = parse("subscription { ticks { broken } }");
    const [one, other] = [await follow(document), await follow(document)];
    const errors = [await one.next(), await other.next()].map(({ value }) => value.errors[0]);
    expect(errors[0]).not.toBe(errors[1]);
    expect(errors[0]).toMatchObject({ message: "broken", path: ["ticks", "broken"] });
  });

  test("one alone → nothing is kept; who comes when all have left begins anew", async () => {
    const document = parse("subscription { ticks { n } }");
    await told([await follow(document)]);
    await told([await follow(document)]);
    expect(asked.n).toBe(6);
    const [one, other] = [await follow(document), await follow(document)];
    await one.next();
    await other.next();
    expect(asked.n).toBe(7);
    await one.return?.();
    await other.return?.();
    await told([await follow(document), await follow(document)]);
    expect(asked.n).toBe(10);
  });

  test("far more events than are kept, one reader far behind → everything, in order", async () => {
    ticks = Array.from({ length: 500 }, (_, n) => ({ n }));
    const document = parse("subscription { ticks { n } }");
    const [fast, slow] = [await follow(document), await follow(document)];
    const expected = ticks.map(({ n }) => ({ ticks: { n } }));
    expect(await told([fast])).toEqual([expected]);
    expect(await told([slow])).toEqual([expected]);
  });

  test("the stream breaks → told as GraphQL tells it, with the operation's place", async () => {
    failure = new Error("the cable");
    ticks = [];
    const stream = await follow(parse("subscription { ticks { n } }"));
    await expect(stream.next()).rejects.toMatchObject({
      name: "GraphQLError",
      message: "the cable",
      originalError: failure,
      locations: [{ line: 1, column: 1 }],
    });
  });

  test("it cannot begin → errors, no stream", async () => {
    const document = parse("subscription { ticks(after: 1) { n } }");
    const broken = schemaOf(() => {
      throw new GraphQLError("no");
    });
    expect(await frames.subscribe({ schema: broken, document }, { projectId: home, role: "READER" })).toMatchObject({ errors: [{ message: "no" }] });
  });
});
