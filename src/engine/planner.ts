/**
 * The planner: takes clusters of this worker's lanes that are due, reads aggregates, has `core/plan` say what to do, and has one window of
 * it applied (`apply-plan.ts`). It decides nothing itself.
 */
import type { ActionId, ClusterId, ProfileId } from "../core/ids.ts";
import { agreementOf, seeWish, type Wishes } from "../core/plan/agreement.ts";
import { planCluster, windowSize } from "../core/plan/cluster-plan.ts";
import { noneOutdated } from "../core/plan/roll-out.ts";
import type { Logger } from "../core/runtime.ts";
import { listOpenActions, type OpenAction, progressOf } from "../store/action-write.ts";
import { countJobs, type PlannedCluster, readPlannedCluster, StalePlan } from "../store/cluster-plan.ts";
import { type Counts, noCounts, readCounts } from "../store/count.ts";
import type { Database } from "../store/database.ts";
import { type DueCluster, nextDueMs, settleDue, takeDue } from "../store/due.ts";
import { isAbsence, isConflict, isTimeout, violatedUnique } from "../store/failure.ts";
import { readJobCursors } from "../store/job.ts";
import { LaneLost } from "../store/lane.ts";
import { summarizePatients } from "../store/notable.ts";
import { summarizeOutdated } from "../store/outdated.ts";
import { readClock, type Store } from "../store/transaction.ts";
import { liveHosts } from "../store/worker.ts";
import { type Applied, applyPlan } from "./apply-plan.ts";
import { isJob, jobWindow } from "./jobs.ts";
import type { LaneBook } from "./lane-book.ts";
import { type Loop, startLoop } from "./loop.ts";
import type { Host } from "./new-members.ts";
import type { Places } from "./places.ts";
import type { KnownProfile, SpecCache } from "./specs.ts";

export interface PlannerDeps {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly specs: SpecCache;
  readonly places: Places;
  readonly logger: Logger;
  /** Tasks of this cluster were written that are not begun: the executor should look. */
  readonly onPlanned: (clusterId: ClusterId) => void;
  /** Why nothing may be made, removed or healed just now, or null. */
  readonly held: () => string | null;
  /** Why members of the profile wait for their provider, or null. */
  readonly silenceOf: (profileId: ProfileId) => string | null;
}

/** Clusters taken in one turn: a round over all that are due, a window each. */
const turnLimit = 64;
/** Should the planner die, what it took is due again after so long, ms. */
const leaseMs = 5_000;
const pollMs = 1_000;
/** When a cluster is looked at again whose members wait for each other's places, ms. */
const waitsMs = 100;
/** When a cluster is looked at again that is given up, ms. */
const abandonedMs = 500;
/** Clusters of which something is remembered at most. It is only a hint; many of them are at rest, gone, or another worker's by now. */
const mostRemembered = 10_000;

export function startPlanner(deps: PlannerDeps): Loop {
  const memory = new Map<ClusterId, Memory>();
  const turn = async (): Promise<number> => {
    const { lanes, store } = deps;
    const held = [...lanes.held.keys()];
    if (held.length === 0) return pollMs;
    const due = await takeDue(store.db, held, turnLimit, leaseMs);
    for (const cluster of due) {
      try {
        await planOne(deps, cluster, memory);
      } catch (error) {
        // One cluster that cannot be planned must not keep the others waiting; its lease makes it due again.
        if (error instanceof LaneLost) lanes.remove(error.lanes);
        const ordinary = error instanceof LaneLost || isAbsence(error) || isTimeout(error) || isConflict(error);
        deps.logger[ordinary ? "debug" : "error"]({ clusterId: cluster.clusterId, error }, "a cluster was not planned");
      }
    }
    if (due.length === turnLimit) return 0;
    const next = await nextDueMs(store.db, held);
    return next === null ? pollMs : Math.max(0, Math.min(pollMs, next));
  };
  return startLoop({ name: "planner", timers: deps.store.runtime.timers, logger: deps.logger }, turn);
}

/** What is remembered of a cluster. */
interface Memory {
  readonly rate: Rate;
  readonly wishes: Wishes;
}

/** How fast a cluster's members came and went lately: what its window is sized by. */
interface Rate {
  readonly atMs: number;
  readonly finished: number;
  readonly perSecond: number;
}

function nextRate(former: Rate | undefined, counts: Counts, atMs: number): Rate {
  const finished = counts.created_total + counts.deleted_total + counts.updated_total;
  if (former === undefined) return { atMs, finished, perSecond: 0 };
  const seconds = (atMs - former.atMs) / 1_000;
  if (seconds < 0.05) return former;
  const rate = Math.max(0, finished - former.finished) / seconds;
  return { atMs, finished, perSecond: Math.max(rate, former.perSecond * 0.8) };
}

async function planOne(deps: PlannerDeps, due: DueCluster & { readonly leasedUntil: Date }, memory: Map<ClusterId, Memory>): Promise<void> {
  const { store } = deps;
  const { db } = store;
  const id = due.clusterId;
  const cluster = await readPlannedCluster(db, id);
  if (cluster === null) {
    memory.delete(id);
    return;
  }
  const counts = (await readCounts(db, [id])).get(id) ?? noCounts;
  const now = await readClock(db);
  const nowMs = now.getTime();
  const open = await listOpenActions(db, id, 1_000);
  const patients = counts.error === 0 ? { waiting: 0, certain: 0, doubtful: 0, nextAt: null } : await summarizePatients(db, id, now);
  const outdated = cluster.profileChangedAt === null || cluster.deleting ? noneOutdated : await summarizeOutdated(db, cluster);
  const jobs = open.filter(isJob);
  const cursors = await readJobCursors(
    db,
    jobs.map((job) => job.id),
  );
  const unspread = jobs.filter((job) => cursors.get(job.id)?.done !== true);
  const laid = jobs.length === 0 ? { check: 0, recover: 0 } : await countJobs(db, id);
  // A window opens only as outcomes return; each of them has the cluster planned again.
  const spreading = laid.check + laid.recover < jobWindow ? unspread : [];
  const atMs = store.runtime.clock.monotonicMs();
  const former = memory.get(id);
  const rate = nextRate(former?.rate, counts, atMs);
  const wishes = seeWish(former?.wishes ?? null, cluster, atMs);
  if (memory.size >= mostRemembered) memory.clear();
  // Also where nothing comes of the plan: a wish was seen.
  memory.set(id, { rate, wishes });
  const profile = (await deps.specs.get(db, [cluster.profileId])).get(cluster.profileId) ?? null;
  const hosts = await placement(db, profile);
  const plan = planCluster<ActionId>(
    cluster,
    {
      counts,
      agreed: agreementOf(wishes, cluster.desiredCapacity, atMs),
      observedGeneration: cluster.observedGeneration,
      status: cluster.status,
      conditions: cluster.conditions,
      brake: cluster.brake,
      patients: { waiting: patients.waiting, certain: patients.certain, doubtful: patients.doubtful, nextAtMs: patients.nextAt?.getTime() ?? null },
      outdated,
      openActions: open.map((action) => ({
        ...action,
        ...progressOf(action, counts),
        begun: action.status === "RUNNING",
        timeoutAtMs: action.timeoutAt?.getTime() ?? null,
      })),
      jobsLeft: jobsLeft(laid, unspread),
      window: Math.min(windowSize(rate.perSecond), 20_000),
      placeable: hosts === null || hosts.length > 0,
      held: deps.held(),
      silence: deps.silenceOf(cluster.profileId),
    },
    nowMs,
  );
  const applied = await applyPlan(deps, due, cluster, plan, { profile, hosts }, { open: spreading, cursors }).catch((error: unknown): Applied => {
    // A name was taken by a node that somebody named: the next pass has other indexes.
    if (error instanceof StalePlan || violatedUnique(error) !== null) return { end: "void", queues: false };
    throw error;
  });
  // The lanes of new tasks may be other workers'.
  if (applied.queues) {
    deps.onPlanned(id);
    store.wake.work();
  }
  if (plan.forget && applied.end !== "void") {
    memory.delete(id);
    return;
  }
  await settleDue(db, id, due.leasedUntil, nextPass(cluster, applied.end, nowMs, plan.lookAgainAtMs));
}

function nextPass(cluster: PlannedCluster, end: Applied["end"], nowMs: number, lookAgainAtMs: number | null): Date | null {
  // What is given up changes nothing that would wake the planner: it looks again.
  if (cluster.deleting && cluster.abandon) return new Date(nowMs + abandonedMs);
  if (end === "done") return lookAgainAtMs === null ? null : new Date(lookAgainAtMs);
  // A call that ends has it planned at once; one that is to be made again, or takes long, does not.
  return new Date(end === "waits" ? Math.min(nowMs + waitsMs, lookAgainAtMs ?? Number.POSITIVE_INFINITY) : nowMs);
}

/** Hosts to place new members on; null: the driver is bound to none. */
async function placement(db: Database, profile: KnownProfile | null): Promise<readonly Host[] | null> {
  if (profile === null) return [];
  return profile.driver.hostBound ? liveHosts(db, profile.driver.type) : null;
}

interface JobSteps {
  readonly check: number;
  readonly recover: number;
}

/** What jobs still wait for; one that has not reached all members counts as one more. */
function jobsLeft(laid: JobSteps, unspread: readonly OpenAction[]): JobSteps {
  const more = (kind: OpenAction["kind"]): number => unspread.filter((job) => job.kind === kind).length;
  return { check: laid.check + more("CLUSTER_CHECK"), recover: laid.recover + more("CLUSTER_RECOVER") };
}
