/**
 * What the subscribers of one process want to hear, taken together: what its tail need not read it does not read. Where nobody listens to members,
 * a cluster of a million that comes to life costs an API process nothing.
 *
 * It grows at once, before a subscriber reads its first line, and shrinks only after a while: who comes back in a moment finds the newest
 * lines still in memory.
 */
import type { Clock } from "../core/runtime.ts";
import type { LedgerFilter } from "../store/ledger-event.ts";
import { allLines, noLines, type TailFilter } from "../store/ledger-tail.ts";

export interface Interest {
  /** What the tail is to read. Another object whenever it has changed. */
  readonly filter: TailFilter;
  /** Counts how often it grew: a page that was asked for before is not all that is wanted now. */
  readonly grown: number;
  /** Adds what this filter lets through. Returns the function that takes it back. */
  add(filter: LedgerFilter): () => void;
  /** Call it now and then: takes away what nobody has wanted for a while. */
  tidy(): void;
}

/** How long lines that nobody wants any more are still read, ms. */
const lingerMs = 30_000;
/** More keys than this are not looked for one by one. */
const mostKeys = 200;

type Part = { readonly kind: "all" } | { readonly kind: keyof typeof noLines.keys; readonly keys: readonly string[] | readonly number[] };

/** By what a filter's lines are looked for: the narrowest it names. */
function partOf(filter: LedgerFilter): Part {
  if (filter.nodeIds !== undefined) return { kind: "nodeIds", keys: filter.nodeIds };
  if (filter.actionIds !== undefined) return { kind: "actionIds", keys: filter.actionIds };
  if (filter.clusterIds !== undefined) return { kind: "clusterIds", keys: filter.clusterIds };
  if (filter.typeCodes !== undefined) return { kind: "typeCodes", keys: filter.typeCodes };
  return { kind: "all" };
}

/** @param onGrown called whenever it has grown: lines that were passed over are not in memory */
export function createInterest(clock: Clock, onGrown: () => void): Interest {
  const wanted = new Set<Part>();
  let filter: TailFilter = noLines;
  let grown = 0;
  let leftAtMs: number | null = null;

  const includes = (part: Part): boolean => {
    if (filter.all) return true;
    if (part.kind === "all") return false;
    const known = new Set<string | number>(filter.keys[part.kind]);
    return part.keys.every((key) => known.has(key));
  };
  return {
    get filter() {
      return filter;
    },
    get grown() {
      return grown;
    },
    add: (of) => {
      const part = partOf(of);
      const covered = includes(part);
      wanted.add(part);
      if (!covered) {
        filter = union(filter, part);
        grown++;
        onGrown();
      }
      return () => {
        wanted.delete(part);
        leftAtMs = clock.monotonicMs();
      };
    },
    tidy: () => {
      if (leftAtMs === null || clock.monotonicMs() - leftAtMs < lingerMs) return;
      leftAtMs = null;
      filter = [...wanted].reduce(union, noLines);
    },
  };
}

function union(filter: TailFilter, part: Part): TailFilter {
  if (filter.all || part.kind === "all") return allLines;
  const keys = { ...filter.keys, [part.kind]: [...new Set<string | number>([...filter.keys[part.kind], ...part.keys])] };
  const count = Object.values(keys).reduce((sum, each) => sum + each.length, 0);
  return count > mostKeys ? allLines : { all: false, keys };
}
