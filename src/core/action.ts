/** The action's state machine: what somebody asked for, and what became of it. */

import type { Facet } from "./cluster.ts";
import { codec } from "./code.ts";

export const actionStatuses = ["PENDING", "WAITING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "SUPERSEDED"] as const;
export type ActionStatus = (typeof actionStatuses)[number];
/** Stored: frozen. */
export const actionStatusCodes = {
  PENDING: 1,
  WAITING: 2,
  RUNNING: 3,
  SUCCEEDED: 4,
  FAILED: 5,
  CANCELLED: 6,
  SUPERSEDED: 7,
} as const satisfies Record<ActionStatus, number>;
export const actionStatusCodec = codec("action status", actionStatusCodes);

export type ActionEvent = "begun" | "waits" | "succeeded" | "failed" | "cancelled" | "superseded";
type Row = Partial<Record<ActionEvent, ActionStatus>>;

export const actionTransitions = {
  PENDING: { begun: "RUNNING", waits: "WAITING", succeeded: "SUCCEEDED", failed: "FAILED", cancelled: "CANCELLED", superseded: "SUPERSEDED" },
  WAITING: { begun: "RUNNING", failed: "FAILED", cancelled: "CANCELLED", superseded: "SUPERSEDED" },
  RUNNING: { waits: "WAITING", succeeded: "SUCCEEDED", failed: "FAILED", cancelled: "CANCELLED", superseded: "SUPERSEDED" },
  SUCCEEDED: {},
  FAILED: {},
  CANCELLED: {},
  SUPERSEDED: {},
} as const satisfies Record<ActionStatus, Row>;

/** The next status, or null: an action that has ended stays as it ended. */
export function actionTransition(from: ActionStatus, event: ActionEvent): ActionStatus | null {
  const row: Row = actionTransitions[from];
  return row[event] ?? null;
}

export function isFinished(status: ActionStatus): boolean {
  return Object.keys(actionTransitions[status]).length === 0;
}

export const actionKinds = [
  "CLUSTER_CREATE",
  "CLUSTER_UPDATE",
  "CLUSTER_RESIZE",
  "CLUSTER_SCALE_OUT",
  "CLUSTER_SCALE_IN",
  "CLUSTER_CHECK",
  "CLUSTER_RECOVER",
  "CLUSTER_DELETE",
  "CLUSTER_ADD_NODES",
  "CLUSTER_REMOVE_NODES",
  "CLUSTER_OPERATE",
  "CLUSTER_ATTACH_POLICY",
  "CLUSTER_UPDATE_POLICY",
  "CLUSTER_DETACH_POLICY",
  "NODE_CREATE",
  "NODE_UPDATE",
  "NODE_CHECK",
  "NODE_RECOVER",
  "NODE_DELETE",
  "NODE_OPERATE",
] as const;
export type ActionKind = (typeof actionKinds)[number];
/** Stored: frozen. */
export const actionKindCodes = {
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
} as const satisfies Record<ActionKind, number>;
export const actionKindCodec = codec("action kind", actionKindCodes);

/** The facet a kind of action wishes about; null: a job, which supersedes nothing and is superseded only by a deletion. */
export const actionFacets = {
  CLUSTER_CREATE: "SIZE",
  CLUSTER_UPDATE: "PROFILE",
  CLUSTER_RESIZE: "SIZE",
  CLUSTER_SCALE_OUT: "SIZE",
  CLUSTER_SCALE_IN: "SIZE",
  CLUSTER_CHECK: null,
  CLUSTER_RECOVER: null,
  CLUSTER_DELETE: "EXISTENCE",
  CLUSTER_ADD_NODES: "MEMBERSHIP",
  CLUSTER_REMOVE_NODES: "MEMBERSHIP",
  CLUSTER_OPERATE: null,
  CLUSTER_ATTACH_POLICY: "POLICIES",
  CLUSTER_UPDATE_POLICY: "POLICIES",
  CLUSTER_DETACH_POLICY: "POLICIES",
  NODE_CREATE: null,
  NODE_UPDATE: null,
  NODE_CHECK: null,
  NODE_RECOVER: null,
  NODE_DELETE: null,
  NODE_OPERATE: null,
} as const satisfies Record<ActionKind, Facet | null>;

/** How long an action on one node may take, ms: as long as one on a cluster does that says nothing else. */
export const nodeActionTimeoutMs = 3_600_000;

/** Unfinished actions on one cluster that a pass of the planner, or a wish that replaces them all, reads and ends in one transaction. */
export const openActionsRead = 1_000;
/**
 * How many of them a cluster may have before a wish that replaces none is refused. An exact size, a profile and a deletion replace others and
 * are always accepted: one of each may come on top.
 */
export const mostOpenActions = openActionsRead - 3;

export const actionCauses = ["USER", "POLICY", "HEALTH", "SCHEDULE", "RECEIVER"] as const;
export type ActionCause = (typeof actionCauses)[number];
/** Stored: frozen. */
export const actionCauseCodes = { USER: 1, POLICY: 2, HEALTH: 3, SCHEDULE: 4, RECEIVER: 5 } as const satisfies Record<ActionCause, number>;
export const actionCauseCodec = codec("action cause", actionCauseCodes);

/** The cluster's running totals by which an action's progress is counted. Stored: frozen. */
export const actionCounters = ["CREATED", "DELETED", "RECOVERED", "CHECKED", "UPDATED"] as const;
export type ActionCounter = (typeof actionCounters)[number];
export const actionCounterCodec = codec("action counter", {
  CREATED: 1,
  DELETED: 2,
  RECOVERED: 3,
  CHECKED: 4,
  UPDATED: 5,
} as const satisfies Record<ActionCounter, number>);

/** An action's goal beside where the cluster's running totals stand. */
export interface ProgressFacts {
  readonly total: number;
  readonly goal: number;
  readonly reached: number;
  readonly failedBase: number;
  readonly failedTotal: number;
}

/** How far an unfinished action is; both parts stay within its total. */
export function actionProgress(facts: ProgressFacts): { readonly done: number; readonly failed: number } {
  const done = Math.max(0, Math.min(facts.total, facts.total - (facts.goal - facts.reached)));
  return { done, failed: Math.max(0, Math.min(facts.total - done, facts.failedTotal - facts.failedBase)) };
}
