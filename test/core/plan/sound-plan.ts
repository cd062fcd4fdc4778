/** What every plan must keep to, whatever its cluster went through. */
import { expect } from "vitest";
import { brakeRules } from "../../../src/core/plan/brake.ts";
import type { ClusterPlan, Observed } from "../../../src/core/plan/cluster-plan.ts";
import type { ClusterModel } from "./cluster-model.ts";

/** @param model as the plan found it */
export function expectSound(model: ClusterModel, plan: ClusterPlan<number>, { counts, patients }: Observed<number>): void {
  const unmade = counts.planned + counts.creating;
  const standing = model.members.length - counts.deleting;
  if (plan.create > 0) {
    expect(unmade + plan.create).toBeLessThanOrEqual(model.window);
    expect(standing + plan.create).toBeLessThanOrEqual(model.wanted.desiredCapacity);
    expect(model.placeable && !model.wanted.deleting).toBe(true);
  }
  const { minSize, maxSize, deleting } = model.wanted;
  if (!deleting && model.placeable) expect(standing + plan.create).toBeGreaterThanOrEqual(Math.min(minSize, standing + model.window - unmade));
  if (!deleting && maxSize !== null) expect(standing - plan.remove).toBeLessThanOrEqual(Math.max(maxSize, standing - model.window + counts.deleting));
  expect(plan.serves.room).toBe(plan.create > 0 && maxSize !== null ? maxSize - standing - plan.create : Number.POSITIVE_INFINITY);
  if (plan.remove > 0) expect(standing - plan.remove).toBeGreaterThanOrEqual(model.wanted.deleting ? 0 : model.wanted.desiredCapacity);
  expect(plan.create === 0 || plan.remove === 0).toBe(true);
  expect(plan.serves.least).toBeLessThanOrEqual(model.wanted.desiredCapacity);
  expect(plan.serves.most).toBeGreaterThanOrEqual(model.wanted.desiredCapacity);
  expect(plan.heal).toBeLessThanOrEqual(patients.waiting);
  if (plan.heal > 0) expect(counts.recovering + plan.heal).toBeLessThanOrEqual(brakeRules.atOnce(model.wanted.desiredCapacity));
  if (model.wanted.deleting) expect(plan.heal).toBe(0);
  if (plan.forget) expect(model.wanted.deleting && model.members.length === 0).toBe(true);
  expect(plan.observedGeneration).toBeGreaterThanOrEqual(model.observedGeneration);
  expect(plan.observedGeneration).toBeLessThanOrEqual(model.wanted.generation);
  if (plan.lookAgainAtMs !== null && patients.waiting === 0) expect(plan.lookAgainAtMs).toBeGreaterThan(model.nowMs);
  for (const { done, failed } of plan.actions) expect(Math.min(done, failed)).toBeGreaterThanOrEqual(0);
  expect(plan.conditions.map((condition) => condition.type)).toEqual(["CONVERGED", "AVAILABLE", "HEALING_PAUSED"]);
}
