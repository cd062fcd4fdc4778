/** Expected errors as people see them: the `Error` interface, its seven types, and the one way from a command's refusal to them. */
import { brandWithType, type ObjectRef } from "@pothos/core";
import { assertNever, type ConflictReason, type InputIssue, type ObjectRef as ObjectPointer, type Refusal } from "../core/errors.ts";
import type { Role } from "../core/principal.ts";
import { builder } from "./builder.ts";
import type { Types } from "./connection.ts";
import { loadNode } from "./node-lookup.ts";
import { NodeInterface } from "./object.ts";
import { ConflictReasonEnum, type ErrorCode, ErrorCodeEnum, RoleEnum } from "./vocabulary.ts";

interface ErrorShape {
  readonly code: ErrorCode;
  readonly message: string;
  readonly path: readonly string[] | null;
}
interface InvalidInput extends ErrorShape {
  readonly issues: readonly InputIssue[];
}
interface Conflict extends ErrorShape {
  readonly reason: ConflictReason;
  readonly object: ObjectPointer | null;
  readonly generation: number | null;
}
interface Forbidden extends ErrorShape {
  readonly needs: Role;
}
interface QuotaExceeded extends ErrorShape {
  readonly quota: string;
  readonly limit: number;
  readonly used: number;
  readonly requested: number;
}
interface RefusedByPolicy extends ErrorShape {
  readonly retryAt: Date | null;
}
interface Unsupported extends ErrorShape {
  readonly operation: string;
}

const ErrorInterface = builder.interfaceRef<ErrorShape>("Error").implement({
  description: "What a caller can act on. `path` leads into `input`. New kinds may come: end with `... on Error`.",
  fields: (t) => ({
    code: t.expose("code", { type: ErrorCodeEnum, description: "Which kind, for programs." }),
    message: t.exposeString("message", { description: "What is wrong, for people." }),
    path: t.stringList({
      nullable: true,
      description: "The field of `input` it is about; null: the whole, or several.",
      resolve: (e) => listOrNull(e.path),
    }),
  }),
});

function listOrNull(path: readonly string[] | null): string[] | null {
  return path === null ? null : [...path];
}

const InputIssueRef = builder.objectRef<InputIssue>("InputIssue").implement({
  description: "One problem of an input.",
  fields: (t) => ({
    path: t.stringList({ description: 'Leads into `input`, e.g. `["spec", "command"]`.', resolve: (issue) => [...issue.path] }),
    message: t.exposeString("message", { description: "What is wrong there." }),
  }),
});

const InvalidInputRef = builder.objectRef<InvalidInput>("InvalidInput").implement({
  description: "The input cannot be meant so. Every problem is listed at once.",
  interfaces: [ErrorInterface],
  fields: (t) => ({ issues: t.field({ type: [InputIssueRef], description: "All problems.", resolve: (e): readonly InputIssue[] => e.issues }) }),
});

const NotFoundRef = builder.objectRef<ErrorShape>("NotFound").implement({
  description: "There is no such object, at least none that the caller may know of.",
  interfaces: [ErrorInterface],
});

const ConflictRef = builder.objectRef<Conflict>("Conflict").implement({
  description: "The input collides with what there is.",
  interfaces: [ErrorInterface],
  fields: (t) => ({
    reason: t.expose("reason", { type: ConflictReasonEnum, description: "How it collides." }),
    object: t.field({
      type: NodeInterface,
      nullable: true,
      description: "What it collides with, where that is one object.",
      resolve: (e, _args, context) => (e.object === null ? null : loadNode(context, e.object.type, e.object.id)),
    }),
    generation: t.exposeInt("generation", { nullable: true, description: "GENERATION_CHANGED: the cluster's generation now." }),
  }),
});

const ForbiddenRef = builder.objectRef<Forbidden>("Forbidden").implement({
  description: "The caller's role does not reach.",
  interfaces: [ErrorInterface],
  fields: (t) => ({ needs: t.expose("needs", { type: RoleEnum, description: "The least role that may." }) }),
});

const QuotaExceededRef = builder.objectRef<QuotaExceeded>("QuotaExceeded").implement({
  description:
    "The project's quota does not allow it; or, `clusterActions`, too many actions on the cluster are unfinished: an exact size ends them.",
  interfaces: [ErrorInterface],
  fields: (t) => ({
    quota: t.exposeString("quota", { description: "Which quota." }),
    limit: t.exposeInt("limit", { description: "How much it allows." }),
    used: t.exposeInt("used", { description: "How much is used." }),
    requested: t.exposeInt("requested", { description: "How much more was asked for." }),
  }),
});

const RefusedByPolicyRef = builder.objectRef<RefusedByPolicy>("RefusedByPolicy").implement({
  description: "A policy on the cluster refuses it.",
  interfaces: [ErrorInterface],
  fields: (t) => ({
    retryAt: t.expose("retryAt", { type: "DateTime", nullable: true, description: "When it would no longer refuse, where that is known." }),
  }),
});

const UnsupportedRef = builder.objectRef<Unsupported>("Unsupported").implement({
  description: "The profile type cannot do this.",
  interfaces: [ErrorInterface],
  fields: (t) => ({ operation: t.exposeString("operation", { description: "What it cannot do." }) }),
});

const errorTypes = {
  InvalidInput: InvalidInputRef,
  NotFound: NotFoundRef,
  Conflict: ConflictRef,
  Forbidden: ForbiddenRef,
  QuotaExceeded: QuotaExceededRef,
  RefusedByPolicy: RefusedByPolicyRef,
  Unsupported: UnsupportedRef,
} as const;
export type ErrorName = keyof typeof errorTypes;

/** Every kind: what a mutation of clusters or nodes may answer. */
export const allErrors = [
  "InvalidInput",
  "NotFound",
  "Conflict",
  "Forbidden",
  "QuotaExceeded",
  "RefusedByPolicy",
  "Unsupported",
] as const satisfies readonly ErrorName[];

export function errorType(name: ErrorName): ObjectRef<Types, object> {
  return errorTypes[name];
}

/** A refusal as a member of a result union. */
export function showRefusal(refusal: Refusal): object {
  const shape = shapeOf(refusal);
  brandWithType<Types>(shape, errorTypes[refusal.kind]);
  return shape;
}

function shapeOf(refusal: Refusal): ErrorShape {
  switch (refusal.kind) {
    case "InvalidInput": {
      const [issue] = refusal.issues;
      const single = refusal.issues.length === 1 && issue !== undefined ? issue : null;
      const message = refusal.issues.map(({ path, message: text }) => `${path.join(".")}: ${text}`).join("; ");
      const shape: InvalidInput = { code: "INVALID_INPUT", message, path: single?.path ?? null, issues: refusal.issues };
      return shape;
    }
    case "NotFound":
      return { code: "NOT_FOUND", message: refusal.message, path: refusal.path };
    case "Conflict": {
      const { reason, message, path = null, object = null, generation = null } = refusal;
      const shape: Conflict = { code: "CONFLICT", message, path, reason, object, generation };
      return shape;
    }
    case "Forbidden": {
      const shape: Forbidden = { code: "FORBIDDEN", message: refusal.message, path: null, needs: refusal.needs };
      return shape;
    }
    case "QuotaExceeded": {
      const { quota, limit, used, requested, path = null } = refusal;
      const message = `The quota ${quota} allows ${limit}; ${used} are used and ${requested} more were asked for.`;
      const shape: QuotaExceeded = { code: "QUOTA_EXCEEDED", message, path, quota, limit, used, requested };
      return shape;
    }
    case "Unsupported": {
      const shape: Unsupported = { code: "UNSUPPORTED", message: refusal.message, path: refusal.path ?? null, operation: refusal.operation };
      return shape;
    }
    default:
      return assertNever(refusal, "refusal");
  }
}
