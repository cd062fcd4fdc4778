/** Sizes that people change their mind about, many times a second: what the bench of overlapping changes asks for. Pure. */
import { dice } from "../test/chaos/dice.ts";

export interface Wishes {
  readonly name: string;
  /** One after the other; the last one is what is wanted in the end. */
  readonly sizes: readonly number[];
  /** Members that must be made or taken away if only the last wish had ever been said. */
  readonly least: number;
}

/** To half as many members more, a hundredth up and down on the way: each wish is near the one before. */
export function climb(members: number, count: number, seed: number): Wishes {
  const roll = dice(seed);
  const swing = Math.max(1, Math.round(members / 100));
  const last = Math.round(members * 1.5);
  const sizes = Array.from({ length: count - 1 }, (_, n) => Math.round(members + ((last - members) * n) / count) + roll.between(-swing, swing));
  return { name: "climb", sizes: [...sizes, last], least: last - members };
}

/** Anything within a tenth, at random, and in the end a tenth more: each wish takes back what the one before had begun. */
export function swing(members: number, count: number, seed: number): Wishes {
  const roll = dice(seed);
  const reach = Math.max(1, Math.round(members / 10));
  const sizes = Array.from({ length: count - 1 }, () => members + roll.between(-reach, reach - 1));
  return { name: "swing", sizes: [...sizes, members + reach], least: reach };
}
