/** The goal of a size action, fixed when it is accepted. Pure. */

export interface SizeFacts {
  /** The capacity wanted from now on, and before. */
  readonly desired: number;
  readonly former: number;
  /** Members that exist or are being made or planned, and are not wanted gone. */
  readonly standing: number;
  /** Of these: not yet made (PLANNED, CREATING). */
  readonly unmade: number;
  /** Members on their way out (DELETING). */
  readonly leaving: number;
  /** Running totals of the cluster. */
  readonly createdTotal: bigint;
  readonly deletedTotal: bigint;
}

export interface Goal {
  /** Members this action must change. */
  readonly total: number;
  /** It is reached when the running total of its direction is this. */
  readonly goal: bigint;
  readonly direction: "grow" | "shrink";
}

/**
 * A relative wish counts its own step; an exact one all that is missing. Either is reached when the sum of what is on the way is:
 * the goal is a value of the running total, so progress needs no row per member.
 */
export function sizeGoal(facts: SizeFacts, relative: boolean): Goal {
  const made = facts.standing - facts.unmade;
  const missing = facts.desired - made;
  const step = facts.desired - facts.former;
  const direction = missing > 0 || (missing === 0 && step > 0) ? "grow" : "shrink";
  if (direction === "grow") {
    const total = relative ? Math.min(Math.abs(step), missing) : missing;
    return { direction, total: Math.max(0, total), goal: facts.createdTotal + BigInt(Math.max(0, missing)) };
  }
  // Planned members that are dropped are taken away as well; those already leaving count for this wish.
  const surplus = Math.max(0, facts.standing - facts.desired);
  const total = relative ? Math.min(Math.abs(step), surplus) : surplus;
  return { direction, total, goal: facts.deletedTotal + BigInt(surplus + facts.leaving) };
}
