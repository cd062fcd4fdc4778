/**
 * One window of a plan, applied in one transaction: new members with their tasks, members that are to go, remedies, a roll-out, the next members of a job,
 * ends of actions, what was observed. It holds no cluster row: the plan is void where the size that is wanted by now is not served by it, or where status, names,
 * profile or deletion have changed.
 */
import type { ActionId, ClusterId, NodeId } from "../core/ids.ts";
import { laneOf } from "../core/lane.ts";
import type { ClusterPlan } from "../core/plan/cluster-plan.ts";
import { type OpenAction, stepActions } from "../store/action-write.ts";
import {
  deleteClusterRows,
  type FoundCluster,
  type PlannedCluster,
  readWantedSize,
  saveObserved,
  selectVictims,
  takeIndexes,
  type WantedSize,
} from "../store/cluster-plan.ts";
import type { Database } from "../store/database.ts";
import type { DueCluster } from "../store/due.ts";
import type { JobCursor } from "../store/job.ts";
import { checkLanes } from "../store/lane.ts";
import { insertPlannedNodes, lockNodes, type PlannedNode } from "../store/node-write.ts";
import type { Patient } from "../store/notable.ts";
import { holdProfiles } from "../store/profile.ts";
import { type DueTask, wantNodesDeleted } from "../store/task.ts";
import { abandonNodes, listUnreachable } from "../store/tombstone.ts";
import { type Store, type Tx, transaction } from "../store/transaction.ts";
import type { Verb } from "./call.ts";
import { findPatients, heal } from "./heal.ts";
import { type JobReach, reachMembers, spreadJob } from "./jobs.ts";
import type { LaneBook } from "./lane-book.ts";
import { type Host, newIds, newMembers } from "./new-members.ts";
import { Beginning, hasPlaces, ownsAllLanes, type Places, taskOf, writeWindow } from "./places.ts";
import { findOutdated, rollOut } from "./roll-out.ts";
import type { KnownProfile, SpecCache } from "./specs.ts";

/** Rows a window may want gone or heal: far below 10,000 rows with their tasks, counts and events. */
const windowRows = 2_500;

/** Jobs that have not reached all members yet, and how far each has come. */
export interface Jobs {
  readonly open: readonly OpenAction[];
  readonly cursors: ReadonlyMap<ActionId, JobCursor>;
}

export interface Applied {
  /**
   * void: the wish has changed meanwhile, nothing was done. more: what is left of the plan can be done at once. waits: what is left
   * waits for calls that are under way. done: nothing is left.
   */
  readonly end: "void" | "done" | "more" | "waits";
  /** Steps were written that are not begun: whoever owns their lanes should look. */
  readonly queues: boolean;
}

/** Who carries out the members' steps. */
export interface Carriers {
  /** Of the cluster's profile; null: this worker does not have its type. */
  readonly profile: KnownProfile | null;
  /** Hosts to place new members on; null: the driver is bound to none. */
  readonly hosts: readonly Host[] | null;
}

export interface ApplyDeps {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly places: Places;
  readonly specs: SpecCache;
}

/** Applies one window of a plan. */
export async function applyPlan(
  deps: ApplyDeps,
  due: DueCluster,
  cluster: PlannedCluster,
  plan: ClusterPlan<ActionId>,
  carriers: Carriers,
  jobs: Jobs,
): Promise<Applied> {
  const abandoning = cluster.deleting && cluster.abandon && !plan.forget;
  if (jobs.open.length === 0 && !abandoning && idle(cluster, plan)) return { end: "done", queues: false };
  const window = openWindow(deps, cluster, plan, carriers);
  const beginnings = [window.create, window.remove];
  const end = (await writeWindow(deps.lanes, beginnings, () => applyWindow(deps, due, cluster, plan, carriers, jobs, window))) ?? "void";
  const lays = plan.heal > 0 || rollOutSteps(plan) > 0 || jobs.open.length > 0;
  return { end, queues: lays || beginnings.some((beginning) => beginning.queues) };
}

/** How much of a plan this pass does, and what of it is begun with it. */
interface Window {
  readonly create: Beginning;
  readonly remove: Beginning;
  /** New members. Those in this worker's own lanes for which no place is free come later, unless nothing of the cluster is under way here. */
  readonly newIds: readonly NodeId[];
  readonly removeCount: number;
}

function openWindow({ store, lanes, places }: ApplyDeps, cluster: PlannedCluster, plan: ClusterPlan<ActionId>, carriers: Carriers): Window {
  const profile = hasPlaces(carriers.profile) ? carriers.profile : null;
  const take = (verb: Verb, most: number): Beginning =>
    new Beginning(profile === null || most === 0 ? null : places.take(cluster.profileId, profile, verb, most));
  const [toCreate, toRemove] = [Math.min(plan.create, windowRows), Math.min(plan.remove, windowRows)];
  const [create, remove] = [take("create", toCreate), take("delete", toRemove)];
  // A call that is under way has the cluster planned again when it ends: until then there is no need to lay up work for ourselves. But where others wait, we
  // must wait among them; and the few that are under way now and then say nothing of when there is room.
  const later = (beginning: Beginning): boolean =>
    profile !== null && (beginning.places > 0 || (!places.areWaitedFor(profile) && lanes.inFlightOf(cluster.id) >= profile.driver.batchSize));
  const ids = newIds(toCreate, store.runtime.entropy);
  let own = 0;
  const kept = later(create) ? ids.filter((id) => !lanes.held.has(laneOf(id)) || ++own <= create.places) : ids;
  return { create, remove, newIds: kept, removeCount: ownsAllLanes(lanes.held) && later(remove) ? remove.places : toRemove };
}

/** @returns null: the wish has changed meanwhile */
async function applyWindow(
  deps: ApplyDeps,
  due: DueCluster,
  cluster: PlannedCluster,
  plan: ClusterPlan<ActionId>,
  { hosts }: Carriers,
  jobs: Jobs,
  window: Window,
): Promise<Exclude<Applied["end"], "void"> | null> {
  const { store, lanes } = deps;
  const ofProfile = (task: DueTask): boolean => task.profileId === cluster.profileId;
  const isFree = (task: DueTask): boolean => !lanes.inFlight.has(task.nodeId);
  const firstIndex = window.newIds.length > 0 ? await takeIndexes(store.db, cluster.id, window.newIds.length) : 0;
  const rolled = rollOutSteps(plan) > 0;
  return transaction(store, async (tx) => {
    // What members are made from must be there as long as they are.
    if ((window.newIds.length > 0 || rolled) && (await holdProfiles(tx.db, [cluster.profileId])).size === 0) return null;
    // Whom its steps are about is found before the lanes are checked, since they must be checked all at once, and locked after that.
    const victims = window.removeCount > 0 ? await selectVictims(tx.db, cluster.id, window.removeCount, !cluster.deleting) : [];
    const reached = await reachAll(tx.db, cluster.id, jobs);
    await checkLanes(
      tx.db,
      new Map([[due.lane, lanes.held.get(due.lane) ?? 0n], ...window.create.choose(window.newIds), ...window.remove.choose(victims)]),
    );
    const wanted = await readWantedSize(tx.db, cluster);
    if (wanted === null || !isServed(plan, wanted)) return null;
    // Its own changes need no further pass: it has planned them.
    const quiet: Tx = { ...tx, markDue: () => undefined };
    const now = wanted.readAt;
    const members = newMembers(cluster, firstIndex, window.newIds, hosts, store.runtime.entropy);
    await insertPlannedNodes(
      quiet,
      now,
      members,
      window.create.begin(members.map(createTask), now, () => true),
    );
    const whom = await findOthers(tx.db, now, cluster, plan);
    await lockAll(tx.db, [victims, ...reached.map(({ ids }) => ids), whom.outdated, whom.patients.map(({ nodeId }) => nodeId), whom.unreachable]);
    await abandonNodes(quiet, now, await lockNodes(tx.db, whom.unreachable));
    // Who was never begun goes at once: no outcome will have the cluster planned again.
    const gone = await wantNodesDeleted(quiet, now, await lockNodes(tx.db, victims), null, (nodes) =>
      window.remove.begin(
        nodes.map((node) => taskOf(node, "DELETE", null)),
        now,
        (task) => ofProfile(task) && isFree(task),
      ),
    );
    const switched = await rollOut(deps.specs, quiet, now, cluster, whom.outdated);
    const replaced = await heal(quiet, now, cluster, whom.patients, store.runtime.entropy);
    await stepActions(quiet, now, plan.actions);
    for (const reach of reached) await spreadJob(quiet, now, cluster, reach);
    tellChanges(tx, cluster, plan);
    if (plan.forget) {
      tx.events.push({ type: "cluster.deleted", ...about(cluster), data: {} });
      await deleteClusterRows(tx, cluster);
    } else await saveObserved(tx.db, now, [foundBy(cluster, plan)]);
    if (replaced + gone + switched > 0) return "more";
    const short = window.newIds.length < Math.min(plan.create, windowRows) || window.removeCount < Math.min(plan.remove, windowRows);
    if (short) return "waits";
    return plan.create > windowRows || plan.remove > windowRows || plan.heal > windowRows || rollOutSteps(plan) > windowRows || jobs.open.length > 0
      ? "more"
      : "done";
  });
}

/** Whether a plan does for the size that is wanted by now. */
export function isServed({ serves }: Pick<ClusterPlan<ActionId>, "serves">, { size }: WantedSize): boolean {
  return size >= serves.least && size <= serves.most;
}

/** Members that a window changes, apart from those whose steps it may begin. */
interface Others {
  readonly outdated: readonly NodeId[];
  readonly patients: readonly Patient[];
  readonly unreachable: readonly NodeId[];
}

async function findOthers(db: Database, now: Date, cluster: PlannedCluster, plan: ClusterPlan<ActionId>): Promise<Others> {
  return {
    outdated: await findOutdated(db, cluster, plan.rollOut),
    patients: await findPatients(db, now, cluster.id, Math.min(plan.heal, windowRows), plan.healCertainOnly),
    unreachable: cluster.deleting && cluster.abandon ? await listUnreachable(db, cluster.id, windowRows) : [],
  };
}

/**
 * Each kind of change locks its own members in id order. Where a window has several, all are locked in one order before, or it and somebody's
 * batch of outcomes could wait for each other.
 */
async function lockAll(db: Database, kinds: readonly (readonly NodeId[])[]): Promise<void> {
  if (kinds.filter((ids) => ids.length > 0).length > 1) await lockNodes(db, kinds.flat());
}

function rollOutSteps({ rollOut: { idle, working } }: Pick<ClusterPlan<ActionId>, "rollOut">): number {
  return idle + working;
}

export function createTask({ id, projectId, clusterId, clusterName, profileId, lane, hostId, index, name }: PlannedNode): DueTask {
  const unmade = { status: "PLANNED", epoch: 1, physicalId: null, addresses: null } as const;
  return taskOf({ id, projectId, clusterId, clusterName, profileId, lane, hostId, index, name, ...unmade }, "CREATE", null);
}

async function reachAll(db: Database, clusterId: ClusterId, jobs: Jobs): Promise<JobReach[]> {
  const found: JobReach[] = [];
  for (const job of jobs.open) {
    const reach = await reachMembers(db, clusterId, job, jobs.cursors.get(job.id) ?? { after: null, done: false });
    if (reach !== null) found.push(reach);
  }
  return found;
}

/** Nothing to write: the common end of a round of passes. */
export function idle(cluster: PlannedCluster, plan: ClusterPlan<ActionId>): boolean {
  const same =
    cluster.conditions.length === plan.conditions.length &&
    plan.conditions.every((next, i) => {
      const former = cluster.conditions[i];
      return (
        former?.status === next.status &&
        former.reason === next.reason &&
        former.message === next.message &&
        former.observedGeneration === next.observedGeneration
      );
    });
  return (
    plan.create === 0 &&
    plan.remove === 0 &&
    plan.heal === 0 &&
    plan.rollOut.idle + plan.rollOut.working === 0 &&
    plan.actions.length === 0 &&
    !plan.forget &&
    same &&
    plan.brake.suspected === cluster.brake.suspected &&
    plan.brake.calmAtMs === cluster.brake.calmAtMs &&
    plan.status === cluster.status &&
    plan.statusReason === cluster.statusReason &&
    plan.observedGeneration === cluster.observedGeneration
  );
}

/** What a plan found of its cluster, as it is to be written. */
export function foundBy({ id, status: former, nextIndex }: PlannedCluster, plan: ClusterPlan<ActionId>): FoundCluster {
  const { create, serves } = plan;
  return { id, former, state: plan, highestNextIndex: Number.isFinite(serves.room) ? nextIndex + create + serves.room : null };
}

function about(cluster: PlannedCluster): { projectId: PlannedCluster["projectId"]; clusterId: ClusterId; clusterName: string } {
  return { projectId: cluster.projectId, clusterId: cluster.id, clusterName: cluster.name };
}

export function tellChanges(tx: Tx, cluster: PlannedCluster, plan: ClusterPlan<ActionId>): void {
  if (plan.status !== cluster.status) {
    const grave =
      plan.status === "CRITICAL" || plan.status === "ERROR"
        ? { level: "ERROR" as const }
        : plan.status === "WARNING"
          ? { level: "WARNING" as const }
          : {};
    tx.events.push({
      type: "cluster.status.changed",
      ...grave,
      ...about(cluster),
      data: { from: cluster.status, to: plan.status, reason: plan.statusReason },
    });
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
