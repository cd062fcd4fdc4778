/**
 * A tiny world for plans: members that come, fail and die, wishes, and a clock. It applies plans as the planner does, keeps the books
 * that the store keeps, and says so when a plan does what it must not.
 */
import { expect } from "vitest";
import { type ActionKind, actionFacets, actionProgress, actionTransition, isFinished } from "../../../src/core/action.ts";
import { type ClusterStatus, type Condition, clamp } from "../../../src/core/cluster.ts";
import type { NodeEvent, NodeStatus } from "../../../src/core/node.ts";
import { nodeTransition } from "../../../src/core/node.ts";
import type { Aggregates } from "../../../src/core/plan/aggregates.ts";
import { type Agreement, agreementOf, seeWish, type Wishes } from "../../../src/core/plan/agreement.ts";
import { type Brake, restedBrake } from "../../../src/core/plan/brake.ts";
import { type ClusterPlan, type Observed, planCluster } from "../../../src/core/plan/cluster-plan.ts";
import { sizeGoal } from "../../../src/core/plan/goal.ts";
import { mostMissing } from "../../../src/core/plan/roll-out.ts";
import type { Action, Member, ModelOptions } from "./model-parts.ts";
import { expectSound } from "./sound-plan.ts";

export class ClusterModel {
  nowMs = 1_000_000;
  gone = false;
  members: Member[] = [];
  readonly actions: Action[] = [];
  readonly wanted: { desiredCapacity: number; minSize: number; maxSize: number | null; deleting: boolean; generation: number; profile: number };
  profileChangedAtMs = 0;
  observedGeneration = 0;
  placeable = true;
  readonly window: number;
  readonly totals = { created: 0, deleted: 0, recovered: 0, checked: 0, updated: 0, failed: 0, updateFailed: 0 };
  private status: ClusterStatus = "INIT";
  private conditions: readonly Condition[] = [];
  private brake: Brake = restedBrake;
  private wishes: Wishes | null = null;

  constructor(options: ModelOptions) {
    this.window = options.window;
    this.wanted = { desiredCapacity: 0, minSize: options.minSize, maxSize: null, deleting: false, generation: 0, profile: 1 };
    this.wish(options.desired, false, "CLUSTER_CREATE");
  }

  count(...statuses: readonly NodeStatus[]): number {
    return this.with((member) => statuses.includes(member.status));
  }

  private with(what: (member: Member) => boolean): number {
    return this.members.filter(what).length;
  }

  open(): Action[] {
    return this.actions.filter((action) => !isFinished(action.status));
  }

  /** Somebody wants another size. */
  wish(desired: number, relative: boolean, kind: ActionKind = "CLUSTER_RESIZE"): void {
    if (this.wanted.deleting || desired !== clamp(desired, this.wanted.minSize, this.wanted.maxSize)) return;
    const former = this.wanted.desiredCapacity;
    const leaving = this.count("DELETING");
    const goal = sizeGoal(
      {
        desired,
        former,
        standing: this.members.length - leaving,
        unmade: this.count("PLANNED", "CREATING"),
        leaving,
        createdTotal: BigInt(this.totals.created),
        deletedTotal: BigInt(this.totals.deleted),
      },
      relative,
    );
    this.wanted.desiredCapacity = desired;
    this.wanted.generation += 1;
    if (!relative) this.supersede((action) => actionFacets[action.kind] === "SIZE");
    this.accept(kind, goal.total, Number(goal.goal), goal.direction === "grow" ? "created" : "deleted");
  }

  /** Somebody wants other bounds, and what is wanted within them. */
  bound(minSize: number, maxSize: number | null): void {
    if (this.wanted.deleting) return;
    Object.assign(this.wanted, { minSize, maxSize });
    this.wish(clamp(this.wanted.desiredCapacity, minSize, maxSize), true);
  }

  /** Somebody wants a job done on all members. */
  job(kind: "CLUSTER_CHECK" | "CLUSTER_RECOVER"): void {
    if (this.wanted.deleting) return;
    const recover = kind === "CLUSTER_RECOVER";
    const total = recover ? this.count("ERROR") : this.members.length - this.count("PLANNED", "CREATING", "DELETING");
    this.accept(kind, total, total + (recover ? this.totals.recovered : this.totals.checked), recover ? "recovered" : "checked");
  }

  /** Somebody wants it of another profile. */
  rollOut(profile: number): void {
    if (this.wanted.deleting) return;
    if (profile !== this.wanted.profile) {
      this.wanted.generation += 1;
      this.wanted.profile = profile;
      this.profileChangedAtMs = this.nowMs;
    }
    this.supersede((action) => actionFacets[action.kind] === "PROFILE");
    const total = this.members.filter((member) => member.status !== "DELETING" && (member.profile !== profile || member.replacing)).length;
    this.accept("CLUSTER_UPDATE", total, this.totals.updated + total, "updated");
  }

  /** Somebody wants it gone. */
  remove(): void {
    if (this.wanted.deleting) return;
    this.wanted.deleting = true;
    this.wanted.generation += 1;
    this.supersede(() => true);
    this.accept("CLUSTER_DELETE", this.members.length, this.totals.deleted + this.members.length, "deleted");
  }

  private accept(kind: ActionKind, total: number, goal: number, counter: Action["counter"]): void {
    const timeoutAtMs = this.nowMs + 3_600_000;
    const { generation } = this.wanted;
    this.actions.push({
      id: this.actions.length,
      kind,
      generation,
      total,
      goal,
      counter,
      failedBase: counter === "updated" ? this.totals.updateFailed : this.totals.failed,
      timeoutAtMs,
      spread: false,
      replaces: false,
      status: total === 0 && kind !== "CLUSTER_DELETE" ? "SUCCEEDED" : "PENDING",
      done: 0,
      failed: 0,
    });
  }

  private supersede(which: (action: Action) => boolean): void {
    for (const action of this.open()) if (which(action)) action.status = "SUPERSEDED";
  }

  private observe(): Observed<number> {
    const counts: Aggregates = {
      planned: this.count("PLANNED"),
      creating: this.count("CREATING"),
      active: this.count("ACTIVE"),
      updating: this.count("UPDATING"),
      recovering: this.count("RECOVERING"),
      suspended: 0,
      warning: 0,
      error: this.count("ERROR"),
      unknown: 0,
      deleting: this.count("DELETING"),
      replacing: this.with((member) => member.replacing),
      healthy: this.members.filter((member) => member.status === "ACTIVE" || (member.status === "UPDATING" && !member.replacing)).length,
    };
    const sick = this.members.filter((member) => member.status === "ERROR");
    const due = sick.filter((member) => member.remedyAtMs <= this.nowMs);
    const later = sick.filter((member) => member.remedyAtMs > this.nowMs).map((member) => member.remedyAtMs);
    const spreading = (kind: ActionKind): number => this.open().filter((action) => action.kind === kind && !action.spread).length;
    return {
      counts,
      agreed: this.agree(),
      observedGeneration: this.observedGeneration,
      status: this.status,
      conditions: this.conditions,
      brake: this.brake,
      patients: {
        waiting: due.length,
        certain: due.filter((member) => member.certain).length,
        doubtful: sick.filter((member) => !member.certain).length,
        nextAtMs: later.length === 0 ? null : Math.min(...later),
      },
      outdated: {
        left: this.with((member) => this.isOutdated(member) && member.status !== "DELETING"),
        idle: this.with((member) => this.isOutdated(member) && this.isIdle(member)),
        working: this.with((member) => this.isOutdated(member) && member.status === "ACTIVE"),
      },
      openActions: this.open().map((action) => ({
        ...action,
        ...actionProgress({
          ...action,
          reached: this.totals[action.counter],
          failedTotal: action.counter === "updated" ? this.totals.updateFailed : this.totals.failed,
        }),
        begun: action.status === "RUNNING",
      })),
      jobsLeft: {
        check: this.members.filter((member) => member.checking).length + spreading("CLUSTER_CHECK"),
        recover: counts.recovering + spreading("CLUSTER_RECOVER"),
      },
      window: this.window,
      placeable: this.placeable,
      held: null,
      silence: null,
    };
  }

  /** How far the wishes agree that a pass saw. */
  private agree(): Agreement {
    this.wishes = seeWish(this.wishes, { ...this.wanted, observedGeneration: this.observedGeneration }, this.nowMs);
    return agreementOf(this.wishes, this.wanted.desiredCapacity, this.nowMs);
  }

  private isOutdated(member: Member): boolean {
    return member.profile !== this.wanted.profile && !member.replacing;
  }

  private isIdle(member: Member): boolean {
    return member.status === "PLANNED" || (member.status === "ERROR" && member.sinceMs < this.profileChangedAtMs);
  }

  /** One pass of the planner. */
  pass(): ClusterPlan<number> {
    const observed = this.observe();
    const plan = planCluster<number>(this.wanted, observed, this.nowMs);
    expectSound(this, plan, observed);
    for (let i = 0; i < plan.create; i++) this.members.push(this.newMember());
    this.takeAway(plan.remove);
    this.bringOver(plan);
    this.heal(plan);
    for (const step of plan.actions) {
      const action = this.actions[step.id];
      if (action === undefined) throw new Error("a plan names an action that there is not");
      const to = actionTransition(action.status, step.event);
      expect(to, `${action.status} ${step.event}`).not.toBeNull();
      action.status = to ?? action.status;
      action.done = step.done;
      action.failed = step.failed;
    }
    for (const action of this.open()) this.spread(action);
    this.gone = plan.forget;
    this.status = plan.status;
    this.conditions = plan.conditions;
    this.brake = plan.brake;
    this.observedGeneration = plan.observedGeneration;
    return plan;
  }

  /** What was not begun goes at once, the rest is on its way out. */
  private takeAway(count: number): void {
    const rank: readonly NodeStatus[] = ["PLANNED", "ERROR", "RECOVERING", "CREATING", "UPDATING", "ACTIVE"];
    const victims = this.members
      .filter((member) => member.status !== "DELETING")
      .sort((a, b) => rank.indexOf(a.status) - rank.indexOf(b.status))
      .slice(0, count);
    for (const victim of victims) {
      if (nodeTransition(victim.status, "dropped") === "GONE") this.vanish(victim);
      else this.move(victim, "deleteWanted");
    }
  }

  private newMember(): Member {
    return { status: "PLANNED", certain: true, remedyAtMs: 0, checking: false, profile: this.wanted.profile, replacing: false, sinceMs: this.nowMs };
  }

  /** Every other one changes where it stands. */
  private bringOver({ rollOut }: ClusterPlan<number>): void {
    const outdated = this.members.filter((member) => this.isOutdated(member));
    const idle = outdated.filter((member) => this.isIdle(member)).slice(0, rollOut.idle);
    const working = outdated.filter((member) => member.status === "ACTIVE").slice(0, rollOut.working);
    expect(idle.length + working.length).toBe(rollOut.idle + rollOut.working);
    for (const [i, member] of [...idle, ...working].entries()) {
      if (member.status === "PLANNED") {
        member.profile = this.wanted.profile;
        this.totals.updated += 1;
        continue;
      }
      member.replacing = i % 2 === 0 || member.status === "ERROR";
      if (!member.replacing) member.profile = this.wanted.profile;
      this.move(member, "updateBegun");
    }
    if (working.length > 0) expect(this.count("ACTIVE")).toBeGreaterThanOrEqual(this.wanted.desiredCapacity - mostMissing(this.wanted));
    if (idle.length + working.length > 0) expect(this.count("UPDATING")).toBeLessThanOrEqual(this.window);
  }

  private heal(plan: ClusterPlan<number>): void {
    const patients = this.members
      .filter((member) => member.status === "ERROR" && member.remedyAtMs <= this.nowMs && (member.certain || !plan.healCertainOnly))
      .slice(0, plan.heal);
    expect(patients).toHaveLength(plan.heal);
    for (const patient of patients) this.move(patient, "recoverBegun");
  }

  private spread(action: Action): void {
    if (action.status !== "RUNNING" || action.spread) return;
    if (action.kind === "CLUSTER_RECOVER") for (const member of this.members) if (member.status === "ERROR") this.move(member, "recoverBegun");
    if (action.kind === "CLUSTER_CHECK") for (const member of this.members) member.checking = member.status === "ACTIVE" || member.status === "ERROR";
    action.spread = true;
  }

  private move(member: Member, event: NodeEvent): void {
    const to = nodeTransition(member.status, event);
    if (to === null || to === "GONE") throw new Error(`${member.status} ${event}`);
    member.status = to;
    member.sinceMs = this.nowMs;
    if (to !== "UPDATING") member.replacing = false;
    if (to === "DELETING" || to === "RECOVERING" || to === "UPDATING") member.checking = false;
  }

  private vanish(member: Member): void {
    this.members = this.members.filter((other) => other !== member);
    this.totals.deleted += 1;
  }

  /** Something happens to the member at this place: its step ends, well or badly, or it dies. */
  happen(place: number, well: boolean, certain: boolean): void {
    const member = this.members[place % Math.max(1, this.members.length)];
    if (member === undefined) return;
    if (member.checking) {
      member.checking = false;
      this.totals.checked += 1;
      return;
    }
    if (member.status === "PLANNED") this.move(member, "createBegun");
    else if (member.status === "DELETING") {
      if (well) this.vanish(member);
    } else if (member.status === "CREATING" || member.status === "RECOVERING" || member.status === "UPDATING") this.finish(member, well);
    else if (member.status === "ACTIVE") {
      if (!well) this.sicken(member, "vanished", certain, 0);
    } else if (member.status === "ERROR" && well && !member.certain) this.move(member, "found");
  }

  private finish(member: Member, well: boolean): void {
    const [did, failed, total] =
      member.status === "CREATING"
        ? (["created", "createFailed", "created"] as const)
        : member.status === "UPDATING"
          ? (["updated", "updateFailed", "updated"] as const)
          : (["recovered", "recoverFailed", "recovered"] as const);
    // Where a life was closed, the next one is of the profile that is wanted by then.
    const anew = member.status === "RECOVERING" || member.replacing;
    if (anew && member.profile !== this.wanted.profile) {
      if (member.status === "RECOVERING") this.totals.updated += 1;
      member.profile = this.wanted.profile;
    }
    if (!well) {
      this.sicken(member, failed, true, 1_000);
      if (did === "created") this.totals.failed += 1;
      if (did === "updated") this.totals.updateFailed += 1;
      return;
    }
    const counts = did !== "updated" || member.profile === this.wanted.profile;
    this.move(member, did);
    if (counts) this.totals[total] += 1;
  }

  private sicken(member: Member, event: NodeEvent, certain: boolean, pauseMs: number): void {
    this.move(member, event);
    member.certain = certain;
    member.remedyAtMs = this.nowMs + pauseMs;
    member.checking = false;
  }

  /** A pass, and all that it began ends well before anything else happens. */
  settleNow(): void {
    this.pass();
    for (let place = this.members.length - 1; place >= 0; place--) {
      const { status } = this.members[place] ?? {};
      for (let steps = status === "PLANNED" ? 2 : status === "CREATING" || status === "DELETING" ? 1 : 0; steps > 0; steps--)
        this.happen(place, true, true);
    }
  }

  /** From now on everything goes well: passes and outcomes until nothing is left to do. Returns how many rounds it took. */
  settle(rounds: number): number {
    for (let round = 1; round <= rounds; round++) {
      const plan = this.pass();
      if (this.gone) return round;
      const look = (): string => this.members.map((member) => `${member.status} ${member.checking} ${member.profile}`).join();
      const before = look();
      // From the last to the first: a member that goes moves those behind it.
      for (let place = this.members.length - 1; place >= 0; place--) this.happen(place, true, true);
      const still = before === look();
      if (!still || plan.create + plan.remove + plan.heal + plan.rollOut.idle + plan.rollOut.working + plan.actions.length > 0) continue;
      const waits = this.brake.suspected || this.members.some((member) => member.status === "ERROR") || this.agree().againInMs !== null;
      const next = waits ? plan.lookAgainAtMs : null;
      if (next === null) return round;
      this.nowMs = Math.max(this.nowMs, next);
    }
    throw new Error(
      `not settled after ${rounds} rounds: ${JSON.stringify({ wanted: this.wanted, members: this.members, open: this.open(), now: this.nowMs })}`,
    );
  }
}
