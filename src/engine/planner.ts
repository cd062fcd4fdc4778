/**
 * The planner: takes clusters of this worker's lanes that are due, reads aggregates, has `core/plan` say what to do, and has one window of
 * it applied (`apply-plan.ts`). It decides nothing itself.
 */
import type { ActionId, ClusterId, ProfileId } from "../core/ids.ts";
import { planCluster, windowSize } from "../core/plan/cluster-plan.ts";
import { noneOutdated } from "../core/plan/roll-out.ts";
import type { Logger } from "../core/runtime.ts";
import { listOpenActions, type OpenAction, progressOf } from "../store/action-write.ts";
import { countJobs, type PlannedCluster, readPlannedCluster, StalePlan } from "../store/cluster-plan.ts";
import { noCounts, readCounts } from "../store/count.ts";
import type { Database } from "../store/database.ts";
import { type DueCluster, nextDueMs, settleDue, takeDue } from "../store/due.ts";
import { isAbsence, isConflict, isTimeout, violatedUnique } from "../store/failure.ts";
import { readJobCursors } from "../store/job.ts";
import { LaneLost } from "../store/lane.ts";
import { summarizePatients } from "../store/notable.ts";
import { summarizeOutdated } from "../store/outdated.ts";
import type { Store } from "../store/transaction.ts";
import { liveHosts } from "../store/worker.ts";
import { type Applied, applyPlan } from "./apply-plan.ts";
import { ClusterMemory } from "./cluster-memory.ts";
import { isJob, jobWindow } from "./jobs.ts";
import type { LaneBook } from "./lane-book.ts";
import { type Loop, startLoop } from "./loop.ts";
import type { Host } from "./new-members.ts";
import type { Places } from "./places.ts";
import { planSmall } from "./small-plans.ts";
import type { KnownProfile, SpecCache } from "./specs.ts";
import type { Sweeps } from "./sweep.ts";

export interface PlannerDeps {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly specs: SpecCache;
  readonly places: Places;
  readonly sweeps: Sweeps;
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
/** When a cluster is looked at again that is being swept, should the sweep break off, ms. */
const sweptMs = 1_000;
/** When a cluster is looked at again that is given up, ms. */
const abandonedMs = 500;

export function startPlanner(deps: PlannerDeps): Loop {
  const memory = new ClusterMemory();
  const turn = async (news: boolean): Promise<number> => {
    const { lanes, store } = deps;
    const held = [...lanes.held.keys()];
    if (held.length === 0) return pollMs;
    const restMs = news ? 0 : await untilDueMs(store, held);
    if (restMs > 0) return restMs;
    const due = await takeDue(store.db, held, turnLimit, leaseMs);
    const settled = await planTogether(deps, due, memory);
    for (const cluster of due) {
      if (settled.has(cluster.clusterId)) continue;
      try {
        await planOne(deps, cluster, memory);
      } catch (error) {
        // One cluster that cannot be planned must not keep the others waiting; its lease makes it due again.
        if (error instanceof LaneLost) lanes.lose(error.lanes);
        const ordinary = error instanceof LaneLost || isAbsence(error) || isTimeout(error) || isConflict(error);
        deps.logger[ordinary ? "debug" : "error"]({ clusterId: cluster.clusterId, error }, "a cluster was not planned");
      }
    }
    if (due.length === turnLimit) return 0;
    return untilDueMs(store, held);
  };
  return startLoop({ name: "planner", timers: deps.store.runtime.timers, logger: deps.logger }, turn);
}

/** How long until a cluster is due, and a poll at the latest, ms. */
async function untilDueMs({ db }: Store, held: readonly number[]): Promise<number> {
  const next = await nextDueMs(db, held);
  return next === null ? pollMs : Math.max(0, Math.min(pollMs, next));
}

/** Plans those that are small, and says which. Where one of them cannot be written, they are halved until it stands alone: then it has a pass of its own. */
async function planTogether(
  deps: PlannerDeps,
  due: readonly (DueCluster & { readonly leasedUntil: Date })[],
  memory: ClusterMemory,
): Promise<ReadonlySet<ClusterId>> {
  if (due.length < 2) return new Set();
  try {
    const settled = await planSmall({ ...deps, memory }, due);
    await settleDue(deps.store.db, settled);
    return new Set(settled.map(({ clusterId }) => clusterId));
  } catch (error) {
    if (error instanceof LaneLost) deps.lanes.lose(error.lanes);
    deps.logger.debug({ clusters: due.length, error }, "clusters were not planned together");
    if (isAbsence(error)) return new Set();
    const half = Math.ceil(due.length / 2);
    const first = await planTogether(deps, due.slice(0, half), memory);
    return new Set([...first, ...(await planTogether(deps, due.slice(half), memory))]);
  }
}

async function planOne(deps: PlannerDeps, due: DueCluster & { readonly leasedUntil: Date }, memory: ClusterMemory): Promise<void> {
  const { store } = deps;
  const { db } = store;
  const id = due.clusterId;
  const cluster = await readPlannedCluster(db, id);
  if (cluster === null) {
    memory.forget(id);
    return;
  }
  const now = cluster.readAt;
  const nowMs = now.getTime();
  // Beside each other: while a wish waits for its first call, every round trip is one more.
  const [allCounts, open] = await Promise.all([readCounts(db, [id]), listOpenActions(db, id, 1_000)]);
  const counts = allCounts.get(id) ?? noCounts;
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
  const spreadable = laid.check + laid.recover < jobWindow ? unspread : [];
  const { perSecond, agreed } = memory.see(cluster, counts, store.runtime.clock.monotonicMs());
  const profile = (await deps.specs.get(db, [cluster.profileId])).get(cluster.profileId) ?? null;
  const hosts = await placement(db, profile);
  const swept = spreadable.filter(
    (job) =>
      job.kind === "CLUSTER_CHECK" && deps.sweeps.carryOn({ action: job.id, cluster, lane: due.lane, profile }, cursors.get(job.id)?.after ?? null),
  );
  const spreading = spreadable.filter((job) => !swept.includes(job));
  const plan = planCluster<ActionId>(
    cluster,
    {
      counts,
      agreed,
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
      window: windowSize(perSecond),
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
    memory.forget(id);
    return;
  }
  const lookAgainAtMs = swept.length === 0 ? plan.lookAgainAtMs : Math.min(nowMs + sweptMs, plan.lookAgainAtMs ?? Number.POSITIVE_INFINITY);
  await settleDue(db, [{ clusterId: id, leasedUntil: due.leasedUntil, at: nextPass(cluster, applied.end, nowMs, lookAgainAtMs) }]);
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
