/** The cluster: its status and conditions as pure functions of member counts, its capacity arithmetic, its facets. */
import { codec } from "./code.ts";
import type { InputIssue } from "./errors.ts";

export const clusterStatuses = ["INIT", "ACTIVE", "WARNING", "CRITICAL", "ERROR", "SUSPENDED", "DELETING"] as const;
export type ClusterStatus = (typeof clusterStatuses)[number];
/** Stored: frozen. */
export const clusterStatusCodes = {
  INIT: 1,
  ACTIVE: 2,
  WARNING: 3,
  CRITICAL: 4,
  ERROR: 5,
  SUSPENDED: 6,
  DELETING: 7,
} as const satisfies Record<ClusterStatus, number>;
export const clusterStatusCodec = codec("cluster status", clusterStatusCodes);

/** What a wish is about. A newer wish supersedes unfinished ones of its own facet that it replaces. Stored: frozen. */
export const facets = ["SIZE", "PROFILE", "MEMBERSHIP", "POLICIES", "EXISTENCE"] as const;
export type Facet = (typeof facets)[number];
export const facetCodes = { SIZE: 1, PROFILE: 2, MEMBERSHIP: 3, POLICIES: 4, EXISTENCE: 5 } as const satisfies Record<Facet, number>;

/** How many members may be missing before the status says so: none up to 1,000 members, then 0.1 %. */
export function tolerance(desiredCapacity: number): number {
  return desiredCapacity <= 1_000 ? 0 : Math.floor(desiredCapacity / 1_000);
}

export interface SizeBounds {
  readonly minSize: number;
  /** null: no limit but the project's quota. */
  readonly maxSize: number | null;
}

/**
 * Status from member counts. A new cluster is INIT until it settles for the first time or falls out of its bounds later.
 * @param active members that count as active
 */
export function clusterStatus(
  wanted: SizeBounds & { readonly desiredCapacity: number; readonly deleting: boolean },
  active: number,
  everSettled: boolean,
): { status: ClusterStatus; reason: string | null } {
  if (wanted.deleting) return { status: "DELETING", reason: null };
  const { desiredCapacity: desired, minSize, maxSize } = wanted;
  if (!everSettled && active < desired) return { status: "INIT", reason: `${active} of ${desired} members are active` };
  if (active < minSize) return { status: "CRITICAL", reason: `${active} active, fewer than minSize ${minSize}` };
  if (active < desired - tolerance(desired)) return { status: "WARNING", reason: `${active} of ${desired} members are active` };
  if (maxSize !== null && active > maxSize) return { status: "WARNING", reason: `${active} active, more than maxSize ${maxSize}` };
  return { status: "ACTIVE", reason: null };
}

export type CapacityChange = { readonly exactly: number } | { readonly by: number } | { readonly byPercent: number };

/** The largest capacity one cluster may want: ten million, far above what is promised, far below what overflows. */
export const capacityLimit = 10_000_000;

/**
 * The capacity a change asks for, starting from what is *wanted* now, before bounds. Percentages round away from zero: 30 % of 5
 * is 2 (Senlin truncated, and with `min_step` could go negative: D-05, D-22).
 */
export function askedCapacity(change: CapacityChange, wantedNow: number, minStep: number | null): number {
  if ("exactly" in change) return change.exactly;
  if ("by" in change) return wantedNow + change.by;
  const exact = (wantedNow * change.byPercent) / 100;
  // 1e-9: 0.1 × 30 is 3.0000000000000004 in binary, which is meant to be 3.
  const magnitude = Math.ceil(Math.abs(exact) - 1e-9);
  const sign = Math.sign(change.byPercent);
  return wantedNow + sign * Math.max(magnitude, sign === 0 ? 0 : (minStep ?? 0));
}

export interface Resize {
  readonly desiredCapacity: number;
  readonly minSize: number;
  readonly maxSize: number | null;
}

export interface AskedResize {
  readonly capacity: CapacityChange | null;
  readonly minStep: number | null;
  readonly minSize: number | undefined;
  readonly maxSize: number | null | undefined;
  /** false: go as far as the bounds allow instead of refusing. */
  readonly strict: boolean;
}

/**
 * What a resize comes to, or everything that is wrong with it.
 */
export function decideResize(current: Resize, asked: AskedResize): { ok: true; value: Resize } | { ok: false; issues: InputIssue[] } {
  const issues: InputIssue[] = [];
  const minSize = asked.minSize ?? current.minSize;
  const maxSize = asked.maxSize === undefined ? current.maxSize : asked.maxSize;
  issues.push(...boundIssues(minSize, maxSize));
  if (asked.minStep !== null && asked.minStep < 0) issues.push({ path: ["minStep"], message: "must not be negative" });
  let desired = current.desiredCapacity;
  if (asked.capacity !== null) {
    const key = Object.keys(asked.capacity)[0] ?? "exactly";
    const path = ["capacity", key];
    if ("byPercent" in asked.capacity && !Number.isFinite(asked.capacity.byPercent)) {
      issues.push({ path, message: "must be a finite number" });
    } else {
      desired = askedCapacity(asked.capacity, current.desiredCapacity, asked.minStep);
      if ("exactly" in asked.capacity && asked.capacity.exactly < 0) issues.push({ path, message: "must not be negative" });
      else if (asked.strict) issues.push(...desiredIssues(desired, minSize, maxSize, path));
      else desired = clamp(desired, minSize, maxSize);
    }
  } else if (asked.strict) {
    // Only the bounds were given: they must leave what is wanted where it is.
    if (desired < minSize) issues.push({ path: ["minSize"], message: `must not be above the desired capacity ${desired}` });
    if (maxSize !== null && desired > maxSize) {
      issues.push({ path: ["maxSize"], message: `must not be below the desired capacity ${desired}` });
    }
  } else desired = clamp(desired, minSize, maxSize);
  return issues.length > 0 ? { ok: false, issues } : { ok: true, value: { desiredCapacity: desired, minSize, maxSize } };
}

/** What is wrong with a pair of bounds by itself. */
export function boundIssues(minSize: number, maxSize: number | null): InputIssue[] {
  const issues: InputIssue[] = [];
  if (minSize < 0) issues.push({ path: ["minSize"], message: "must not be negative" });
  if (minSize > capacityLimit) issues.push({ path: ["minSize"], message: `must not be above ${capacityLimit}` });
  if (maxSize !== null && maxSize < 0) issues.push({ path: ["maxSize"], message: "must not be negative" });
  else if (maxSize !== null && maxSize < minSize) issues.push({ path: ["maxSize"], message: `must not be below minSize ${minSize}` });
  return issues;
}

/** What is wrong with a desired capacity under these bounds. */
export function desiredIssues(desired: number, minSize: number, maxSize: number | null, path: readonly string[]): InputIssue[] {
  if (desired < 0) return [{ path, message: `would make the desired capacity ${desired}` }];
  if (desired > capacityLimit) return [{ path, message: `would make the desired capacity ${desired}, above ${capacityLimit}` }];
  if (desired < minSize) return [{ path, message: `would make the desired capacity ${desired}, below minSize ${minSize}` }];
  if (maxSize !== null && desired > maxSize) {
    return [{ path, message: `would make the desired capacity ${desired}, above maxSize ${maxSize}` }];
  }
  return [];
}

export function clamp(value: number, minSize: number, maxSize: number | null): number {
  return Math.min(Math.max(value, minSize, 0), maxSize ?? capacityLimit, capacityLimit);
}

/** One condition of a cluster, as it is stored and shown. */
export interface Condition {
  readonly type: ConditionType;
  readonly status: "TRUE" | "FALSE" | "UNKNOWN";
  readonly reason: string;
  readonly message: string | null;
  /** Milliseconds since 1970: when `status` last changed. */
  readonly sinceMs: number;
  readonly observedGeneration: number;
}
export const conditionTypes = ["CONVERGED", "AVAILABLE", "HEALING_PAUSED"] as const;
export type ConditionType = (typeof conditionTypes)[number];
