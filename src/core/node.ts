/**
 * The node's state machine: one table, one function. Nothing else decides a node's status; the SQL that stores a transition
 * guards it with the status it started from. The diagram in docs is printed from here.
 */
import { codec } from "./code.ts";

export const nodeStatuses = [
  "PLANNED",
  "CREATING",
  "ACTIVE",
  "UPDATING",
  "RECOVERING",
  "SUSPENDED",
  "WARNING",
  "ERROR",
  "UNKNOWN",
  "DELETING",
] as const;
export type NodeStatus = (typeof nodeStatuses)[number];

/** Stored: frozen. */
export const nodeStatusCodes = {
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
} as const satisfies Record<NodeStatus, number>;
export const nodeStatusCodec = codec("node status", nodeStatusCodes);

/** What can happen to a node. */
export type NodeEvent =
  /** The engine is about to call the driver's create. Before this, nothing can exist out there. */
  | "createBegun"
  | "created"
  /** The retries are used up, or the reason is permanent. */
  | "createFailed"
  /** A reply was lost, or the host is away: nobody knows. */
  | "lost"
  /** Read back: it is there and well. */
  | "found"
  /** Read back: there is certainly nothing. The next attempt gets a new epoch. */
  | "absent"
  /** It was there and is dead or gone for certain (exit seen, verdict UNHEALTHY). */
  | "vanished"
  | "recoverBegun"
  | "recovered"
  | "recoverFailed"
  | "updateBegun"
  | "updated"
  | "updateFailed"
  | "suspended"
  | "resumed"
  | "sideDutyFailed"
  | "sideDutyDone"
  | "deleteWanted"
  /** Never begun, no longer wanted: the row goes at once. */
  | "dropped"
  /** Nothing is left out there: the row goes. */
  | "deleted";

type Row = Partial<Record<NodeEvent, NodeStatus | "GONE">>;

/** Every transition there is. What is not here cannot happen. */
export const nodeTransitions = {
  PLANNED: { createBegun: "CREATING", deleteWanted: "DELETING", dropped: "GONE" },
  CREATING: { created: "ACTIVE", createFailed: "ERROR", lost: "UNKNOWN", deleteWanted: "DELETING" },
  ACTIVE: {
    vanished: "ERROR",
    lost: "UNKNOWN",
    recoverBegun: "RECOVERING",
    updateBegun: "UPDATING",
    suspended: "SUSPENDED",
    sideDutyFailed: "WARNING",
    deleteWanted: "DELETING",
  },
  UPDATING: { updated: "ACTIVE", updateFailed: "ERROR", vanished: "ERROR", lost: "UNKNOWN", deleteWanted: "DELETING" },
  RECOVERING: { recovered: "ACTIVE", recoverFailed: "ERROR", lost: "UNKNOWN", deleteWanted: "DELETING" },
  SUSPENDED: { resumed: "ACTIVE", vanished: "ERROR", lost: "UNKNOWN", recoverBegun: "RECOVERING", deleteWanted: "DELETING" },
  WARNING: {
    sideDutyDone: "ACTIVE",
    vanished: "ERROR",
    lost: "UNKNOWN",
    recoverBegun: "RECOVERING",
    updateBegun: "UPDATING",
    deleteWanted: "DELETING",
  },
  ERROR: { found: "ACTIVE", lost: "UNKNOWN", recoverBegun: "RECOVERING", updateBegun: "UPDATING", deleteWanted: "DELETING" },
  UNKNOWN: { found: "ACTIVE", absent: "PLANNED", vanished: "ERROR", updateBegun: "UPDATING", deleteWanted: "DELETING" },
  DELETING: { deleted: "GONE" },
} as const satisfies Record<NodeStatus, Row>;

/** The next status, or null where the table has none: the caller drops the event, it came too late. */
export function nodeTransition(from: NodeStatus, event: NodeEvent): NodeStatus | "GONE" | null {
  const row: Row = nodeTransitions[from];
  return row[event] ?? null;
}

/** The statuses from which an event leads anywhere: what the SQL's guard lists. */
export function nodeSources(event: NodeEvent): readonly NodeStatus[] {
  return nodeStatuses.filter((status) => nodeTransition(status, event) !== null);
}

interface NodeStatusFacts {
  /** Counts towards the cluster's active members; of UPDATING ones only those that are changed in place. */
  readonly active: boolean;
  /** Something may exist out there under the node's key. */
  readonly there: boolean;
  /** What comes next, and who does it: shown in the docs. */
  readonly next: string;
}

export const nodeStatusFacts = {
  PLANNED: { active: false, there: false, next: "the executor begins its create, at once" },
  CREATING: { active: false, there: true, next: "the driver answers; else retried, else inspected after the deadline" },
  ACTIVE: { active: true, there: true, next: "nothing, or the next probe" },
  UPDATING: { active: true, there: true, next: "the driver answers" },
  RECOVERING: { active: false, there: true, next: "the driver answers; else the next rung of the ladder" },
  SUSPENDED: { active: false, there: true, next: "a person resumes it" },
  WARNING: { active: true, there: true, next: "the side duty is tried again" },
  ERROR: { active: false, there: true, next: "the recovery ladder, after its back-off and under the brake; or a person" },
  UNKNOWN: { active: true, there: true, next: "inspected, with back-off" },
  DELETING: { active: false, there: true, next: "the driver answers; retried with back-off until it is gone" },
} as const satisfies Record<NodeStatus, NodeStatusFacts>;

/** The engine's steps on one node: kinds of task. Stored: frozen. */
export const taskKinds = ["CREATE", "DELETE", "UPDATE", "RECOVER", "CHECK", "OPERATE", "INSPECT"] as const;
export type TaskKind = (typeof taskKinds)[number];
export const taskKindCodes = {
  CREATE: 1,
  DELETE: 2,
  UPDATE: 3,
  RECOVER: 4,
  CHECK: 5,
  OPERATE: 6,
  INSPECT: 7,
} as const satisfies Record<TaskKind, number>;
export const taskKindCodec = codec("task kind", taskKindCodes);
