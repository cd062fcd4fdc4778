/**
 * One converge pass over a cluster, as a value: (what is wanted, aggregates of what is, now) → what to do in this window and when to
 * look again. It reads nothing and never sees a list of members. The shape is nomad's `reconcile_cluster.go`: a plan is data.
 */
import type { ActionEvent, ActionKind } from "../action.ts";
import { actionFacets } from "../action.ts";
import { type ClusterStatus, type Condition, type ConditionType, clusterStatus, type SizeBounds } from "../cluster.ts";
import { type Aggregates, activeIn, standingIn } from "./aggregates.ts";
import type { Agreement } from "./agreement.ts";
import { applyBrake, type Brake } from "./brake.ts";
import { type Outdated, type RollOut, rollOutNow } from "./roll-out.ts";

export interface Wanted extends SizeBounds {
  readonly desiredCapacity: number;
  readonly deleting: boolean;
  readonly generation: number;
}

export interface OpenActionFacts<Id> {
  readonly id: Id;
  readonly kind: ActionKind;
  readonly begun: boolean;
  readonly generation: number;
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  readonly timeoutAtMs: number | null;
  /** A recovery by replacement: over when what took their places is there. */
  readonly replaces: boolean;
}

export interface Observed<Id> {
  readonly counts: Aggregates;
  /** How far the wishes of late agree about the size. */
  readonly agreed: Pick<Agreement, "least" | "most" | "againInMs">;
  readonly observedGeneration: number;
  readonly status: ClusterStatus;
  readonly conditions: readonly Condition[];
  readonly brake: Brake;
  /** Members in ERROR whose remedy is due; of these, those dead for certain; those only a probe speaks against, also such as are being restarted for it; when the next remedy is due. */
  readonly patients: { readonly waiting: number; readonly certain: number; readonly doubtful: number; readonly nextAtMs: number | null };
  readonly openActions: readonly OpenActionFacts<Id>[];
  /** Members of another profile than the cluster's. */
  readonly outdated: Outdated;
  /** Steps of jobs (check, recover) that are not over; a job that has not reached all members counts as one more. */
  readonly jobsLeft: { readonly check: number; readonly recover: number };
  /** Members that may be on the way at once. */
  readonly window: number;
  /** False: the profile's driver is bound to hosts, and none is there. */
  readonly placeable: boolean;
  /** Why nothing may be made, removed or healed just now (a restore is being read back, …); null: it may. */
  readonly held: string | null;
  /** Why members wait for the profile's provider, as far as is known here; null: they do not. */
  readonly silence: string | null;
}

export interface ClusterPlan<Id> {
  /** Members to plan now. */
  readonly create: number;
  /** Members to want gone now; whom is the store's selection. */
  readonly remove: number;
  /** Any size between these may be wanted instead, and this is still to be done, unless more than `room` members were named meanwhile: maxSize allows no more. */
  readonly serves: { readonly least: number; readonly most: number; readonly room: number };
  /** Members to treat now. */
  readonly heal: number;
  readonly healCertainOnly: boolean;
  /** Members to bring over to the cluster's profile now. */
  readonly rollOut: RollOut;
  /** Nothing is left: the cluster's rows go. */
  readonly forget: boolean;
  readonly status: ClusterStatus;
  readonly statusReason: string | null;
  readonly conditions: readonly Condition[];
  readonly brake: Brake;
  /** The generation that has settled with this pass, or what was observed before. */
  readonly observedGeneration: number;
  readonly actions: readonly {
    readonly id: Id;
    readonly event: ActionEvent;
    readonly reason: string | null;
    readonly done: number;
    readonly failed: number;
  }[];
  /** ms since 1970; null: only when something changes. */
  readonly lookAgainAtMs: number | null;
}

export function planCluster<Id>(wanted: Wanted, observed: Observed<Id>, nowMs: number): ClusterPlan<Id> {
  const { counts } = observed;
  const unmade = counts.planned + counts.creating;
  const standing = standingIn(counts);
  const target = wanted.deleting ? 0 : wanted.desiredCapacity;
  const missing = target - standing;
  const { toMake, toTakeAway } = stepsNow(wanted, observed, standing);
  const create = observed.placeable && observed.held === null ? Math.min(toMake, Math.max(0, observed.window - unmade)) : 0;
  const remove = observed.held === null ? Math.min(toTakeAway, Math.max(0, observed.window - counts.deleting)) : 0;
  const there = missing === 0 && unmade === 0 && counts.deleting === 0;
  const rolledOut = observed.outdated.left === 0 && counts.updating === 0;
  const settled = there && rolledOut;
  // Who is one too many may be the one that goes: nobody is brought over before that is decided.
  const rollOut =
    wanted.deleting || observed.held !== null || missing < 0
      ? { idle: 0, working: 0 }
      : rollOutNow(wanted, counts, observed.outdated, observed.window);
  const forget = wanted.deleting && standing === 0 && counts.deleting === 0;
  const healing = !wanted.deleting && observed.held === null;
  const braked = applyBrake(
    wanted.desiredCapacity,
    {
      // The sick are the first to go, and to be brought over: who may be in this very pass is not treated in it.
      waiting: healing ? Math.max(0, observed.patients.waiting - remove - rollOut.idle) : 0,
      certain: healing ? Math.max(0, observed.patients.certain - remove - rollOut.idle) : 0,
      doubtful: observed.patients.doubtful,
      recovering: counts.recovering,
    },
    observed.brake,
    nowMs,
  );
  const active = activeIn(counts);
  const observedGeneration = settled && !wanted.deleting ? wanted.generation : observed.observedGeneration;
  const status = clusterStatus(wanted, active, observedGeneration > 0);
  const heldBack = observed.held === null ? braked.paused : { reason: "HELD", message: observed.held };
  const conditions = nextConditions(observed.conditions, nowMs, wanted.generation, [
    convergence(wanted, observed, { there, rolledOut, active, target }),
    {
      type: "AVAILABLE",
      holds: active >= wanted.minSize,
      reason: active >= wanted.minSize ? "ENOUGH" : "BELOW_MIN_SIZE",
      message: `${active} active, minSize ${wanted.minSize}`,
    },
    { type: "HEALING_PAUSED", holds: heldBack !== null, reason: heldBack?.reason ?? "NOT_PAUSED", message: heldBack?.message ?? null },
  ]);
  const actions = stepsOfActions(wanted, observed, { settled, rolledOut, forget }, nowMs);
  const ended = new Set(actions.filter((step) => step.event !== "begun").map((step) => step.id));
  return {
    create,
    remove,
    serves: {
      least: create > 0 ? standing + create : 0,
      // What is being deleted wants no size.
      most: remove > 0 && !wanted.deleting ? standing - remove : Number.POSITIVE_INFINITY,
      room: create > 0 && wanted.maxSize !== null ? wanted.maxSize - standing - create : Number.POSITIVE_INFINITY,
    },
    heal: braked.treat,
    healCertainOnly: braked.certainOnly,
    rollOut,
    forget,
    status: status.status,
    statusReason: status.reason,
    conditions,
    brake: braked.brake,
    observedGeneration,
    actions,
    lookAgainAtMs: earliest([
      ...observed.openActions.filter((action) => !ended.has(action.id)).map((action) => action.timeoutAtMs),
      wanted.deleting ? null : observed.patients.nextAtMs,
      braked.retryAtMs,
      remove + rollOut.idle > 0 && healing && observed.patients.waiting > braked.treat ? nowMs + 100 : null,
      // A host that appears tells nobody by itself.
      missing > 0 && !observed.placeable ? nowMs + 1_000 : null,
      observed.held === null ? null : nowMs + 1_000,
      wanted.deleting || observed.agreed.againInMs === null ? null : nowMs + observed.agreed.againInMs,
    ]),
  };
}

/**
 * How many members too few or too many there are by all wishes of late. The bounds wait for nobody to make up his mind. Who is one too many and was never
 * begun goes at once: that costs nothing.
 */
function stepsNow<Id>(wanted: Wanted, { agreed, counts }: Observed<Id>, standing: number): { readonly toMake: number; readonly toTakeAway: number } {
  if (wanted.deleting) return { toMake: 0, toTakeAway: standing };
  const { desiredCapacity, minSize, maxSize } = wanted;
  const least = Math.max(agreed.least, minSize);
  const most = Math.min(agreed.most, maxSize ?? Number.POSITIVE_INFINITY);
  const excess = Math.max(0, standing - desiredCapacity);
  return {
    toMake: Math.max(0, Math.min(desiredCapacity, least) - standing),
    toTakeAway: Math.min(excess, Math.max(counts.planned, standing - most)),
  };
}

/** Whether all is as it is wanted; else what it waits for. */
function convergence<Id>(
  wanted: Wanted,
  { counts, placeable, silence }: Observed<Id>,
  { there, rolledOut, active, target }: { readonly there: boolean; readonly rolledOut: boolean; readonly active: number; readonly target: number },
): ConditionFact {
  const settled = there && rolledOut;
  const behind = !rolledOut && !wanted.deleting;
  const reason = (): string => {
    if (settled) return active >= target ? "SETTLED" : "HEALING";
    if (target > standingIn(counts) && !placeable) return "NO_HOST";
    if (silence !== null) return "PROVIDER_SILENT";
    return there && behind ? "ROLLING_OUT" : "CONVERGING";
  };
  const message = [
    `${active} of ${target} members are active`,
    ...(behind ? ["some are not of the cluster's profile yet"] : []),
    ...(settled || silence === null ? [] : [silence]),
  ].join("; ");
  return { type: "CONVERGED", holds: settled && active >= target, reason: reason(), message };
}

/** What this pass finds to be over. */
interface Ended {
  readonly settled: boolean;
  readonly rolledOut: boolean;
  readonly forget: boolean;
}

function stepsOfActions<Id>(wanted: Wanted, observed: Observed<Id>, ended: Ended, nowMs: number): ClusterPlan<Id>["actions"][number][] {
  return observed.openActions.flatMap((action): ClusterPlan<Id>["actions"][number][] => {
    const { id, done, failed, total } = action;
    const ending = endOfAction(action, wanted, observed, ended, nowMs);
    if (ending?.event === "succeeded") return [{ id, ...ending, done: total, failed: 0 }];
    if (ending?.event === "failed") return [{ id, ...ending, done, failed: failedBy(action) }];
    return action.begun ? [] : [{ id, event: "begun", reason: null, done, failed }];
  });
}

/** Of a recovery: whoever was not recovered by its end. Members that could not be made are no failures of a job. */
function failedBy<Id>(action: OpenActionFacts<Id>): number {
  if (action.kind === "CLUSTER_RECOVER") return Math.max(0, action.total - action.done);
  return action.kind === "CLUSTER_CHECK" || action.kind === "CLUSTER_DELETE" ? 0 : action.failed;
}

/** How an open action ends in this pass, if it does. */
function endOfAction<Id>(
  action: OpenActionFacts<Id>,
  wanted: Wanted,
  observed: Observed<Id>,
  { settled, rolledOut, forget }: Ended,
  nowMs: number,
): { readonly event: "succeeded" | "failed"; readonly reason: string | null } | null {
  const reached = action.done + action.failed >= action.total;
  const over = ((): boolean => {
    if (action.kind === "CLUSTER_DELETE") return forget;
    if (action.kind === "CLUSTER_CHECK") return observed.jobsLeft.check === 0;
    if (action.kind === "CLUSTER_RECOVER") return observed.jobsLeft.recover === 0 && (settled || !action.replaces);
    // Whoever was brought over by healing, or has gone, need not be counted: it is over when nobody is of another profile. One whose update was lost
    // may be among the unknown, unless all are accounted for.
    if (actionFacets[action.kind] === "PROFILE") return rolledOut && (reached || observed.counts.unknown === 0);
    if (actionFacets[action.kind] === "SIZE") return reached || (settled && action.generation <= wanted.generation);
    return reached;
  })();
  if (over) {
    const failed = failedBy(action);
    if (failed === 0) return { event: "succeeded", reason: null };
    return { event: "failed", reason: `${failed} of ${action.total} members failed` };
  }
  if (action.timeoutAtMs !== null && action.timeoutAtMs <= nowMs) return { event: "failed", reason: "TIMED_OUT" };
  return null;
}

interface ConditionFact {
  readonly type: ConditionType;
  readonly holds: boolean;
  readonly reason: string;
  readonly message: string | null;
}

function nextConditions(former: readonly Condition[], nowMs: number, generation: number, facts: readonly ConditionFact[]): Condition[] {
  return facts.map(({ type, holds, reason, message }) => {
    const status = holds ? "TRUE" : "FALSE";
    const before = former.find((condition) => condition.type === type);
    return { type, status, reason, message, sinceMs: before?.status === status ? before.sinceMs : nowMs, observedGeneration: generation };
  });
}

function earliest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** How many members of one cluster may be on the way: about two seconds' worth of what its lanes finish. */
export function windowSize(finishedPerSecond: number): number {
  return Math.round(Math.min(20_000, Math.max(1_000, 2 * finishedPerSecond)));
}
