import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type NodeEvent,
  type NodeStatus,
  nodeStatusCodes,
  nodeStatuses,
  nodeStatusFacts,
  nodeTransition,
  nodeTransitions,
} from "../../src/core/node.ts";

/** Where a node comes to by itself or by the engine, from what it is: nobody has to ask for these. */
const byEngine: readonly NodeEvent[] = [
  "createBegun",
  "created",
  "found",
  "absent",
  "recoverBegun",
  "recovered",
  "updated",
  "sideDutyDone",
  "deleted",
];
/** A person's verb that leads on, where the engine must not by itself. */
const byPerson: Readonly<Partial<Record<NodeStatus, NodeEvent>>> = { SUSPENDED: "resumed" };

function reachable(from: NodeStatus, allowed: (status: NodeStatus, event: NodeEvent) => boolean): ReadonlySet<NodeStatus | "GONE"> {
  const seen = new Set<NodeStatus | "GONE">([from]);
  const open: NodeStatus[] = [from];
  for (let status = open.pop(); status !== undefined; status = open.pop()) {
    for (const [event, to] of Object.entries(nodeTransitions[status]) as [NodeEvent, NodeStatus | "GONE"][]) {
      if (!allowed(status, event) || seen.has(to)) continue;
      seen.add(to);
      if (to !== "GONE") open.push(to);
    }
  }
  return seen;
}

describe("node state machine", () => {
  test.each(nodeStatuses.filter((status) => status !== "DELETING"))(
    "wanted: %s → ACTIVE is reached by the engine, or by a person's verb that is named",
    (status) => {
      const reached = reachable(status, (from, event) => byEngine.includes(event) || byPerson[from] === event);
      expect(reached).toContain("ACTIVE");
    },
  );

  test.each(nodeStatuses)("not wanted: %s → gone is reached", (status) => {
    expect(reachable(status, (_from, event) => event === "deleteWanted" || byEngine.includes(event))).toContain("GONE");
  });

  test("deletion: wanted in any status → nothing but deletion follows", () => {
    expect(reachable("DELETING", () => true)).toEqual(new Set(["DELETING", "GONE"]));
  });

  test("any status: any event → a status of the table, or nothing", () => {
    const events = [...new Set(nodeStatuses.flatMap((status) => Object.keys(nodeTransitions[status]) as NodeEvent[]))];
    fc.assert(
      fc.property(fc.constantFrom(...nodeStatuses), fc.array(fc.constantFrom(...events)), (start, history) => {
        let status: NodeStatus | "GONE" = start;
        for (const event of history) {
          if (status === "GONE") return;
          const next: NodeStatus | "GONE" | null = nodeTransition(status, event);
          if (next === null) continue;
          expect([...nodeStatuses, "GONE"]).toContain(next);
          // Once it is to go, it never comes back.
          if (status === "DELETING") expect(next).toBe("GONE");
          status = next;
        }
      }),
    );
  });

  test("codes: stored → frozen", () => {
    expect(nodeStatusCodes).toEqual({
      PLANNED: 1,
      CREATING: 2,
      ACTIVE: 3,
      UPDATING: 4,
      RECOVERING: 5,
      SUSPENDED: 6,
      WARNING: 7,
      ERROR: 8,
      UNKNOWN: 9,
      DELETING: 10,
    });
  });

  test("facts: a status that counts as active → something may be there", () => {
    for (const status of nodeStatuses) if (nodeStatusFacts[status].active) expect(nodeStatusFacts[status].there).toBe(true);
  });
});
