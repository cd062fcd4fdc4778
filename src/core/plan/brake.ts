/**
 * The brake on healing: at most so many remedies at once and per window, and none on a detector's mere word when too
 * many members fail together: a broken detector never kills a fleet. The idea is cluster-api's `maxUnhealthy`, with time added.
 */

export interface Brake {
  /** When the present window began, ms since 1970. */
  readonly windowStartMs: number;
  /** Remedies begun in it. */
  readonly used: number;
  /** The probe is suspected, since too many failed it together. */
  readonly suspected: boolean;
  /** Since the probe no longer speaks against too many: when it is believed again, ms since 1970; null while it does. */
  readonly calmAtMs: number | null;
}

export const restedBrake: Brake = { windowStartMs: 0, used: 0, suspected: false, calmAtMs: null };

export const brakeRules = {
  windowMs: 60_000,
  /** Remedies at once: three, or a fifth of the members. */
  atOnce: (desired: number): number => Math.max(3, Math.ceil(desired / 5)),
  /** Remedies a window: ten, or as many as there are members. */
  perWindow: (desired: number): number => Math.max(10, desired),
  /** So many members whose death only a probe asserts make the probe the suspect: three, or half of them. */
  suspicious: (desired: number): number => Math.max(3, Math.ceil(desired / 2)),
  /** A probe that was suspected must speak well of members for so long before it is believed again: those it has not yet got round to. */
  calmMs: 10_000,
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
  const suspicion = suspicionOf(desired, casualties, brake, nowMs);
  const window = { windowStartMs: fresh ? nowMs : brake.windowStartMs, used: fresh ? 0 : brake.used };
  const certainOnly = suspicion.suspected;
  const wanted = certainOnly ? casualties.certain : casualties.waiting;
  const room = Math.min(brakeRules.atOnce(desired) - casualties.recovering, brakeRules.perWindow(desired) - window.used);
  const treat = Math.max(0, Math.min(wanted, room));
  const next = treat > 0 ? { ...window, used: window.used + treat } : fresh ? brake : window;
  const spent = window.used + treat >= brakeRules.perWindow(desired) && treat < wanted;
  const paused = certainOnly
    ? {
        reason: "TOO_MANY_FAILED",
        message: `${casualties.doubtful} of ${desired} members fail their probes${suspicion.calmAtMs === null ? " together" : "; many did just now"}: the probe is suspected, nothing is restarted on its word`,
      }
    : spent
      ? { reason: "BRAKE", message: `${brakeRules.perWindow(desired)} remedies were begun within a minute` }
      : null;
  const again = [spent ? window.windowStartMs + brakeRules.windowMs : null, suspicion.calmAtMs].filter((at) => at !== null);
  return { treat, certainOnly, brake: { ...next, ...suspicion }, paused, retryAtMs: again.length === 0 ? null : Math.min(...again) };
}

/** Suspected as soon as too many fail together; believed again only some time after they no longer do. */
function suspicionOf(desired: number, casualties: Casualties, brake: Brake, nowMs: number): Pick<Brake, "suspected" | "calmAtMs"> {
  if (casualties.doubtful >= brakeRules.suspicious(desired)) return { suspected: true, calmAtMs: null };
  if (!brake.suspected) return { suspected: false, calmAtMs: null };
  // The clock may have stepped back: the while is never longer than it is.
  const calmAtMs = Math.min(brake.calmAtMs ?? Number.POSITIVE_INFINITY, nowMs + brakeRules.calmMs);
  return nowMs >= calmAtMs ? { suspected: false, calmAtMs: null } : { suspected: true, calmAtMs };
}
