import { expect, test } from "vitest";
import { faultKinds, planFaults } from "./fault-plan.ts";

const storm = { durationMs: 60_000, everyMs: 800, workers: 2, apis: 2 };

test("the same seed → the same faults; another seed → others", () => {
  const plan = (seed: number): unknown => planFaults(seed, { ...storm });
  expect(plan(1)).toEqual(plan(1));
  expect(plan(1)).not.toEqual(plan(2));
});

test("a minute of faults → every kind of them", () => {
  expect(new Set(planFaults(1, storm).map(({ kind }) => kind))).toEqual(new Set(faultKinds));
});
