/**
 * Who goes next when more waits than can be done at once: pure. Whoever has least under way goes first, and among equals whoever has waited
 * longest since its last turn; a turn is a bounded quantum. (Max-min fairness over what is scarce, places in flight, with round robin
 * between equals; deficit round robin, Shreedhar and Varghese 1995, shares a rate instead, which slow calls would take all of.)
 */

export interface Queue<T> {
  /** In the order in which they are to be done; none is left out. */
  readonly items: readonly T[];
  /** Of this queue, already being done. */
  readonly underWay: number;
  /** The number of its last turn, or of the one in which it came. */
  readonly waitsSince: number;
}

/** All items of all queues, in the order in which their queues take turns. */
export function takeTurns<T>(queues: readonly Queue<T>[], quantum: number): readonly T[] {
  const [first] = queues;
  if (first === undefined) return [];
  if (queues.length === 1) return first.items;
  const turns: { readonly level: number; readonly waitsSince: number; readonly items: readonly T[] }[] = [];
  for (const { items, underWay, waitsSince } of queues)
    for (let i = 0; i < items.length; i += quantum) turns.push({ level: underWay + i, waitsSince, items: items.slice(i, i + quantum) });
  // Sorting is stable: among equals it is as it was given.
  return turns.sort((a, b) => a.level - b.level || a.waitsSince - b.waitsSince).flatMap((turn) => turn.items);
}
