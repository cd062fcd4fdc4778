import { describe, expect, test } from "vitest";
import type { LedgerCursor } from "../../src/core/cursor.ts";
import { brandId } from "../../src/core/ids.ts";
import { createBus } from "../../src/live/bus.ts";
import { createMailbox, type Weighed } from "../../src/live/mailbox.ts";
import { createRecent } from "../../src/live/recent.ts";
import type { LedgerEvent, LedgerFilter } from "../../src/store/ledger-event.ts";

const at = (position: number, ordinal = 1): LedgerCursor => ({ incarnation: 1, position: BigInt(position), ordinal });

function weighed(position: number, bytes = 10, about: Partial<LedgerEvent> = {}): Weighed {
  const event: LedgerEvent = {
    cursor: at(position),
    id: brandId("event", "e"),
    type: "cluster.settled",
    level: "INFO",
    occurredAtMs: 0,
    projectId: brandId("project", "p1"),
    clusterId: null,
    clusterName: null,
    nodeId: null,
    nodeName: null,
    actionId: null,
    data: {},
    message: "",
    ...about,
  };
  return { event, bytes };
}
const clock = { monotonicMs: () => 42 };

describe("mailbox", () => {
  test("n events fit, event n + 1 overruns: what waits stays, nothing is added, also not after it was taken", () => {
    const box = createMailbox(at(0), { events: 3, bytes: 1_000 }, clock);
    for (let i = 1; i <= 3; i++) box.put(weighed(i));
    expect([box.events, box.overrunSinceMs]).toEqual([3, null]);
    box.put(weighed(4));
    expect([box.events, box.overrunSinceMs]).toEqual([3, 42]);
    expect(box.take().map((event) => event.cursor.position)).toEqual([1n, 2n, 3n]);
    box.put(weighed(5));
    expect([box.events, box.bytes]).toEqual([0, 0]);
  });

  test("n bytes fit, one more overruns; a single event above the limit passes alone", () => {
    const box = createMailbox(at(0), { events: 100, bytes: 20 }, clock);
    box.put(weighed(1));
    box.put(weighed(2));
    expect(box.overrunSinceMs).toBeNull();
    box.put(weighed(3, 1));
    expect(box.overrunSinceMs).toBe(42);
    const other = createMailbox(at(0), { events: 100, bytes: 20 }, clock);
    other.put(weighed(1, 500));
    expect([other.events, other.overrunSinceMs]).toEqual([1, null]);
  });

  test("ended: drops what waits, wakes the waiter, the first end counts", async () => {
    const box = createMailbox(at(0), { events: 3, bytes: 1_000 }, clock);
    const waiting = box.wait();
    box.end("slow");
    box.end("closed");
    await waiting;
    box.put(weighed(1));
    expect([box.ended, box.events]).toEqual(["slow", 0]);
  });
});

describe("bus", () => {
  const heard = (
    filters: readonly LedgerFilter[],
  ): { told: number[]; publish: (event: Partial<LedgerEvent>) => void; remove: () => void; size: () => number } => {
    const bus = createBus();
    const told = filters.map(() => 0);
    const removals = filters.map((filter, i) => bus.add({ filter, offer: () => (told[i] = (told[i] ?? 0) + 1) }));
    return {
      told,
      publish: (about) => bus.publish(weighed(1, 10, about)),
      remove: () => {
        for (const remove of removals) remove();
      },
      size: () => bus.size,
    };
  };
  const [c1, c2] = [brandId("cluster", "c1"), brandId("cluster", "c2")];
  const [n1, a1] = [brandId("node", "n1"), brandId("action", "a1")];
  const p1 = brandId("project", "p1");

  test("an event is offered to those it concerns, once each, and to nobody else", () => {
    const { told, publish, remove, size } = heard([
      { projectId: null },
      { projectId: p1 },
      { projectId: brandId("project", "p2") },
      { projectId: p1, clusterIds: [c1, c2] },
      { projectId: p1, clusterIds: [c2] },
      { projectId: p1, nodeIds: [n1], clusterIds: [c2] },
      { projectId: p1, actionIds: [a1] },
      { projectId: p1, clusterIds: [] },
    ]);
    publish({ clusterId: c1, nodeId: n1 });
    expect(told).toEqual([1, 1, 0, 1, 0, 1, 0, 0]);
    publish({ clusterId: c2, actionId: a1 });
    expect(told).toEqual([2, 2, 0, 2, 1, 1, 1, 0]);
    remove();
    publish({ clusterId: c2, actionId: a1 });
    expect(told).toEqual([2, 2, 0, 2, 1, 1, 1, 0]);
    expect(size()).toBe(0);
  });
});

describe("recent lines", () => {
  test("behind a cursor: those that match, from there on, so many at most; nothing it does not reach", () => {
    const recent = createRecent(at(5, 9));
    for (let i = 6; i <= 20; i++) recent.push(weighed(i));
    expect(recent.reaches(at(5, 9))).toBe(true);
    expect(recent.reaches(at(5, 8))).toBe(false);
    expect(recent.reaches({ ...at(9), incarnation: 2 })).toBe(false);
    const even = (event: LedgerEvent): boolean => event.cursor.position % 2n === 0n;
    expect(recent.after(at(10), even, 3).map((event) => event.cursor.position)).toEqual([12n, 14n, 16n]);
    expect(recent.after(at(20), even, 3)).toEqual([]);
  });

  test("more than it keeps → forgets the oldest and says so", () => {
    const recent = createRecent(at(0, 9));
    for (let i = 1; i <= 25_000; i++) recent.push(weighed(i));
    expect(recent.reaches(at(15_000))).toBe(true);
    expect(recent.reaches(at(14_999))).toBe(false);
    expect(recent.after(at(15_000), () => true, 1)[0]?.cursor.position).toBe(15_001n);
    for (let i = 25_001; i <= 25_010; i++) recent.push(weighed(i, 4 * 1024 * 1024));
    expect(recent.reaches(at(25_007))).toBe(false);
    expect(recent.reaches(at(25_008))).toBe(true);
  });
});
