import { expect, test } from "vitest";
import { nodeStatuses, nodeStatusFacts } from "../../../src/core/node.ts";
import { activeIn, madeIn, standingIn } from "../../../src/core/plan/aggregates.ts";
import { noCounts, statusField } from "../../../src/store/count.ts";

test.each(nodeStatuses)("a member that is %s → counted as its status says", (status) => {
  const counts = { ...noCounts, [statusField[status]]: 1 };
  const { active, there } = nodeStatusFacts[status];
  expect(activeIn(counts)).toBe(active ? 1 : 0);
  expect(madeIn(counts)).toBe(there && status !== "CREATING" && status !== "DELETING" ? 1 : 0);
  expect(standingIn(counts)).toBe(status === "DELETING" ? 0 : 1);
});
