/** What happened, step by step, as a hash: two runs of one seed must agree on it. Real times, process ids and transaction ids are no part of it. */
import { createHash } from "node:crypto";

export interface Trace {
  /** @param what the statement, fault or event; `outcome` rows, SQLSTATE or what became of it */
  note(atMs: number, who: string, what: string, outcome: string): void;
  readonly steps: number;
  hash(): string;
}

/** @param print called with each line; null: lines are hashed and forgotten */
export function createTrace(print: ((line: string) => void) | null): Trace {
  const sum = createHash("sha256");
  let steps = 0;
  return {
    note: (atMs, who, what, outcome) => {
      steps++;
      const line = `${steps} ${atMs.toFixed(3)} ${who} ${what} ${outcome}`;
      sum.update(`${line}\n`);
      print?.(line);
    },
    get steps() {
      return steps;
    },
    hash: () => sum.copy().digest("hex").slice(0, 16),
  };
}
