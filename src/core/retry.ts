/** Retries: which errors are worth another try, how often, and after how long. */
import type { TaskKind } from "./node.ts";

/**
 * transient: the same call may work soon. permanent: it never will, as it is asked. quota: it may when somebody makes room.
 * unknown: nobody can tell whether it took effect; read back before anything else.
 */
export const errorClasses = ["transient", "permanent", "quota", "unknown"] as const;
export type ErrorClass = (typeof errorClasses)[number];

export interface RetryRule {
  /** Attempts before the operation counts as failed. Deletions never give up: what is unwanted must go. */
  readonly attempts: number;
  readonly baseMs: number;
  readonly capMs: number;
}

export const retryRules = {
  CREATE: { attempts: 5, baseMs: 500, capMs: 30_000 },
  RECOVER: { attempts: 3, baseMs: 500, capMs: 30_000 },
  UPDATE: { attempts: 5, baseMs: 500, capMs: 30_000 },
  OPERATE: { attempts: 3, baseMs: 500, capMs: 30_000 },
  DELETE: { attempts: Number.POSITIVE_INFINITY, baseMs: 500, capMs: 60_000 },
  CHECK: { attempts: 3, baseMs: 500, capMs: 10_000 },
  INSPECT: { attempts: Number.POSITIVE_INFINITY, baseMs: 1_000, capMs: 60_000 },
} as const satisfies Record<TaskKind, RetryRule>;

/**
 * Exponential back-off with half of it jittered (so that a thousand that failed together do not come back together).
 * @param attempt how many have failed, from 1
 * @param fraction uniform in [0, 1)
 */
export function backoffMs(rule: RetryRule, attempt: number, fraction: number): number {
  const whole = Math.min(rule.capMs, rule.baseMs * 2 ** Math.min(30, Math.max(0, attempt - 1)));
  return Math.round(whole / 2 + (whole / 2) * fraction);
}

/** What follows a failed attempt. */
export function afterFailure(
  kind: TaskKind,
  errorClass: ErrorClass,
  attempt: number,
  fraction: number,
): { readonly next: "retry"; readonly afterMs: number } | { readonly next: "giveUp" } | { readonly next: "inspect" } {
  const rule: RetryRule = retryRules[kind];
  // Whoever only looks has nothing to read back: he looks again.
  if (errorClass === "unknown" && kind !== "INSPECT" && kind !== "CHECK" && kind !== "DELETE") return { next: "inspect" };
  if (errorClass === "permanent" && Number.isFinite(rule.attempts)) return { next: "giveUp" };
  // Quota is not an attempt's fault: it waits long, and is given up on like the rest.
  if (attempt >= rule.attempts) return { next: "giveUp" };
  const base = errorClass === "quota" ? { ...rule, baseMs: rule.baseMs * 4 } : rule;
  return { next: "retry", afterMs: backoffMs(base, attempt, fraction) };
}
