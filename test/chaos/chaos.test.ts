/** A short chaos run; `npm run chaos` does longer ones. */
import { expect, test } from "vitest";
import { realRuntime } from "../../src/main/runtime.ts";
import { runChaos } from "./chaos.ts";
import { faultKinds, planFaults } from "./fault-plan.ts";

const storm = { seed: 1, stormMs: 12_500, everyMs: 800, workers: 2, apis: 2, clients: 3 };

test("the same seed → the same faults; another seed → others", () => {
  const plan = (seed: number): unknown => planFaults(seed, { ...storm, durationMs: 60_000 });
  expect(plan(1)).toEqual(plan(1));
  expect(plan(1)).not.toEqual(plan(2));
});

test("12 s of load and of every kind of fault → at rest, nothing lost, doubled, FAILED or left behind, every event told once", {
  timeout: 240_000,
}, async () => {
  const result = await runChaos(storm, realRuntime());
  expect(result.broken).toEqual([]);
  expect([...result.faults.keys()].sort()).toEqual([...faultKinds].sort());
  expect(result.mutations.accepted).toBeGreaterThan(5);
  expect(result.provider.created).toBeGreaterThan(5);
});
