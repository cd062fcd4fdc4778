import fc from "fast-check";
import { expect, test } from "vitest";
import { type Queue, takeTurns } from "../../src/engine/turn-order.ts";

interface Item {
  readonly queue: number;
  readonly place: number;
}

const anyQueues = fc
  .array(fc.record({ length: fc.oneof(fc.nat(5), fc.nat(300)), underWay: fc.nat(40), waitsSince: fc.nat(5) }), { maxLength: 12 })
  .map((queues) =>
    queues.map(({ length, ...rest }, queue): Queue<Item> => ({ ...rest, items: Array.from({ length }, (_, place): Item => ({ queue, place })) })),
  );

test("any queues → everybody's items, each queue's in its own order, and whoever still waits is never further behind than a quantum", () => {
  fc.assert(
    fc.property(anyQueues, fc.integer({ min: 1, max: 20 }), (queues, quantum) => {
      const served = queues.map(() => 0);
      for (const { queue, place } of takeTurns(queues, quantum)) {
        expect(place).toBe(served[queue]);
        served[queue] = place + 1;
        const has = (queues[queue]?.underWay ?? 0) + place + 1;
        for (const [other, { items, underWay }] of queues.entries())
          if ((served[other] ?? 0) < items.length) expect(has).toBeLessThanOrEqual(underWay + (served[other] ?? 0) + quantum);
      }
      expect(served).toEqual(queues.map(({ items }) => items.length));
    }),
  );
});

test("equally much under way → whoever has waited longest since its last turn goes first", () => {
  const queue = (name: string, waitsSince: number): Queue<string> => ({ items: [name, name], underWay: 3, waitsSince });
  expect(takeTurns([queue("late", 9), queue("early", 2), queue("middle", 5)], 1)).toEqual(["early", "middle", "late", "early", "middle", "late"]);
});
