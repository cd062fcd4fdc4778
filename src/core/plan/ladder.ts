/**
 * The ladder of remedies: restart in place a few times, further and further apart, then replace. Only who once ran well is replaced: of a member
 * that never did, another one would do no better, and would begin its back-off anew.
 */
import { backoffMs } from "../retry.ts";

export const ladderRules = {
  /** Restarts in a row before the member is replaced. */
  restarts: 3,
  /** A member that ran so long without dying starts over at the first rung, ms. */
  forgivenAfterMs: 600_000,
  /** A member that was healthy at the end of so long a life is known to be able to run, ms. */
  provenAfterMs: 60_000,
  backoff: { attempts: Number.POSITIVE_INFINITY, baseMs: 1_000, capMs: 300_000 },
} as const;

/** A member's deaths in a row. */
export interface Deaths {
  readonly crashes: number;
  /** It had run well before they began, or between them. */
  readonly proven: boolean;
}

/**
 * The row with one more death.
 * @param life the one that ended; null: it never began
 */
export function oneMoreDeath(
  former: (Deaths & { readonly lastAtMs: number }) | null,
  life: { readonly healthy: boolean; readonly beganAtMs: number } | null,
  nowMs: number,
): Deaths {
  const ranWell = life?.healthy === true && nowMs - life.beganAtMs >= ladderRules.provenAfterMs;
  if (former === null || nowMs - former.lastAtMs > ladderRules.forgivenAfterMs) return { crashes: 1, proven: ranWell };
  return { crashes: former.crashes + 1, proven: former.proven || ranWell };
}

/** How many remedies in a row count towards a replacement. */
export function rungOf(deaths: Deaths): number {
  return deaths.proven ? deaths.crashes - 1 : 0;
}

/** How long to wait before the next remedy: none for the first death, then doubling. */
export function remedyDelayMs(crashes: number, fraction: number): number {
  return crashes <= 1 ? 0 : backoffMs(ladderRules.backoff, crashes - 1, fraction);
}

/** What the next rung is. */
export function nextRemedy(member: { readonly rung: number; readonly protected: boolean }): "restart" | "replace" {
  return member.rung >= ladderRules.restarts && !member.protected ? "replace" : "restart";
}
