/** The stream of outcomes that drivers share: order, endings, and what nobody foresaw. */
import { describe, expect, test } from "vitest";
import type { DriverNode, Outcome } from "../../src/drivers/driver.ts";
import { CallFailed, outcomesAsTheyCome } from "../../src/drivers/outcome-stream.ts";
import { callContext, driverNode, runtime } from "../support/driver-node.ts";

/** Work that ends when the test says so. */
function held(): {
  readonly work: (node: DriverNode, signal: AbortSignal) => Promise<string>;
  finish(node: DriverNode, how: string | Error): void;
  signals: AbortSignal[];
} {
  const open = new Map<DriverNode, { resolve(value: string): void; reject(error: Error): void }>();
  const signals: AbortSignal[] = [];
  return {
    signals,
    work: (node, signal) =>
      new Promise((resolve, reject) => {
        signals.push(signal);
        open.set(node, { resolve, reject });
      }),
    finish: (node, how) => {
      if (how instanceof Error) open.get(node)?.reject(how);
      else open.get(node)?.resolve(how);
    },
  };
}

async function next<T>(stream: AsyncIterator<Outcome<T>>): Promise<Outcome<T> | "end"> {
  const { done, value } = await stream.next();
  return done === true ? "end" : value;
}

describe("outcomes", () => {
  test("work ends in another order than it began → outcomes come as it ends", async () => {
    const nodes = [driverNode({}), driverNode({}), driverNode({})] as const;
    const { work, finish } = held();
    const stream = outcomesAsTheyCome(nodes, callContext(), runtime, work);
    const first = next(stream);
    finish(nodes[2], "third");
    expect(await first).toEqual({ nodeId: nodes[2].id, ok: true, value: "third" });
    finish(nodes[0], "first");
    finish(nodes[1], "second");
    expect([await next(stream), await next(stream)]).toMatchObject([{ value: "first" }, { value: "second" }]);
    expect(await next(stream)).toBe("end");
  });

  test("work fails → its own error, or unknown where nobody foresaw it; the others go on", async () => {
    const nodes = [driverNode({}), driverNode({}), driverNode({})] as const;
    const { work, finish } = held();
    const stream = outcomesAsTheyCome(nodes, callContext(), runtime, work);
    const first = next(stream);
    finish(nodes[0], new CallFailed({ class: "quota", code: "FULL", message: "no room" }));
    expect(await first).toMatchObject({ ok: false, error: { class: "quota", code: "FULL" } });
    finish(nodes[1], new Error("a bug\0"));
    expect(await next(stream)).toMatchObject({ ok: false, error: { class: "unknown", code: "DRIVER_FAILED", message: "a bug\uFFFD" } });
    finish(nodes[2], "well");
    expect(await next(stream)).toMatchObject({ ok: true });
  });

  test("the deadline passes → the rest is unknown, and the work is told to stop", async () => {
    const node = driverNode({});
    const { work, signals } = held();
    const stream = outcomesAsTheyCome([node], callContext({ withinMs: 10 }), runtime, work);
    expect(await next(stream)).toMatchObject({ ok: false, error: { class: "unknown", code: "DEADLINE" } });
    expect(signals[0]?.aborted).toBe(true);
    expect(await next(stream)).toBe("end");
  });

  test("the signal is aborted → the rest is unknown at once", async () => {
    const stop = new AbortController();
    const { work } = held();
    const stream = outcomesAsTheyCome([driverNode({})], callContext({ signal: stop.signal }), runtime, work);
    const first = next(stream);
    stop.abort();
    expect(await first).toMatchObject({ ok: false, error: { code: "ABORTED" } });
  });

  test("nobody reads on → the work is told to stop", async () => {
    const nodes = [driverNode({}), driverNode({})] as const;
    const { work, finish, signals } = held();
    const stream = outcomesAsTheyCome(nodes, callContext(), runtime, work);
    const first = next(stream);
    finish(nodes[0], "done");
    await first;
    await stream.return(undefined);
    expect(signals.every((signal) => signal.aborted)).toBe(true);
  });
});
