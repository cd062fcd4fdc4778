/** Members of a cluster by status: all that a plan may know of them. */

/** Sums over all members. */
export interface Aggregates {
  readonly planned: number;
  readonly creating: number;
  readonly active: number;
  readonly updating: number;
  readonly recovering: number;
  readonly suspended: number;
  readonly warning: number;
  readonly error: number;
  readonly unknown: number;
  readonly deleting: number;
  /** Of the updating ones: those that are closed and made anew, which do not work meanwhile. */
  readonly replacing: number;
  /** With the verdict HEALTHY, whatever their status, and not on their way out. */
  readonly healthy: number;
}

/** Members that count as active: `nodeStatusFacts` says which; of the updating ones those that are changed in place. */
export function activeIn(counts: Aggregates): number {
  return counts.active + counts.updating - counts.replacing + counts.warning + counts.unknown;
}

/** Members that were made, as far as is known, and are not wanted gone. */
export function madeIn(counts: Aggregates): number {
  return activeIn(counts) + counts.replacing + counts.recovering + counts.suspended + counts.error;
}

/** Members that exist or are being made, and are not wanted gone. */
export function standingIn(counts: Aggregates): number {
  return counts.planned + counts.creating + madeIn(counts);
}
