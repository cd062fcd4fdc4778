import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type SizeFacts, sizeGoal } from "../../../src/core/plan/goal.ts";

/** A cluster at rest with so many members. */
const atRest = (members: number): SizeFacts => ({
  former: members,
  desired: members,
  standing: members,
  unmade: 0,
  leaving: 0,
  createdTotal: BigInt(members),
  deletedTotal: 0n,
});
const anyFacts: fc.Arbitrary<SizeFacts> = fc
  .tuple(fc.nat(500), fc.nat(500), fc.nat(500), fc.nat(500), fc.nat(50), fc.nat(1_000), fc.nat(1_000))
  .map(([desired, former, made, unmade, leaving, created, deleted]) => ({
    desired,
    former,
    standing: made + unmade,
    unmade,
    leaving,
    createdTotal: BigInt(created),
    deletedTotal: BigInt(deleted),
  }));

describe("the goal of a size wish", () => {
  test("any cluster, any wish → total is no larger than what is to be done, and the goal is not behind", () => {
    fc.assert(
      fc.property(anyFacts, fc.boolean(), (facts, relative) => {
        const { total, goal, direction } = sizeGoal(facts, relative);
        expect(total).toBeGreaterThanOrEqual(0);
        const reached = direction === "grow" ? facts.createdTotal : facts.deletedTotal;
        expect(goal).toBeGreaterThanOrEqual(reached + BigInt(total));
        if (relative) expect(total).toBeLessThanOrEqual(Math.abs(facts.desired - facts.former));
        if (direction === "grow" && !relative) expect(total).toBe(Math.max(0, facts.desired - (facts.standing - facts.unmade)));
      }),
    );
  });

  test("five by five more, twice, at once → 5 each; the first is reached with the tenth member, the second with the fifteenth", () => {
    const first = sizeGoal({ ...atRest(5), desired: 10 }, true);
    expect(first).toEqual({ direction: "grow", total: 5, goal: 10n });
    const second = sizeGoal({ ...atRest(5), former: 10, desired: 15 }, true);
    expect(second).toEqual({ direction: "grow", total: 5, goal: 15n });
  });

  test("exactly 5 → 50 → 3 within a moment → 45 to make, then only what is too much to take away", () => {
    expect(sizeGoal({ ...atRest(5), desired: 50 }, false)).toEqual({ direction: "grow", total: 45, goal: 50n });
    // Twenty of them were planned, ten of these made, when the next wish came.
    const midway: SizeFacts = { former: 50, desired: 3, standing: 25, unmade: 10, leaving: 0, createdTotal: 15n, deletedTotal: 0n };
    expect(sizeGoal(midway, false)).toEqual({ direction: "shrink", total: 22, goal: 22n });
  });

  test("three fewer, while two are leaving already → three of one's own, reached when all five are gone", () => {
    expect(sizeGoal({ former: 8, desired: 5, standing: 8, unmade: 0, leaving: 2, createdTotal: 10n, deletedTotal: 0n }, true)).toEqual({
      direction: "shrink",
      total: 3,
      goal: 5n,
    });
  });

  test("what there is already → nothing to do", () => {
    expect(sizeGoal(atRest(5), false).total).toBe(0);
    expect(sizeGoal(atRest(5), true).total).toBe(0);
  });
});
