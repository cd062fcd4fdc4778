/**
 * Expected errors: values that commands return and the API shows as members of its result unions. Operational errors (network,
 * SQLSTATE) are classified in `core/retry.ts` and `store/failure.ts`; anything else is a bug and thrown.
 */
import type { ActionId, ClusterId, NodeId, ProfileId, ProjectId, TokenId } from "./ids.ts";
import type { Role } from "./principal.ts";

export interface InputIssue {
  /** Leads into the mutation's `input`, e.g. `["spec", "health", "http", "port"]`. */
  readonly path: readonly string[];
  readonly message: string;
}

export type ConflictReason = "NAME_TAKEN" | "GENERATION_CHANGED" | "IN_USE" | "ALREADY_FINISHED" | "ALREADY_BOUND" | "KEY_REUSED" | "DELETING";

/** An object an error points at; the API turns it into a `Node`. */
export type ObjectRef =
  | { readonly type: "cluster"; readonly id: ClusterId }
  | { readonly type: "node"; readonly id: NodeId }
  | { readonly type: "profile"; readonly id: ProfileId }
  | { readonly type: "project"; readonly id: ProjectId }
  | { readonly type: "token"; readonly id: TokenId }
  | { readonly type: "action"; readonly id: ActionId };

export type Refusal =
  | { readonly kind: "InvalidInput"; readonly issues: readonly InputIssue[] }
  | { readonly kind: "NotFound"; readonly path: readonly string[]; readonly message: string }
  | {
      readonly kind: "Conflict";
      readonly reason: ConflictReason;
      readonly message: string;
      readonly path?: readonly string[];
      readonly object?: ObjectRef;
      readonly generation?: number;
    }
  | { readonly kind: "Forbidden"; readonly needs: Role; readonly message: string }
  | {
      readonly kind: "QuotaExceeded";
      readonly quota: string;
      readonly limit: number;
      readonly used: number;
      readonly requested: number;
      readonly path?: readonly string[];
    }
  | { readonly kind: "Unsupported"; readonly operation: string; readonly message: string; readonly path?: readonly string[] };

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

export function refused(refusal: Refusal): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal };
}

export function invalidInput(issues: readonly InputIssue[]): { readonly ok: false; readonly refusal: Refusal } {
  return refused({ kind: "InvalidInput", issues });
}

export function notFound(path: readonly string[], noun: string): { readonly ok: false; readonly refusal: Refusal } {
  return refused({ kind: "NotFound", path, message: `There is no such ${noun}.` });
}

/** For the branch that the type checker proves unreachable. */
export function assertNever(value: never, what: string): never {
  throw new Error(`unreachable ${what}: ${JSON.stringify(value)}`);
}
