import { describe, expect, test } from "vitest";
import { batchEvents, type EventBatch, quietMs } from "../../src/api/batch.ts";
import type { LedgerCursor } from "../../src/core/cursor.ts";
import { brandId } from "../../src/core/ids.ts";
import type { Timers } from "../../src/core/runtime.ts";
import { LiveError } from "../../src/live/live-error.ts";
import type { LedgerEvent } from "../../src/store/ledger-event.ts";

function at(position: number): LedgerCursor {
  return { incarnation: 1, position: BigInt(position), ordinal: 1 };
}

function event(position: number): LedgerEvent {
  const projectId = brandId("project", "00000000-0000-7000-8000-000000000001");
  const nothing = { clusterId: null, clusterName: null, nodeId: null, nodeName: null, actionId: null };
  const id = brandId("event", `00000000-0000-7000-8000-${String(position).padStart(12, "0")}`);
  return { cursor: at(position), id, type: "cluster.deleted", level: "INFO", occurredAtMs: 0, projectId, ...nothing, data: {}, message: "" };
}

/** Time that passes when it is told to. */
class Stopwatch implements Timers {
  readonly #waiting = new Set<{ readonly untilMs: number; readonly wake: () => void }>();
  #nowMs = 0;

  wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const waiter = { untilMs: this.#nowMs + ms, wake: resolve };
      this.#waiting.add(waiter);
      signal?.addEventListener("abort", () => {
        this.#waiting.delete(waiter);
        resolve();
      });
    });
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    for (const waiter of this.#waiting) {
      if (waiter.untilMs > this.#nowMs) continue;
      this.#waiting.delete(waiter);
      waiter.wake();
    }
  }

  get waiting(): number {
    return this.#waiting.size;
  }
}

/** A stream that yields what it is given. */
class Source {
  #given: (readonly LedgerEvent[])[] = [];
  #wake: (() => void) | null = null;
  #failure: Error | null = null;
  ended = false;
  place = at(0);

  give(...positions: number[]): void {
    this.#given.push(positions.map(event));
    this.#wake?.();
  }

  position(): LedgerCursor {
    return this.place;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly LedgerEvent[], void, undefined> {
    try {
      for (;;) {
        const next = this.#given.shift();
        if (next !== undefined) yield next;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          if (this.#failure !== null) throw this.#failure;
          if (this.ended) return;
        }
      }
    } finally {
      this.ended = true;
    }
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#wake?.();
  }

  end(): void {
    this.ended = true;
    this.#wake?.();
  }
}

function open(maxSize: number, maxWaitMs: number) {
  const source = new Source();
  const timers = new Stopwatch();
  const end = new AbortController();
  end.signal.addEventListener("abort", () => source.end());
  const batches = batchEvents(source, { maxSize, maxWaitMs, timers, signal: end.signal });
  return { source, timers, end, batches };
}

/** Lets everything that can go on go on. */
async function turn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

function positionsOf(result: IteratorResult<EventBatch, void>): number[] {
  if (result.done === true) throw new Error("the stream has ended");
  return result.value.events.map((one) => Number(one.cursor.position));
}

describe("event batches", () => {
  test("more than fits: full frames at once, each with its last event's cursor", async () => {
    const { source, batches, end } = open(2, 50);
    source.give(1, 2, 3, 4);
    const first = await batches.next();
    expect(positionsOf(first)).toEqual([1, 2]);
    expect(first.value).toMatchObject({ cursor: at(2) });
    expect(positionsOf(await batches.next())).toEqual([3, 4]);
    end.abort();
  });

  test("fewer than fit: one frame when the time since its first event is over", async () => {
    const { source, timers, batches, end } = open(10, 50);
    source.give(1);
    const frame = batches.next();
    await turn();
    timers.pass(49);
    source.give(2);
    await turn();
    timers.pass(1);
    expect(positionsOf(await frame)).toEqual([1, 2]);
    end.abort();
  });

  test("nothing for 30 s: an empty frame with the stream's place; what comes then comes whole", async () => {
    const { source, timers, batches, end } = open(10, 0);
    const quiet = batches.next();
    await turn();
    source.place = at(7);
    timers.pass(quietMs - 1);
    await turn();
    timers.pass(1);
    expect((await quiet).value).toEqual({ events: [], cursor: at(7) });
    const next = batches.next();
    source.give(8, 9);
    await turn();
    timers.pass(0);
    expect(positionsOf(await next)).toEqual([8, 9]);
    end.abort();
  });

  test("the source ends: what was gathered is sent, then the stream completes", async () => {
    const { source, batches, timers } = open(10, 50);
    source.give(1);
    const frame = batches.next();
    await turn();
    source.end();
    expect(positionsOf(await frame)).toEqual([1]);
    expect((await batches.next()).done).toBe(true);
    expect(timers.waiting).toBe(0);
  });

  test("the source fails: what came before it is sent first, for the error's place lies behind that", async () => {
    const { source, batches } = open(10, 50);
    const slow = new LiveError("SLOW_CONSUMER", { cursor: "1.a.2.1" });
    source.give(1, 2);
    const frame = batches.next();
    await turn();
    source.fail(slow);
    expect(positionsOf(await frame)).toEqual([1, 2]);
    await expect(batches.next()).rejects.toBe(slow);
  });

  test("ended from outside while it waits: completes, and no timer is left", async () => {
    const { source, batches, end, timers } = open(10, 50);
    const waiting = batches.next();
    await turn();
    end.abort();
    expect((await waiting).done).toBe(true);
    expect(source.ended).toBe(true);
    expect(timers.waiting).toBe(0);
  });
});
