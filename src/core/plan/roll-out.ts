/**
 * Rolling a new profile out: how many members may be brought over now, and how. Pure. There is no policy for it yet: the share below is the
 * default, as Kubernetes has it for Deployments (`maxUnavailable: 25 %`).
 */
import type { Json, JsonObject } from "../json.ts";
import { isJsonObject } from "../secret.ts";
import type { Aggregates } from "./aggregates.ts";

/** Members that are of another profile than their cluster, as far as they were looked through. */
export interface Outdated {
  /** All that will have to change, also those that must first become something else (CREATING, RECOVERING, UNKNOWN). */
  readonly left: number;
  /** Planned only, or sick since before the profile changed: bringing them over takes nothing from the cluster. */
  readonly idle: number;
  /** ACTIVE or WARNING. */
  readonly working: number;
}

export const noneOutdated: Outdated = { left: 0, idle: 0, working: 0 };

export interface RollOut {
  /** How many idle ones to bring over now. */
  readonly idle: number;
  /** How many that work. */
  readonly working: number;
}

/**
 * So many members may be missing at once while others are brought over: a quarter of those wanted, and none below minSize; but always one, or it
 * would never end.
 */
export function mostMissing(wanted: { readonly desiredCapacity: number; readonly minSize: number }): number {
  return Math.max(1, Math.min(Math.floor(wanted.desiredCapacity / 4), wanted.desiredCapacity - wanted.minSize));
}

/**
 * How many members to begin to bring over. Whoever is missing for another reason counts: a roll-out never adds to an outage, and stops by itself
 * where the new profile's members do not become well.
 * @param room members that may be on the way at once
 */
export function rollOutNow(
  wanted: { readonly desiredCapacity: number; readonly minSize: number },
  counts: Aggregates,
  outdated: Outdated,
  room: number,
): RollOut {
  const free = Math.max(0, room - counts.updating);
  const idle = Math.min(outdated.idle, free);
  const well = Math.min(counts.active + counts.warning, counts.healthy);
  const missing = Math.max(0, wanted.desiredCapacity - well);
  return { idle, working: Math.max(0, Math.min(outdated.working, free - idle, mostMissing(wanted) - missing)) };
}

/**
 * Whether a member can go from one spec to the other where it stands: all that differs lies at or below paths that its driver changes in place.
 * Both sealed: what is sealed cannot be compared without being opened, so it counts as changed.
 * @param inPlace dotted paths
 */
export function changesInPlace(from: JsonObject, to: JsonObject, inPlace: readonly string[]): boolean {
  return changedPaths(from, to).every((path) => inPlace.some((known) => path === known || path.startsWith(`${known}.`)));
}

/** The dotted paths at which two specs differ; lists count as a whole. */
function changedPaths(from: JsonObject, to: JsonObject, prefix = ""): string[] {
  return [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((key) => {
    const [before, after] = [valueOf(from, key), valueOf(to, key)];
    const path = `${prefix}${key}`;
    const [left, right] = [before ?? (isJsonObject(after) ? {} : before), after ?? (isJsonObject(before) ? {} : after)];
    if (isJsonObject(left) && isJsonObject(right)) return changedPaths(left, right, `${path}.`);
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [path];
  });
}

function valueOf(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
