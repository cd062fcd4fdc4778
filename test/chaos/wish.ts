/** What a client of the chaos run asks for: a value drawn from its dice alone, so that the same seed asks the same whatever was answered. */
import type { Dice } from "./dice.ts";

export type Wish =
  | { readonly kind: "create"; readonly cluster: string; readonly size: number }
  | { readonly kind: "exactly"; readonly cluster: string; readonly size: number }
  | { readonly kind: "by"; readonly cluster: string; readonly count: number }
  /** One more, of a cluster that nothing else is asked of: in the end it has as many members as were asked for. */
  | { readonly kind: "tally" }
  | { readonly kind: "check" | "recover" | "delete" | "createNode"; readonly cluster: string }
  | { readonly kind: "checkNode" | "recoverNode" | "deleteNode"; readonly cluster: string; readonly index: number }
  /** Of an action that this client was told of: so many before the last. */
  | { readonly kind: "cancel"; readonly back: number };
export type WishKind = Wish["kind"];

export interface Request {
  readonly wish: Wish;
  /** Asked once more with the same key although it was answered. */
  readonly again: boolean;
  /** Pause before the next one, ms. */
  readonly pauseMs: number;
}

/** A cluster's largest size, always; at the provider it may never be exceeded either. */
export const largest = 20;
export const tally = "tally";
/** What the clusters are made of. Only those of `flaky` may have actions that fail. */
export const profiles = {
  quick: { createMs: { min: 5, max: 300 }, deleteMs: { min: 0, max: 100 } },
  slow: { createMs: { min: 500, max: 3_000 }, deleteMs: { min: 100, max: 1_000 } },
  flaky: { createMs: { min: 5, max: 100 }, failureRate: 0.2 },
} as const;
export type ProfileName = keyof typeof profiles;
const clusterProfiles = { a: "quick", b: "quick", c: "slow", d: "slow", e: "flaky" } as const satisfies Record<string, ProfileName>;
const clusters = Object.keys(clusterProfiles) as readonly (keyof typeof clusterProfiles)[];

export function profileOf(cluster: string): ProfileName {
  return clusters.find((name) => name === cluster) === undefined ? "quick" : clusterProfiles[cluster as keyof typeof clusterProfiles];
}

const kinds = [
  ...["create", "exactly", "exactly", "by", "by", "by", "tally", "tally", "tally"],
  ...["check", "recover", "createNode", "checkNode", "recoverNode", "deleteNode", "cancel", "cancel"],
] as readonly WishKind[];

export function nextRequest(roll: Dice): Request {
  // Whole clusters go, but seldom: most of what is interesting happens while they live.
  const kind = roll.fraction() < 0.04 ? "delete" : roll.pick(kinds);
  return { wish: wishOf(kind, roll), again: roll.fraction() < 0.1, pauseMs: roll.between(0, 300) };
}

function wishOf(kind: WishKind, roll: Dice): Wish {
  const cluster = roll.pick(clusters);
  switch (kind) {
    case "create":
    case "exactly":
      return { kind, cluster, size: roll.between(0, largest) };
    case "by":
      return { kind, cluster, count: roll.pick([-4, -2, -1, 1, 2, 3, 5]) };
    case "tally":
      return { kind };
    case "checkNode":
    case "recoverNode":
    case "deleteNode":
      return { kind, cluster, index: roll.between(1, 2 * largest) };
    case "cancel":
      return { kind, back: roll.between(1, 3) };
    default:
      return { kind, cluster };
  }
}
