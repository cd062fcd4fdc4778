/** The ladder of remedies: restart in place a few times, further and further apart, then replace. */
import { backoffMs } from "../retry.ts";

export const ladderRules = {
  /** Restarts in a row before the member is replaced. */
  restarts: 3,
  /** A member that ran so long without dying starts over at the first rung, ms. */
  forgivenAfterMs: 600_000,
  backoff: { attempts: Number.POSITIVE_INFINITY, baseMs: 1_000, capMs: 300_000 },
} as const;

/** How many deaths in a row a member has had with this one. */
export function crashesInARow(former: { readonly crashes: number; readonly lastAtMs: number } | null, nowMs: number): number {
  if (former === null || nowMs - former.lastAtMs > ladderRules.forgivenAfterMs) return 1;
  return former.crashes + 1;
}

/** How long to wait before the next remedy: none for the first death, then doubling. */
export function remedyDelayMs(crashes: number, fraction: number): number {
  return crashes <= 1 ? 0 : backoffMs(ladderRules.backoff, crashes - 1, fraction);
}

/** What the next rung is. A member that never ran is not replaced: another one would not run either. */
export function nextRemedy(member: { readonly rung: number; readonly everRan: boolean; readonly protected: boolean }): "restart" | "replace" {
  return member.rung >= ladderRules.restarts && member.everRan && !member.protected ? "replace" : "restart";
}
