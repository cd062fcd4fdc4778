/** The enums of the schema: core's words, each with its sentence. A word without one does not compile. */
import type { ActionCause, ActionKind, ActionStatus } from "../core/action.ts";
import type { ClusterStatus } from "../core/cluster.ts";
import type { ConflictReason } from "../core/errors.ts";
import type { EventLevel } from "../core/event.ts";
import type { HealthStatus, HealthSubject } from "../core/health.ts";
import type { NodeStatus } from "../core/node.ts";
import type { Role } from "../core/principal.ts";
import { builder } from "./builder.ts";

/** An enum from a table of words and sentences. */
function wordType<Word extends string>(name: string, description: string, sentences: Readonly<Record<Word, string>>) {
  const values: Record<string, { value: Word; description: string }> = {};
  for (const word of Object.keys(sentences) as Word[]) values[word] = { value: word, description: sentences[word] };
  return builder.enumType(name, { description, values: values as Record<Word, { value: Word; description: string }> });
}

export const RoleEnum = wordType<Role>("Role", "What a token may do; each role may do what those before it may.", {
  READER: "Sees its project.",
  MEMBER: "Changes its project.",
  ADMIN: "Also its project's tokens, and what members print.",
  OPERATOR: "The whole installation: projects, workers.",
});

export const ClusterStatusEnum = wordType<ClusterStatus>("ClusterStatus", "How a cluster is, from the counts of its members.", {
  INIT: "New: its members are being made for the first time.",
  ACTIVE: "As many members are active as are wanted.",
  WARNING: "Some members are missing, or there are more than `maxSize`.",
  CRITICAL: "Fewer members are active than `minSize`.",
  ERROR: "There is no right step left that Muster can take by itself.",
  SUSPENDED: "Asleep, because somebody asked for it.",
  DELETING: "On its way out. Its name is taken until it is gone.",
});

export const NodeStatusEnum = wordType<NodeStatus>("NodeStatus", "How a member is.", {
  PLANNED: "Wanted; making it has not begun, so nothing can exist out there.",
  CREATING: "Being made.",
  ACTIVE: "There.",
  UPDATING: "Being brought over to another profile: changed in place, or replaced under its own name.",
  RECOVERING: "Being restarted, rebuilt or replaced.",
  SUSPENDED: "Asleep, because somebody asked for it.",
  WARNING: "There, but a side duty failed.",
  ERROR: "The retries of an operation are used up; the recovery ladder or a person comes next.",
  UNKNOWN: "A reply was lost or its host is away: it is read back before anything else is done.",
  DELETING: "Being taken away.",
});

export const HealthStatusEnum = wordType<HealthStatus>("HealthStatus", "Three values, because silence is not a fault.", {
  HEALTHY: "It does its job.",
  UNHEALTHY: "It does not, for certain.",
  UNKNOWN: "Nobody can tell.",
});

export const HealthSubjectEnum = wordType<HealthSubject>("HealthSubject", "What a signal is about.", {
  HOST: "The machine under the member.",
  AGENT: "What reports from there: the runtime, the daemon.",
  WORKLOAD: "The member itself: does it do its job?",
});

export const ActionStatusEnum = wordType<ActionStatus>("ActionStatus", "How far an action is.", {
  PENDING: "Accepted; nothing of it has begun.",
  WAITING: "Waits for another action, a hook or a schedule.",
  RUNNING: "Being carried out.",
  SUCCEEDED: "As many changes were made as it asked for.",
  FAILED: "Some of its changes were given up, or its time ran out.",
  CANCELLED: "Withdrawn by `cancelAction`.",
  SUPERSEDED: "A newer wish took its place. No failure.",
});

export const ActionCauseEnum = wordType<ActionCause>("ActionCause", "Why there is an action.", {
  USER: "Somebody asked through the API.",
  POLICY: "A policy decided it.",
  HEALTH: "A member was found dead or ill.",
  SCHEDULE: "Its time had come.",
  RECEIVER: "A webhook or message asked for it.",
});

export const ActionKindEnum = wordType<ActionKind>("ActionKind", "What an action is about.", {
  CLUSTER_CREATE: "A cluster is made.",
  CLUSTER_UPDATE: "A cluster is changed.",
  CLUSTER_RESIZE: "A cluster gets another size or other bounds.",
  CLUSTER_SCALE_OUT: "A cluster grows.",
  CLUSTER_SCALE_IN: "A cluster shrinks.",
  CLUSTER_CHECK: "Every member is asked after.",
  CLUSTER_RECOVER: "Members that are ill are recovered.",
  CLUSTER_DELETE: "A cluster and its members go.",
  CLUSTER_ADD_NODES: "Nodes join a cluster.",
  CLUSTER_REMOVE_NODES: "Named members leave a cluster.",
  CLUSTER_OPERATE: "An operation is run on members.",
  CLUSTER_ATTACH_POLICY: "A policy is bound to a cluster.",
  CLUSTER_UPDATE_POLICY: "A policy's binding is changed.",
  CLUSTER_DETACH_POLICY: "A policy's binding is taken away.",
  NODE_CREATE: "A node is made.",
  NODE_UPDATE: "A node is changed.",
  NODE_CHECK: "A node is asked after.",
  NODE_RECOVER: "A node is recovered.",
  NODE_DELETE: "A node goes.",
  NODE_OPERATE: "An operation is run on a node.",
});

export const EventLevelEnum = wordType<EventLevel>("EventLevel", "How grave an event is; `minLevel` means at least so grave.", {
  DEBUG: "For following one thing closely.",
  INFO: "The ordinary course of things.",
  WARNING: "Worth a look.",
  ERROR: "Something failed.",
  CRITICAL: "Something failed that others depend on.",
});

export const ConditionStatusEnum = wordType<"TRUE" | "FALSE" | "UNKNOWN">("ConditionStatus", "Whether a condition holds.", {
  TRUE: "It holds.",
  FALSE: "It does not.",
  UNKNOWN: "Nobody can tell.",
});

export const ConflictReasonEnum = wordType<ConflictReason>("ConflictReason", "What an input collides with.", {
  NAME_TAKEN: "Something that lives has this name; `object` is it.",
  GENERATION_CHANGED: "The cluster is no longer at `ifGeneration`; `generation` says where it is.",
  IN_USE: "Something still uses it; `object` is one of them.",
  ALREADY_FINISHED: "The action has ended.",
  ALREADY_BOUND: "The policy is bound to the cluster already.",
  KEY_REUSED: "The idempotency key was used for another input.",
  DELETING: "It is being deleted; only `cancelAction` can change that.",
});

export type ErrorCode = "INVALID_INPUT" | "NOT_FOUND" | "CONFLICT" | "FORBIDDEN" | "QUOTA_EXCEEDED" | "REFUSED_BY_POLICY" | "UNSUPPORTED";
export const ErrorCodeEnum = wordType<ErrorCode>("ErrorCode", "The kinds of expected errors, one for each type that implements `Error`.", {
  INVALID_INPUT: "The input cannot be meant so: `issues` lists every problem.",
  NOT_FOUND: "There is no such object in the caller's project.",
  CONFLICT: "It collides with what there is; `reason` says how.",
  FORBIDDEN: "The caller's role does not reach; `needs` says which would.",
  QUOTA_EXCEEDED: "The project's quota does not allow it.",
  REFUSED_BY_POLICY: "A policy on the cluster refuses it.",
  UNSUPPORTED: "The profile type cannot do this.",
});

export const ClusterOrderFieldEnum = wordType<"CREATED_AT" | "NAME" | "STATUS" | "UPDATED_AT">("ClusterOrderField", "What clusters are ordered by.", {
  CREATED_AT: "When it was made: stable.",
  NAME: "Its name, by code points.",
  STATUS: "Its status, in the order of the enum. A cluster whose status changes may be met twice or missed.",
  UPDATED_AT: "When it was last changed. A cluster that changes may be met twice or missed.",
});

export const OrderDirectionEnum = wordType<"ASC" | "DESC">("OrderDirection", "Which end comes first.", {
  ASC: "Smallest, oldest, A first.",
  DESC: "Largest, newest, Z first.",
});
