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
}

/** Members that count as active: `nodeStatusFacts` says which. */
export function activeIn(counts: Aggregates): number {
  return counts.active + counts.updating + counts.warning + counts.unknown;
}

/** Members that were made, as far as is known, and are not wanted gone. */
export function madeIn(counts: Aggregates): number {
  return activeIn(counts) + counts.recovering + counts.suspended + counts.error;
}

/** Members that exist or are being made, and are not wanted gone. */
export function standingIn(counts: Aggregates): number {
  return counts.planned + counts.creating + madeIn(counts);
}
