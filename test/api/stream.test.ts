import { GraphQLError } from "graphql";
import { describe, expect, test } from "vitest";
import { liveStream } from "../../src/api/stream.ts";
import { LiveError } from "../../src/live/live-error.ts";

/** Waits for ever, unless it is told to stop. */
async function* stuck(signal: AbortSignal): AsyncGenerator<number, void, undefined> {
  yield 1;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
}

describe("live stream", () => {
  test("return while the source waits: the source stops at once, and so does the waiting reader", async () => {
    const stream = liveStream(new AbortController().signal, stuck);
    expect(await stream.next()).toEqual({ done: false, value: 1 });
    const waiting = stream.next();
    expect(await stream.return?.()).toEqual({ done: true, value: undefined });
    expect((await waiting).done).toBe(true);
  });

  test("the request ends: so does the stream", async () => {
    const request = new AbortController();
    const stream = liveStream(request.signal, stuck);
    await stream.next();
    const waiting = stream.next();
    request.abort();
    expect((await waiting).done).toBe(true);
  });

  test.each([
    [new LiveError("CURSOR_EXPIRED", { oldest: "1.a.b.z" }), { code: "CURSOR_EXPIRED", oldest: "1.a.b.z" }],
    [new LiveError("SLOW_CONSUMER", { cursor: "1.a.c.1" }), { code: "SLOW_CONSUMER", cursor: "1.a.c.1" }],
    [new LiveError("INVALID_CURSOR"), { code: "INVALID_CURSOR" }],
  ])("the feed ends it with %s → a GraphQL error with code and place", async (error, extensions) => {
    const stream = liveStream(new AbortController().signal, async function* (): AsyncGenerator<number, void, undefined> {
      yield 1;
      throw error;
    });
    await stream.next();
    const told = await stream.next().catch((caught: unknown) => caught);
    expect(told).toBeInstanceOf(GraphQLError);
    expect(told).toMatchObject({ extensions });
  });

  test("a bug in the source: passed on as it is, to be masked by whoever answers", async () => {
    const bug = new Error("a bug");
    const stream = liveStream(new AbortController().signal, async function* (): AsyncGenerator<number, void, undefined> {
      if (bug.message !== "") throw bug;
      yield 1;
    });
    await expect(stream.next()).rejects.toBe(bug);
  });
});
