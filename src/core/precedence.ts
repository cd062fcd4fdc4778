/**
 * Which step goes before which, when more is due than can be done: a lane's steps are taken by the time at which they are due, so what must
 * not wait behind a big cluster's creates is due a little earlier. A head start, not a class of its own: whoever has waited longer than
 * that goes first all the same, so nothing is kept waiting for ever. (Start times as priorities: start-time fair queueing.)
 */

/** So many steps at once are a small change. */
const fewSteps = 100;

const headStartMs = { few: 10_000, takingAwayOrMending: 5_000, making: 0 } as const;

/**
 * When steps that are wanted now are due.
 * @param together how many steps were decided at once
 */
export function dueOf(now: Date, step: "making" | "takingAwayOrMending", together: number): Date {
  return new Date(now.getTime() - (together <= fewSteps ? headStartMs.few : headStartMs[step]));
}
