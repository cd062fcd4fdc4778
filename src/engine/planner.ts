/**
 * The planner: takes clusters of this worker's lanes that are due, reads aggregates, has `core/plan` say what to do, and applies it in
 * one window. It holds no cluster row while it writes nodes: it plans against a generation and each window checks it.
 */
import { type ActionId, brandId, type ClusterId, type HostId, type NodeId } from "../core/ids.ts";
import { hostLane, laneOf } from "../core/lane.ts";
import { nodeName } from "../core/name.ts";
import { type ClusterPlan, planCluster, windowSize } from "../core/plan/cluster-plan.ts";
import { nextRemedy } from "../core/plan/ladder.ts";
import type { Entropy, Logger } from "../core/runtime.ts";
import { insertActions, listOpenActions, type OpenAction, progressOf, stepActions, supersedeNodeActions } from "../store/action-write.ts";
import {
  countJobs,
  deleteClusterRows,
  type PlannedCluster,
  readGeneration,
  readPlannedCluster,
  saveObserved,
  selectVictims,
  StalePlan,
  takeIndexes,
} from "../store/cluster-plan.ts";
import { type Counts, noCounts, readCounts } from "../store/count.ts";
import { type DueCluster, nextDueMs, settleDue, takeDue } from "../store/due.ts";
import { isAbsence, violatedUnique } from "../store/failure.ts";
import { checkLanes, LaneLost } from "../store/lane.ts";
import { insertPlannedNodes, lockNodes, type PlannedNode, saveNodes } from "../store/node-write.ts";
import { listPatients, type Patient, summarizePatients } from "../store/notable.ts";
import { setTasks, wantNodesDeleted } from "../store/task.ts";
import { readClock, type Store, type Tx, transaction } from "../store/transaction.ts";
import { abandonNodes, listUnreachable } from "../store/tombstone.ts";
import { liveHosts } from "../store/worker.ts";
import type { Database } from "../store/database.ts";
import { type JobCursor, readJobCursors } from "../store/job.ts";
import { isJob, spreadJob } from "./jobs.ts";
import type { LaneBook } from "./lane-book.ts";
import { type Loop, startLoop } from "./loop.ts";
import type { SpecCache } from "./specs.ts";

export interface PlannerDeps {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly specs: SpecCache;
  readonly logger: Logger;
  /** Tasks were written: the executor should look. */
  readonly onPlanned: () => void;
  /** Why nothing may be made, removed or healed just now, or null. */
  readonly held: () => string | null;
}

/** Clusters taken in one turn: a round over all that are due, a window each. */
const turnLimit = 64;
/** Should the planner die, what it took is due again after so long, ms. */
const leaseMs = 5_000;
const pollMs = 1_000;
/** Rows a window may want gone or heal: far below 10,000 rows with their tasks, counts and events. */
const windowRows = 2_500;

interface Host {
  readonly id: HostId;
  readonly number: number;
}

export function startPlanner(deps: PlannerDeps): Loop {
  const rates = new Map<ClusterId, Rate>();
  const turn = async (): Promise<number> => {
    const { lanes, store } = deps;
    const held = [...lanes.held.keys()];
    if (held.length === 0) return pollMs;
    const due = await takeDue(store.db, held, turnLimit, leaseMs);
    for (const cluster of due) {
      try {
        await planOne(deps, cluster, rates);
      } catch (error) {
        // One cluster that cannot be planned must not keep the others waiting; its lease makes it due again.
        if (error instanceof LaneLost) lanes.remove(error.lanes);
        const ordinary = error instanceof LaneLost || isAbsence(error);
        deps.logger[ordinary ? "debug" : "error"]({ clusterId: cluster.clusterId, error }, "a cluster was not planned");
      }
    }
    if (due.length > 0) deps.onPlanned();
    if (due.length === turnLimit) return 0;
    const next = await nextDueMs(store.db, held);
    return next === null ? pollMs : Math.max(0, Math.min(pollMs, next));
  };
  return startLoop({ name: "planner", timers: deps.store.runtime.timers, logger: deps.logger }, turn);
}

/** How fast a cluster's members came and went lately: what its window is sized by. */
interface Rate {
  readonly atMs: number;
  readonly finished: number;
  readonly perSecond: number;
}

function nextRate(former: Rate | undefined, counts: Counts, atMs: number): Rate {
  const finished = counts.created_total + counts.deleted_total;
  if (former === undefined) return { atMs, finished, perSecond: 0 };
  const seconds = (atMs - former.atMs) / 1_000;
  if (seconds < 0.05) return former;
  const rate = Math.max(0, finished - former.finished) / seconds;
  return { atMs, finished, perSecond: Math.max(rate, former.perSecond * 0.8) };
}

async function planOne(deps: PlannerDeps, due: DueCluster & { readonly leasedUntil: Date }, rates: Map<ClusterId, Rate>): Promise<void> {
  const { store } = deps;
  const { db } = store;
  const id = due.clusterId;
  const cluster = await readPlannedCluster(db, id);
  if (cluster === null) {
    rates.delete(id);
    return;
  }
  const counts = (await readCounts(db, [id])).get(id) ?? noCounts;
  const now = await readClock(db);
  const nowMs = now.getTime();
  const open = await listOpenActions(db, id, 1_000);
  const patients = counts.error === 0 ? { waiting: 0, certain: 0, doubtful: 0, nextAt: null } : await summarizePatients(db, id, now);
  const jobs = open.filter(isJob);
  const cursors = await readJobCursors(
    db,
    jobs.map((job) => job.id),
  );
  const spreading = jobs.filter((job) => cursors.get(job.id)?.done !== true);
  const rate = nextRate(rates.get(id), counts, store.runtime.clock.monotonicMs());
  const hosts = await placement(deps, cluster);
  const plan = planCluster<ActionId>(
    cluster,
    {
      counts,
      observedGeneration: cluster.observedGeneration,
      status: cluster.status,
      conditions: cluster.conditions,
      brake: cluster.brake,
      patients: { waiting: patients.waiting, certain: patients.certain, doubtful: patients.doubtful, nextAtMs: patients.nextAt?.getTime() ?? null },
      openActions: open.map((action) => ({
        ...action,
        ...progressOf(action, counts),
        begun: action.status === "RUNNING",
        timeoutAtMs: action.timeoutAt?.getTime() ?? null,
      })),
      jobsLeft: await jobsLeft(db, id, jobs, spreading),
      window: Math.min(windowSize(rate.perSecond), 20_000),
      placeable: hosts === null || hosts.length > 0,
      held: deps.held(),
    },
    nowMs,
  );
  const applied = await apply(deps, due, cluster, plan, hosts, { open: spreading, cursors }).catch((error: unknown): Applied => {
    // A name was taken by a node that somebody named: the next pass has other indexes.
    if (error instanceof StalePlan || violatedUnique(error) !== null) return "void";
    throw error;
  });
  // The lanes of new tasks may be other workers'.
  if (plan.create > 0 || plan.remove > 0 || plan.heal > 0 || spreading.length > 0) store.wake.work();
  if (plan.forget && applied !== "void") {
    rates.delete(id);
    return;
  }
  rates.set(id, rate);
  const unfinished = plan.create > windowRows || plan.remove > windowRows || plan.heal > windowRows || spreading.length > 0 || applied !== "done";
  // What is given up changes nothing that would wake the planner: it looks again.
  const abandoning = cluster.deleting && cluster.abandon;
  const again = abandoning ? new Date(nowMs + 500) : unfinished ? now : plan.lookAgainAtMs === null ? null : new Date(plan.lookAgainAtMs);
  await settleDue(db, id, due.leasedUntil, again);
}

/** Hosts to place new members on; null: the driver is bound to none. */
async function placement(deps: PlannerDeps, cluster: PlannedCluster): Promise<readonly Host[] | null> {
  const profile = (await deps.specs.get(deps.store.db, [cluster.profileId])).get(cluster.profileId);
  if (profile === undefined) return [];
  return profile.driver.hostBound ? liveHosts(deps.store.db, profile.driver.type) : null;
}

/** Jobs that have not reached all members yet, and how far each has come. */
interface Jobs {
  readonly open: readonly OpenAction[];
  readonly cursors: ReadonlyMap<ActionId, JobCursor>;
}

/** What jobs still wait for; one that has not reached all members counts as one more. */
async function jobsLeft(db: Database, id: ClusterId, jobs: readonly OpenAction[], spreading: readonly OpenAction[]): Promise<{ check: number; recover: number }> {
  if (jobs.length === 0) return { check: 0, recover: 0 };
  const left = await countJobs(db, id);
  const more = (kind: OpenAction["kind"]): number => spreading.filter((job) => job.kind === kind).length;
  return { check: left.check + more("CLUSTER_CHECK"), recover: left.recover + more("CLUSTER_RECOVER") };
}

/** void: the wish has changed meanwhile, nothing was done. more: what was done needs another pass at once. */
type Applied = "void" | "done" | "more";

/** Applies one window of a plan. */
async function apply(deps: PlannerDeps, due: DueCluster, cluster: PlannedCluster, plan: ClusterPlan<ActionId>, hosts: readonly Host[] | null, jobs: Jobs): Promise<Applied> {
  const { store, lanes } = deps;
  const create = Math.min(plan.create, windowRows);
  const abandoning = cluster.deleting && cluster.abandon && !plan.forget;
  if (jobs.open.length === 0 && !abandoning && idle(cluster, plan)) return "done";
  const firstIndex = create > 0 ? await takeIndexes(store.db, cluster.id, create) : 0;
  return transaction(store, async (tx) => {
    await checkLanes(tx.db, new Map([[due.lane, lanes.held.get(due.lane) ?? 0n]]));
    if ((await readGeneration(tx.db, cluster.id)) !== cluster.generation) return "void";
    // Its own changes need no further pass: it has planned them.
    const quiet: Tx = { ...tx, markDue: () => undefined };
    const now = await tx.now();
    if (create > 0) await insertPlannedNodes(quiet, now, newMembers(cluster, firstIndex, create, hosts, store.runtime.entropy));
    if (cluster.deleting && cluster.abandon) await abandonNodes(quiet, now, await lockNodes(tx.db, await listUnreachable(tx.db, cluster.id, windowRows)));
    if (plan.remove > 0) await removeMembers(quiet, now, cluster, Math.min(plan.remove, windowRows));
    const replaced = plan.heal > 0 ? await heal(quiet, now, cluster, plan, store.runtime.entropy) : 0;
    await stepActions(quiet, now, plan.actions);
    for (const job of jobs.open) await spreadJob(quiet, now, cluster, job, jobs.cursors.get(job.id) ?? { after: null, done: false });
    tellChanges(tx, cluster, plan);
    if (plan.forget) {
      tx.events.push({ type: "cluster.deleted", ...about(cluster), data: {} });
      await deleteClusterRows(tx.db, cluster.id);
    } else await saveObserved(tx.db, now, cluster.id, cluster.status, plan);
    return replaced > 0 ? "more" : "done";
  });
}

/** Nothing to write: the common end of a round of passes. */
function idle(cluster: PlannedCluster, plan: ClusterPlan<ActionId>): boolean {
  const same = cluster.conditions.length === plan.conditions.length && plan.conditions.every((next, i) => {
    const former = cluster.conditions[i];
    return former?.status === next.status && former.reason === next.reason && former.message === next.message && former.observedGeneration === next.observedGeneration;
  });
  return (
    plan.create === 0 &&
    plan.remove === 0 &&
    plan.heal === 0 &&
    plan.actions.length === 0 &&
    !plan.forget &&
    same &&
    plan.status === cluster.status &&
    plan.statusReason === cluster.statusReason &&
    plan.observedGeneration === cluster.observedGeneration
  );
}

function about(cluster: PlannedCluster): { projectId: PlannedCluster["projectId"]; clusterId: ClusterId; clusterName: string } {
  return { projectId: cluster.projectId, clusterId: cluster.id, clusterName: cluster.name };
}

function newMembers(cluster: PlannedCluster, firstIndex: number, count: number, hosts: readonly Host[] | null, entropy: Entropy): PlannedNode[] {
  return Array.from({ length: count }, (_, i): PlannedNode => {
    const id = brandId("node", entropy.uuid());
    const index = firstIndex + i;
    const host = hosts === null ? null : (hosts[index % hosts.length] ?? null);
    return {
      id,
      projectId: cluster.projectId,
      clusterId: cluster.id,
      clusterName: cluster.name,
      profileId: cluster.profileId,
      lane: host === null ? laneOf(id) : hostLane(host.number, id),
      hostId: host?.id ?? null,
      index,
      name: nodeName(cluster.nodeNameFormat, { cluster: cluster.name, index, random: randomText(entropy) }),
      role: null,
      metadata: null,
      actionId: null,
    };
  });
}

/** 32 lower-case letters and digits, for names. */
function randomText(entropy: Entropy): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from(entropy.bytes(32), (byte) => alphabet[byte % alphabet.length]).join("");
}

async function removeMembers(tx: Tx, now: Date, cluster: PlannedCluster, count: number): Promise<void> {
  const victims = await selectVictims(tx.db, cluster.id, count, !cluster.deleting);
  await wantNodesDeleted(tx, now, await lockNodes(tx.db, victims));
}

/**
 * Begins remedies: an action each, cause HEALTH. Who has used up the restarts is replaced: it goes, and the next pass makes another.
 * Returns how many are replaced.
 */
async function heal(tx: Tx, now: Date, cluster: PlannedCluster, plan: ClusterPlan<ActionId>, entropy: Entropy): Promise<number> {
  const patients = (await listPatients(tx.db, cluster.id, now, Math.min(plan.heal, windowRows))).filter((patient) => patient.certain || !plan.healCertainOnly);
  const byId = new Map<NodeId, Patient>(patients.map((patient) => [patient.nodeId, patient]));
  // Who came back by itself since it was listed is left in peace.
  const sick = (await lockNodes(tx.db, [...byId.keys()])).filter((node) => node.status === "ERROR");
  const treated = sick.map((node) => ({
    node,
    actionId: brandId("action", entropy.uuid()),
    remedy: nextRemedy({ rung: byId.get(node.id)?.rung ?? 0, everRan: node.startedAt !== null, protected: byId.get(node.id)?.protected ?? false }),
  }));
  await insertActions(
    tx,
    now,
    treated.map(({ node, actionId, remedy }) => ({
      id: actionId,
      projectId: cluster.projectId,
      kind: "NODE_RECOVER" as const,
      cause: "HEALTH" as const,
      initiator: "health",
      clusterId: cluster.id,
      clusterName: cluster.name,
      nodeId: node.id,
      nodeName: node.name,
      generation: null,
      inputs: { operation: remedy.toUpperCase(), reason: node.statusReason },
      total: 1,
      counter: null,
      timeoutAt: null,
    })),
  );
  await stepActions(
    tx,
    now,
    treated.map(({ actionId }) => ({ id: actionId, event: "begun" as const })),
  );
  await supersedeNodeActions(
    tx,
    now,
    treated.map(({ node }) => node),
    null,
  );
  const restarted = treated.filter(({ remedy }) => remedy === "restart").map(({ node, actionId }) => ({ node: { ...node, actionId } }));
  await saveNodes(
    tx,
    now,
    restarted.map(({ node }) => ({ node, patch: { status: "RECOVERING", statusReason: node.statusReason, actionId: node.actionId } })),
  );
  await setTasks(
    tx.db,
    restarted.map(({ node }) => ({ node, kind: "RECOVER", dueAt: now, params: { stage: "close" } })),
  );
  const replaced = treated.filter(({ remedy }) => remedy === "replace");
  for (const { node, actionId } of replaced) await wantNodesDeleted(tx, now, [{ ...node, actionId }], actionId);
  return replaced.length;
}

function tellChanges(tx: Tx, cluster: PlannedCluster, plan: ClusterPlan<ActionId>): void {
  if (plan.status !== cluster.status) {
    const grave = plan.status === "CRITICAL" || plan.status === "ERROR" ? { level: "ERROR" as const } : plan.status === "WARNING" ? { level: "WARNING" as const } : {};
    tx.events.push({ type: "cluster.status.changed", ...grave, ...about(cluster), data: { from: cluster.status, to: plan.status, reason: plan.statusReason } });
  }
  for (const condition of plan.conditions) {
    const former = cluster.conditions.find((known) => known.type === condition.type);
    if (former?.status === condition.status || (former === undefined && condition.status === "FALSE")) continue;
    tx.events.push({
      type: "cluster.condition.changed",
      ...about(cluster),
      data: { type: condition.type, status: condition.status, reason: condition.reason, message: condition.message },
    });
  }
  if (plan.observedGeneration > cluster.observedGeneration) {
    tx.events.push({ type: "cluster.settled", ...about(cluster), data: { generation: plan.observedGeneration } });
  }
}
