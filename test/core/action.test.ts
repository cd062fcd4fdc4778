import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ActionEvent,
  actionCauseCodes,
  actionCounterCodec,
  actionFacets,
  actionKindCodes,
  actionKinds,
  actionProgress,
  actionStatusCodec,
  actionStatusCodes,
  actionStatuses,
  actionTransition,
  isFinished,
} from "../../src/core/action.ts";
import { clusterStatusCodes, facetCodes } from "../../src/core/cluster.ts";
import { codec } from "../../src/core/code.ts";
import { healthStatusCodes } from "../../src/core/health.ts";
import { nodeStatusCodes, taskKindCodes } from "../../src/core/node.ts";
import { roleCodes } from "../../src/core/principal.ts";

const finished = ["SUCCEEDED", "FAILED", "CANCELLED", "SUPERSEDED"] as const;
const events: readonly ActionEvent[] = ["begun", "waits", "succeeded", "failed", "cancelled", "superseded"];

describe("an action's state machine", () => {
  test.each(actionStatuses.filter((status) => !isFinished(status)))(
    "%s → every end but success is one step away, and success is reached",
    (status) => {
      for (const event of ["failed", "cancelled", "superseded"] as const) expect(isFinished(actionTransition(status, event) ?? status)).toBe(true);
      const begun = actionTransition(status, "begun") ?? status;
      expect(actionTransition(begun, "succeeded")).toBe("SUCCEEDED");
    },
  );

  test.each(finished)("%s → for good, whatever comes", (status) => {
    for (const event of events) expect(actionTransition(status, event)).toBeNull();
  });

  test("finished → exactly the four that say so", () => {
    expect(actionStatuses.filter(isFinished)).toEqual(finished);
  });

  test("progress: any totals → done and failed are within total, and never more together", () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(10_000), fc.nat(10_000), fc.nat(1_000), fc.nat(1_000), (total, goal, reached, failedBase, failedTotal) => {
        const { done, failed } = actionProgress({ total, goal, reached, failedBase, failedTotal });
        expect(done).toBeGreaterThanOrEqual(0);
        expect(failed).toBeGreaterThanOrEqual(0);
        expect(done + failed).toBeLessThanOrEqual(total);
        if (reached >= goal) expect(done).toBe(total);
      }),
    );
  });

  test("every kind → has a facet or is a job", () => {
    for (const kind of actionKinds) expect(actionFacets).toHaveProperty(kind);
  });
});

/** Stored in every database there is: a number here may be added, never changed, never used again. */
const frozen = {
  actionStatus: { PENDING: 1, WAITING: 2, RUNNING: 3, SUCCEEDED: 4, FAILED: 5, CANCELLED: 6, SUPERSEDED: 7 },
  actionKind: {
    CLUSTER_CREATE: 1,
    CLUSTER_UPDATE: 2,
    CLUSTER_RESIZE: 3,
    CLUSTER_SCALE_OUT: 4,
    CLUSTER_SCALE_IN: 5,
    CLUSTER_CHECK: 6,
    CLUSTER_RECOVER: 7,
    CLUSTER_DELETE: 8,
    CLUSTER_ADD_NODES: 9,
    CLUSTER_REMOVE_NODES: 10,
    CLUSTER_OPERATE: 11,
    CLUSTER_ATTACH_POLICY: 12,
    CLUSTER_UPDATE_POLICY: 13,
    CLUSTER_DETACH_POLICY: 14,
    NODE_CREATE: 15,
    NODE_UPDATE: 16,
    NODE_CHECK: 17,
    NODE_RECOVER: 18,
    NODE_DELETE: 19,
    NODE_OPERATE: 20,
  },
  actionCause: { USER: 1, POLICY: 2, HEALTH: 3, SCHEDULE: 4, RECEIVER: 5 },
  clusterStatus: { INIT: 1, ACTIVE: 2, WARNING: 3, CRITICAL: 4, ERROR: 5, SUSPENDED: 6, DELETING: 7 },
  facet: { SIZE: 1, PROFILE: 2, MEMBERSHIP: 3, POLICIES: 4, EXISTENCE: 5 },
  healthStatus: { HEALTHY: 1, UNHEALTHY: 2, UNKNOWN: 3 },
  nodeStatus: { PLANNED: 1, CREATING: 2, ACTIVE: 3, UPDATING: 4, RECOVERING: 5, SUSPENDED: 6, WARNING: 7, ERROR: 8, UNKNOWN: 9, DELETING: 10 },
  taskKind: { CREATE: 1, DELETE: 2, UPDATE: 3, RECOVER: 4, CHECK: 5, OPERATE: 6, INSPECT: 7 },
  role: { READER: 1, MEMBER: 2, ADMIN: 3, OPERATOR: 4 },
} as const;

describe("stored codes", () => {
  test("every table → the frozen numbers", () => {
    const codes = {
      actionStatus: actionStatusCodes,
      actionKind: actionKindCodes,
      actionCause: actionCauseCodes,
      clusterStatus: clusterStatusCodes,
      facet: facetCodes,
      healthStatus: healthStatusCodes,
      nodeStatus: nodeStatusCodes,
      taskKind: taskKindCodes,
      role: roleCodes,
    };
    expect(codes).toMatchObject(frozen);
    expect((["CREATED", "DELETED", "RECOVERED", "CHECKED"] as const).map((counter) => actionCounterCodec.code(counter))).toEqual([1, 2, 3, 4]);
    for (const table of Object.values(codes)) expect(new Set(Object.values(table)).size).toBe(Object.keys(table).length);
  });

  test("a codec: name and code → each other; a code of the future → an error, not a guess", () => {
    for (const status of actionStatuses) expect(actionStatusCodec.name(actionStatusCodec.code(status))).toBe(status);
    expect(() => actionStatusCodec.name(99)).toThrow("unknown code 99");
    expect(() => codec("thing", { A: 1, B: 1 })).toThrow("used twice");
  });
});
