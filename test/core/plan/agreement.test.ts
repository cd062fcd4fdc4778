import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { agreementOf, agreementRules, seeWish, type Wishes } from "../../../src/core/plan/agreement.ts";

const { memoryMs, storm, calmMs, longestCalmMs, freshMs, small } = agreementRules;

/** Sizes, each wanted for some time; and how many wishes were missed before it was seen. */
const anyWishes = fc.array(fc.record({ size: fc.nat(10_000), lastsMs: fc.nat(400), missed: fc.nat(2) }), { minLength: 1, maxLength: 60 });

interface Seen {
  readonly atMs: number;
  readonly untilMs: number;
  readonly size: number;
}

/** What a planner remembers that sees each of these wishes when it begins, and what there is to remember. */
function live(wishes: readonly { size: number; lastsMs: number; missed: number }[]): { memory: Wishes; all: Seen[]; nowMs: number; size: number } {
  let memory: Wishes | null = null;
  let nowMs = 5_000;
  let generation = 0;
  const all: Seen[] = [];
  for (const { size, lastsMs, missed } of wishes) {
    generation += 1 + missed;
    memory = seeWish(memory, { generation, desiredCapacity: size, observedGeneration: 0 }, nowMs);
    all.push({ atMs: nowMs, untilMs: nowMs + lastsMs, size });
    nowMs += lastsMs;
  }
  const size = all.at(-1)?.size ?? 0;
  if (memory === null) throw new Error("nothing was wanted");
  return { memory: seeWish(memory, { generation, desiredCapacity: size, observedGeneration: 0 }, nowMs), all, nowMs, size };
}

describe("how far wishes agree", () => {
  test("any wishes → never more is made than the present wish, and never fewer are left", () => {
    fc.assert(
      fc.property(anyWishes, (wishes) => {
        const { memory, nowMs, size } = live(wishes);
        const { least, most, againInMs } = agreementOf(memory, size, nowMs);
        expect(least).toBeLessThanOrEqual(size);
        expect(most).toBeGreaterThanOrEqual(size);
        expect(againInMs === null).toBe(least === size && most === size);
      }),
    );
  });

  test("any wishes, in a storm → nothing is begun that one of the last two seconds' does not want", () => {
    fc.assert(
      fc.property(anyWishes, (wishes) => {
        const { memory, all, nowMs, size } = live(wishes);
        const agreed = agreementOf(memory, size, nowMs);
        if (!agreed.storm) return;
        // What was wanted at some time of the last two seconds, all of it, down to the last one.
        const late = all.filter((wish) => wish.untilMs > nowMs - memoryMs || wish === all.at(-1)).map((wish) => wish.size);
        expect(agreed.least).toBeLessThanOrEqual(Math.min(...late));
        expect(agreed.most).toBeGreaterThanOrEqual(Math.max(...late));
      }),
    );
  });

  test("any wishes, then calm → after 800 ms at the latest all that is wanted, and until then it says when", () => {
    fc.assert(
      fc.property(anyWishes, fc.nat(2_000), (wishes, pauseMs) => {
        const { memory, nowMs, size } = live(wishes);
        const later = agreementOf(memory, size, memory.changedAtMs + longestCalmMs + pauseMs);
        expect(later).toEqual({ least: size, most: size, storm: false, againInMs: null });
        const { againInMs } = agreementOf(memory, size, nowMs);
        if (againInMs === null) return;
        expect(againInMs).toBeGreaterThan(0);
        expect(againInMs).toBeLessThanOrEqual(longestCalmMs);
        const then = agreementOf(memory, size, nowMs + againInMs);
        expect({ least: then.least, most: then.most }).toEqual({ least: size, most: size });
      }),
    );
  });

  test("a stream of wishes that never ends, all for more than there was → after two seconds all of them are served as far as they agree", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 5_000, max: 9_000 }), { minLength: 60, maxLength: 80 }), (sizes) => {
        const { memory, nowMs, size } = live([{ size: 10, lastsMs: 5_000, missed: 0 }, ...sizes.map((size) => ({ size, lastsMs: 40, missed: 0 }))]);
        const { least, storm } = agreementOf(memory, size, nowMs);
        expect(storm).toBe(true);
        expect(least).toBeGreaterThanOrEqual(5_000);
      }),
    );
  });

  test("any number of wishes → what is remembered of them is no more than four dozen spans", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ size: fc.nat(100), lastsMs: fc.nat(3), missed: fc.nat(2) }), { minLength: 1, maxLength: 2_000 }), (wishes) => {
        expect(live(wishes).memory.spans.length).toBeLessThanOrEqual(48);
      }),
      { numRuns: 20 },
    );
  });

  test("nothing is remembered → the wish is followed at once", () => {
    const memory = seeWish(null, { generation: 7, desiredCapacity: 500, observedGeneration: 0 }, 0);
    expect(agreementOf(memory, 500, 0)).toEqual({ least: 500, most: 500, storm: false, againInMs: null });
  });

  test("one change after calm → fifty members at once, the rest 50 ms later; a small one, all at once", () => {
    const calm = seeWish(null, { generation: 1, desiredCapacity: 1_000, observedGeneration: 0 }, 0);
    const up = seeWish(calm, { generation: 2, desiredCapacity: 3_000, observedGeneration: 0 }, 60_000);
    expect(agreementOf(up, 3_000, 60_000)).toEqual({ least: 1_000 + small, most: 3_000, storm: false, againInMs: freshMs });
    expect(agreementOf(up, 3_000, 60_000 + freshMs)).toEqual({ least: 3_000, most: 3_000, storm: false, againInMs: null });
    const down = seeWish(calm, { generation: 2, desiredCapacity: 0, observedGeneration: 0 }, 60_000);
    expect(agreementOf(down, 0, 60_000)).toEqual({ least: 0, most: 1_000 - small, storm: false, againInMs: freshMs });
    const little = seeWish(calm, { generation: 2, desiredCapacity: 1_000 + small, observedGeneration: 0 }, 60_000);
    expect(agreementOf(little, 1_000 + small, 60_000)).toMatchObject({ least: 1_000 + small, againInMs: null });
  });

  test("generations that nobody saw count: three of them in a moment are a storm", () => {
    const calm = seeWish(null, { generation: 1, desiredCapacity: 10, observedGeneration: 0 }, 0);
    const jumped = seeWish(calm, { generation: 1 + storm, desiredCapacity: 20, observedGeneration: 0 }, 10_000);
    expect(agreementOf(jumped, 20, 10_000)).toEqual({ least: 10, most: 20, storm: true, againInMs: calmMs });
    const twice = seeWish(calm, { generation: storm, desiredCapacity: 20, observedGeneration: 0 }, 10_000);
    expect(agreementOf(twice, 20, 10_000)).toMatchObject({ storm: false });
  });

  test("each wish was carried out before the next one came → no storm, however fast they come; three at once in between are one", () => {
    let patient = seeWish(null, { generation: 1, desiredCapacity: 1_000, observedGeneration: 1 }, 0);
    for (let i = 2; i <= 20; i++) {
      const desiredCapacity = 1_000 + ((i + 1) % 2) * 100;
      patient = seeWish(patient, { generation: i, desiredCapacity, observedGeneration: i - 1 }, 100 * i);
      expect(agreementOf(patient, desiredCapacity, 100 * i)).toMatchObject({ storm: false, againInMs: freshMs });
      expect(agreementOf(patient, desiredCapacity, 100 * i + freshMs)).toMatchObject({ least: desiredCapacity, most: desiredCapacity });
    }
    const hasty = seeWish(patient, { generation: 23, desiredCapacity: 500, observedGeneration: 20 }, 3_000);
    expect(agreementOf(hasty, 500, 3_000)).toMatchObject({ storm: true, least: 500, most: 1_100 });
  });

  test("wishes that come in gusts, 440 ms apart → still a storm between them, and over 800 ms after the last; one by one, over after 300", () => {
    let gusts = seeWish(null, { generation: 1, desiredCapacity: 1_000, observedGeneration: 0 }, 0);
    for (let i = 1; i <= 6; i++)
      gusts = seeWish(gusts, { generation: 1 + 30 * i, desiredCapacity: 1_000 + i, observedGeneration: 0 }, 10_000 + 440 * i);
    const lastMs = 10_000 + 440 * 6;
    expect(agreementOf(gusts, 1_006, lastMs + 430)).toMatchObject({ least: 1_001, storm: true });
    expect(agreementOf(gusts, 1_006, lastMs + longestCalmMs)).toMatchObject({ least: 1_006, storm: false });
    let single = seeWish(null, { generation: 1, desiredCapacity: 1_000, observedGeneration: 0 }, 0);
    for (let i = 1; i <= 6; i++) single = seeWish(single, { generation: 1 + i, desiredCapacity: 1_000 + i, observedGeneration: 0 }, 10_000 + 100 * i);
    expect(agreementOf(single, 1_006, 10_600)).toMatchObject({ storm: true, againInMs: calmMs });
    expect(agreementOf(single, 1_006, 10_600 + calmMs)).toMatchObject({ least: 1_006, storm: false });
  });
});
