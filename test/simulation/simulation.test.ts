/** The simulator, shortly: fixed seeds hold, a seed is a seed, planted bugs are found. `npm run simulate` goes on from here. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bugs } from "./bugs.ts";
import { hunt, planted } from "./plant.ts";
import { openRunner, type Runner } from "./runner.ts";

/** A busy machine takes ten times as long over a seed, ms. */
const patienceMs = 240_000;

describe("a seed", () => {
  let runner: Runner;
  beforeAll(async () => {
    runner = await openRunner();
  });
  afterAll(() => runner.close());

  test.each([1, 2, 3, 4, 5, 6])("%i: wishes, faults, peace → everything holds", { timeout: patienceMs }, async (seed) => {
    const run = await runner.run(seed);
    expect(run.violations).toEqual([]);
    expect(run.steps).toBeGreaterThan(500);
  });

  test("run twice → the same steps, to the last; another one → others", { timeout: patienceMs }, async () => {
    const first = await runner.run(7);
    const again = await runner.run(7);
    expect({ hash: again.hash, steps: again.steps }).toEqual({ hash: first.hash, steps: first.steps });
    expect((await runner.run(8)).hash).not.toBe(first.hash);
  });
});

describe("the catalogue of bugs", () => {
  test("each can be planted: the text that it replaces stands in its file exactly once", () => {
    expect(bugs.length).toBeGreaterThanOrEqual(30);
    expect(new Set(bugs.map((bug) => bug.name)).size).toBe(bugs.length);
    for (const patch of bugs.flatMap((bug) => bug.patches)) expect(planted(patch)).toContain(patch.replace);
  });

  test.each(["no-rollback", "count-of-the-gone", "tail-at-least"])("%s → found within ten seeds", { timeout: patienceMs }, async (name) => {
    const bug = bugs.find((each) => each.name === name);
    if (bug === undefined) throw new Error("there is no such bug");
    expect((await hunt(bug, { from: 1, seeds: 10 })).seed).not.toBeNull();
  });
});
