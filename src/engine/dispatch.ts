/**
 * Which of the due tasks are carried out next, and in which calls. The executor reads what is due, begins what is chosen here, and calls.
 * Nothing here waits, reads or writes: it knows what is under way, and the clock is an argument.
 */
import type { ClusterId, ProfileId } from "../core/ids.ts";
import type { Driver } from "../drivers/driver.ts";
import type { DueTask } from "../store/task.ts";
import { type Call, providerKey, type Verb, verbOf, verbs } from "./call.ts";
import { CallDesk, type Paused, type Waiting } from "./call-desk.ts";
import { Circuits } from "./circuit.ts";
import type { TaskReport } from "./report.ts";
import type { KnownProfile } from "./specs.ts";

/** Where a driver says nothing else: so many calls in a row, each about another member, and its provider is left alone for a while. */
const failuresToPause = 10;
const pauses = { firstPauseMs: 1_000, longestPauseMs: 30_000 } as const;

export interface Choice {
  readonly calls: readonly Call[];
  /** Tasks whose provider does not answer, and for how long they wait. They are no longer in hand. */
  readonly paused: readonly Paused[];
  /** When a driver's rate lets another call through, ms; null: nothing waits for that. */
  readonly nextCallMs: number | null;
  /** The calls are kept from everybody else until this is called, exactly once: in the moment in which they start, or when they do not. */
  giveBack(): void;
}

/** A provider that is left alone from now on, or that answers again. */
export type CircuitChange = { readonly profileId: ProfileId; readonly verb: Verb; readonly driver: string } & (
  | { readonly kind: "paused"; readonly forMs: number; readonly reason: string }
  | { readonly kind: "answers"; readonly afterMs: number }
);

/** A call under way, as its outcomes are heard. */
export interface Trial {
  /** Whether the outcome counts as an attempt: not, where its provider is known not to answer. */
  hear(task: DueTask, report: TaskReport): boolean;
  /** The call is over. @param fraction uniform in [0, 1), for jitter */
  end(nowMs: number, fraction: number): readonly CircuitChange[];
}

export class Dispatch {
  private readonly desks = new Map<Driver, CallDesk>();
  private readonly circuits = new Circuits();
  private readonly startMs: number;

  /** @param startMs now: rates count from then on */
  constructor(startMs: number) {
    this.startMs = startMs;
  }

  /** Tasks in hand. */
  get waiting(): number {
    let sum = 0;
    for (const desk of this.desks.values()) sum += desk.waiting;
    return sum;
  }

  hasWaiting(clusterId: ClusterId): boolean {
    for (const desk of this.desks.values()) if (desk.hasWaiting(clusterId)) return true;
    return false;
  }

  /** Takes in hand what is due, in place of what was. */
  fill(due: readonly DueTask[], profiles: ReadonlyMap<ProfileId, KnownProfile>): void {
    const byDesk = new Map<CallDesk, Waiting[]>();
    for (const task of due) {
      const profile = profiles.get(task.profileId);
      const verb = verbOf(task);
      if (profile === undefined || verb === null) continue;
      const desk = this.deskOf(profile.driver);
      const tasks = byDesk.get(desk) ?? [];
      byDesk.set(desk, tasks);
      tasks.push({ task, profile, verb });
    }
    for (const desk of this.desks.values()) desk.fill(byDesk.get(desk) ?? []);
  }

  /**
   * Chooses from what is in hand, and puts it out of hand.
   * @param room nodes at most
   * @param shareOf this worker's share of what the driver's rate allows, 0 … 1
   */
  choose(nowMs: number, room: number, shareOf: (driver: Driver) => number): Choice {
    const calls: Call[] = [];
    const paused: Paused[] = [];
    const kept: (() => void)[] = [];
    let nextCallMs: number | null = null;
    let left = room;
    for (const desk of this.desks.values()) {
      if (desk.waiting === 0) continue;
      const share = shareOf(desk.driver);
      const chosen = desk.choose(this.circuits, nowMs, left, share);
      calls.push(...chosen.calls);
      paused.push(...chosen.paused);
      kept.push(chosen.giveBack);
      for (const call of chosen.calls) left -= call.tasks.length;
      const next = desk.nextCallMs(share);
      if (next !== null) nextCallMs = Math.min(nextCallMs ?? next, next);
    }
    const giveBack = (): void => {
      for (const each of kept) each();
    };
    return { calls, paused, nextCallMs, giveBack };
  }

  /**
   * How many nodes could go to the driver this moment without waiting, where nobody else waits for it.
   * @param shareOf this worker's share of what the driver's rate allows, 0 … 1
   */
  free(driver: Driver, profileId: ProfileId, verb: Verb, nowMs: number, shareOf: (driver: Driver) => number): number {
    return this.circuits.gate(providerKey({ profileId }, verb), nowMs).kind === "go" ? this.deskOf(driver).free(verb, nowMs, shareOf(driver)) : 0;
  }

  /** Keeps calls for whoever is about to begin them. Returns what gives them back. */
  keep(driver: Driver, verb: Verb, calls: number): () => void {
    return this.deskOf(driver).keep(calls, verb === "create" ? calls : 0);
  }

  /** Whether anybody waits for the driver. */
  isWaitedFor(driver: Driver): boolean {
    return this.deskOf(driver).waiting > 0;
  }

  /** A chosen call was begun and is being made now; what was kept for it was given back. */
  started(call: Call): Trial {
    const over = this.deskOf(call.driver).started(call);
    const { circuits } = this;
    const keys = new Map(call.tasks.map(({ task }) => [providerKey(task, call.verb), task]));
    if (call.probe) for (const key of keys.keys()) circuits.probing(key);
    /** Why nobody answered; null: somebody did. */
    const heard = new Map<string, string | null>();
    return {
      hear: (task, report) => {
        const key = providerKey(task, call.verb);
        const silence = silenceIn(report);
        if (silence === null || !heard.has(key)) heard.set(key, silence);
        return silence === null || !circuits.isOpen(key);
      },
      end: (nowMs, fraction) => {
        over();
        return [...keys].flatMap(([key, task]): CircuitChange[] => {
          const about = { profileId: task.profileId, verb: call.verb, driver: call.driver.type };
          const reason = heard.get(key);
          if (reason === undefined) {
            if (call.probe) circuits.brokenOff(key);
            return [];
          }
          if (reason === null) {
            const afterMs = circuits.succeeded(key, nowMs);
            return afterMs === null ? [] : [{ ...about, kind: "answers", afterMs }];
          }
          const rule = { ...pauses, failures: call.driver.failuresToPause ?? failuresToPause };
          const forMs = circuits.failed(key, { member: task.nodeId, reason, probe: call.probe }, rule, nowMs, fraction);
          return forMs === null ? [] : [{ ...about, kind: "paused", forMs, reason }];
        });
      },
    };
  }

  /** Why members of the profile wait for their provider, or null: they do not. */
  silenceOf(profileId: ProfileId): string | null {
    for (const verb of verbs) {
      const reason = this.circuits.reason(providerKey({ profileId }, verb));
      if (reason !== null) return `the provider does not answer: every ${verb} fails (${reason}), and one call at a time tries again`;
    }
    return null;
  }

  private deskOf(driver: Driver): CallDesk {
    const desk = this.desks.get(driver) ?? new CallDesk(driver, this.startMs);
    this.desks.set(driver, desk);
    return desk;
  }
}

/** Why an outcome says that the provider does not answer; null: it does, be it with a refusal. */
function silenceIn(report: TaskReport): string | null {
  if (report.kind !== "failed") return null;
  const { error } = report;
  // What came to life and died was made: its provider has answered.
  return error.class === "permanent" || error.epochClosed === true ? null : `${error.code}: ${error.message}`;
}
