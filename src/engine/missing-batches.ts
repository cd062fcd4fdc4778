/**
 * Batch numbers that were passed over: a transaction took the number and has not committed yet, or never will. The sequencer looks
 * for these few by name in each tick, so a transaction that commits a moment after its neighbours loses no time, and nothing is scanned.
 */

/**
 * How long one is looked for in each tick, ms; then it was given up, as a rule, and the sweep over all markers is enough. Longer than a transaction of ours can last
 * after it took its number (idle for 10 s, a statement of 15 s): what follows from it must not get its position first.
 */
const patienceMs = 30_000;
/** More than this at once are left to the sweep: the numbers jumped (a restart of the server does that). */
const most = 5_000;

export interface MissingBatches {
  /** Takes note of batches that got a position, ascending, and of those between them that did not. */
  note(batches: readonly bigint[], nowMs: number): void;
  /** Those to look for now. */
  list(nowMs: number): readonly bigint[];
}

/**
 * @param top the highest batch so far
 * @param known those below it that have no position, ascending
 */
export function createMissingBatches(top: bigint, known: readonly bigint[] = [], nowMs = 0): MissingBatches {
  /** Batch → since when, in the order of discovery: the oldest first. */
  const missing = new Map<bigint, number>(known.map((batch) => [batch, nowMs]));
  let highest = top;
  return {
    note: (batches, nowMs) => {
      for (const batch of batches) {
        if (batch <= highest) {
          missing.delete(batch);
          continue;
        }
        const gap = batch - highest - 1n;
        if (gap <= BigInt(most - missing.size)) {
          for (let number = highest + 1n; number < batch; number++) missing.set(number, nowMs);
        }
        highest = batch;
      }
    },
    list: (nowMs) => {
      for (const [batch, sinceMs] of missing) {
        if (nowMs - sinceMs < patienceMs) break;
        missing.delete(batch);
      }
      return [...missing.keys()];
    },
  };
}
