import { expect, test } from "vitest";
import { dueOf } from "../../src/core/precedence.ts";

const now = new Date("2026-11-21T12:00:00Z");

test("due at the same moment → small changes first, then deletions and remedies, then the creates of a big cluster", () => {
  const few = [dueOf(now, "making", 3), dueOf(now, "takingAwayOrMending", 100)];
  const many = dueOf(now, "takingAwayOrMending", 101);
  const creates = dueOf(now, "making", 2_500);
  expect(few[0]).toEqual(few[1]);
  expect(few[0]?.getTime()).toBeLessThan(many.getTime());
  expect(many.getTime()).toBeLessThan(creates.getTime());
  expect(creates).toEqual(now);
});

test("a create that has waited for ten seconds → before whatever comes after it", () => {
  const later = new Date(now.getTime() + 10_001);
  expect(dueOf(now, "making", 2_500).getTime()).toBeLessThan(dueOf(later, "making", 1).getTime());
});
