/**
 * The brake on healing (DESIGN.md §6): at most so many remedies at once and per window, and none on a detector's mere word when too
 * many members fail together: a broken detector never kills a fleet. The idea is cluster-api's `maxUnhealthy`, with time added.
 */

export interface Brake {
  /** When the present window began, ms since 1970. */
  readonly windowStartMs: number;
  /** Remedies begun in it. */
  readonly used: number;
}

export const restedBrake: Brake = { windowStartMs: 0, used: 0 };

export const brakeRules = {
  windowMs: 60_000,
  /** Remedies at once: three, or a fifth of the members. */
  atOnce: (desired: number): number => Math.max(3, Math.ceil(desired / 5)),
  /** Remedies a window: ten, or as many as there are members. */
  perWindow: (desired: number): number => Math.max(10, desired),
  /** So many members whose death only a probe asserts make the probe the suspect: three, or half of them. */
  suspicious: (desired: number): number => Math.max(3, Math.ceil(desired / 2)),
} as const;

export interface Casualties {
  /** Members whose remedy is due. */
  readonly waiting: number;
  /** Of these: dead for certain. */
  readonly certain: number;
  /** Members against whom only a probe speaks: in ERROR, being restarted for it, or restarted and not yet well. */
  readonly doubtful: number;
  /** Members being treated now. */
  readonly recovering: number;
}

export interface BrakeDecision {
  readonly treat: number;
  /** Only members that are dead for certain. */
  readonly certainOnly: boolean;
  readonly brake: Brake;
  readonly paused: { readonly reason: string; readonly message: string } | null;
  /** When the brake may let more go, ms since 1970; null: it holds nothing back. */
  readonly retryAtMs: number | null;
}

/** How many remedies may begin now. Pure. */
export function applyBrake(desired: number, casualties: Casualties, brake: Brake, nowMs: number): BrakeDecision {
  const fresh = nowMs - brake.windowStartMs >= brakeRules.windowMs || nowMs < brake.windowStartMs;
  const window: Brake = fresh ? { windowStartMs: nowMs, used: 0 } : brake;
  const certainOnly = casualties.doubtful >= brakeRules.suspicious(desired);
  const wanted = certainOnly ? casualties.certain : casualties.waiting;
  const room = Math.min(brakeRules.atOnce(desired) - casualties.recovering, brakeRules.perWindow(desired) - window.used);
  const treat = Math.max(0, Math.min(wanted, room));
  const next = treat > 0 ? { ...window, used: window.used + treat } : fresh ? brake : window;
  const spent = window.used + treat >= brakeRules.perWindow(desired) && treat < wanted;
  const paused = certainOnly
    ? {
        reason: "TOO_MANY_FAILED",
        message: `${casualties.doubtful} of ${desired} members fail their probes together: the probe is suspected, nothing is restarted on its word`,
      }
    : spent
      ? { reason: "BRAKE", message: `${brakeRules.perWindow(desired)} remedies were begun within a minute` }
      : null;
  return { treat, certainOnly, brake: next, paused, retryAtMs: spent ? window.windowStartMs + brakeRules.windowMs : null };
}
