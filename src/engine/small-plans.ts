/**
 * Plans of small clusters, many at a time: what they read is read together, and what they write is one transaction. A pass of a small cluster is
 * some forty short statements, and they cost far more than its rows. Only the plain case is here: members to make, actions to end, what was
 * observed. Whatever else a cluster needs has a pass of its own (`planner.ts`), as has everybody when one of them cannot be written.
 */
import type { ActionId, ClusterId, ProfileId } from "../core/ids.ts";
import { type ClusterPlan, planCluster, windowSize } from "../core/plan/cluster-plan.ts";
import { noneOutdated } from "../core/plan/roll-out.ts";
import { listOpenActionsOf, type OpenAction, progressOf, stepActions } from "../store/action-write.ts";
import { type PlannedCluster, readPlannedClusters, readWantedSizes, saveObserved, takeIndexesOf } from "../store/cluster-plan.ts";
import { type Counts, noCounts, readCounts } from "../store/count.ts";
import type { DueCluster, Settled } from "../store/due.ts";
import { checkLanes } from "../store/lane.ts";
import { type Beginnings, insertPlannedNodes, type PlannedNode } from "../store/node-write.ts";
import { holdProfiles } from "../store/profile.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { type ApplyDeps, createTask, foundBy, idle, isServed, tellChanges } from "./apply-plan.ts";
import type { ClusterMemory } from "./cluster-memory.ts";
import { isJob } from "./jobs.ts";
import { newIds, newMembers } from "./new-members.ts";
import { Beginning, hasPlaces, writeWindow } from "./places.ts";
import type { KnownProfile } from "./specs.ts";

/** New members of a cluster at most: with 64 clusters a turn, a transaction stays far below 10,000 rows. */
const fewMembers = 32;
/** Unfinished actions of a cluster at most. */
const fewActions = 8;

export interface SmallPlansDeps extends ApplyDeps {
  readonly memory: ClusterMemory;
  /** Tasks of this cluster were written that are not begun: the executor should look. */
  readonly onPlanned: (clusterId: ClusterId) => void;
  /** Why nothing may be made, removed or healed just now, or null. */
  readonly held: () => string | null;
  /** Why members of the profile wait for their provider, or null. */
  readonly silenceOf: (profileId: ProfileId) => string | null;
}

type Leased = DueCluster & { readonly leasedUntil: Date };

/** A cluster whose plan is small. */
interface Small {
  readonly due: Leased;
  readonly cluster: PlannedCluster;
  readonly profile: KnownProfile;
  readonly plan: ClusterPlan<ActionId>;
}

/** Plans those of the clusters that it can, and returns when to look at them again. The others it leaves as they are. */
export async function planSmall(deps: SmallPlansDeps, due: readonly Leased[]): Promise<Settled[]> {
  const small = await decide(deps, due);
  const done = await apply(
    deps,
    small.filter(({ cluster, plan }) => !idle(cluster, plan)),
  );
  return small
    .filter(({ cluster, plan }) => idle(cluster, plan) || done.has(cluster.id))
    .map(({ due: { clusterId, leasedUntil }, plan: { lookAgainAtMs: at } }) => ({ clusterId, leasedUntil, at: at === null ? null : new Date(at) }));
}

async function decide(deps: SmallPlansDeps, due: readonly Leased[]): Promise<Small[]> {
  const { db, runtime } = deps.store;
  const ids = due.map(({ clusterId }) => clusterId);
  const clusters = await readPlannedClusters(db, ids);
  const [counts, open] = await Promise.all([readCounts(db, ids), listOpenActionsOf(db, ids, fewActions + 1)]);
  const profiles = await deps.specs.get(
    db,
    [...clusters.values()].map(({ profileId }) => profileId),
  );
  return due.flatMap((each): Small[] => {
    const cluster = clusters.get(each.clusterId);
    const profile = cluster === undefined ? undefined : profiles.get(cluster.profileId);
    if (cluster === undefined || profile === undefined) return [];
    const facts = { counts: counts.get(cluster.id) ?? noCounts, open: open.get(cluster.id) ?? [] };
    if (!isPlain(cluster, profile, facts)) return [];
    const { perSecond, agreed } = deps.memory.see(cluster, facts.counts, runtime.clock.monotonicMs());
    const plan = planCluster<ActionId>(
      cluster,
      {
        counts: facts.counts,
        agreed,
        observedGeneration: cluster.observedGeneration,
        status: cluster.status,
        conditions: cluster.conditions,
        brake: cluster.brake,
        patients: { waiting: 0, certain: 0, doubtful: 0, nextAtMs: null },
        outdated: noneOutdated,
        openActions: facts.open.map((action) => ({
          ...action,
          ...progressOf(action, facts.counts),
          begun: action.status === "RUNNING",
          timeoutAtMs: action.timeoutAt?.getTime() ?? null,
        })),
        jobsLeft: { check: 0, recover: 0 },
        window: windowSize(perSecond),
        placeable: true,
        held: deps.held(),
        silence: deps.silenceOf(cluster.profileId),
      },
      cluster.readAt.getTime(),
    );
    return plan.create <= fewMembers && plan.remove === 0 ? [{ due: each, cluster, profile, plan }] : [];
  });
}

/** Nothing needs to be read of its members to plan it, and none of them to be chosen. */
function isPlain(
  cluster: PlannedCluster,
  profile: KnownProfile,
  { counts, open }: { readonly counts: Counts; readonly open: readonly OpenAction[] },
): boolean {
  return (
    !cluster.deleting &&
    cluster.profileChangedAt === null &&
    !profile.driver.hostBound &&
    counts.error === 0 &&
    open.length <= fewActions &&
    !open.some(isJob)
  );
}

/** Applies plans in one transaction, and says of which clusters: those whose wish has changed meanwhile are left out. */
async function apply(deps: SmallPlansDeps, plans: readonly Small[]): Promise<ReadonlySet<ClusterId>> {
  if (plans.length === 0) return new Set();
  const { store, lanes } = deps;
  const ids = new Map(plans.map(({ cluster, plan }) => [cluster.id, newIds(plan.create, store.runtime.entropy)]));
  const making = plans.filter(({ plan }) => plan.create > 0);
  const firstIndexes =
    making.length === 0 ? new Map() : await takeIndexesOf(store.db, new Map(making.map(({ cluster, plan }) => [cluster.id, plan.create])));
  const beginnings = beginningsOf(deps, making);
  const write = (): Promise<ReadonlySet<ClusterId>> =>
    transaction(store, async (tx) => {
      const there = await holdProfiles(tx.db, [...beginnings.keys()]);
      const epochs = new Map(plans.map(({ due }) => [due.lane, lanes.held.get(due.lane) ?? 0n]));
      for (const [profileId, beginning] of beginnings)
        for (const [lane, epoch] of beginning.choose(
          making.filter(({ cluster }) => cluster.profileId === profileId).flatMap(({ cluster }) => ids.get(cluster.id) ?? []),
        ))
          epochs.set(lane, epoch);
      await checkLanes(tx.db, epochs);
      const sizes = await readWantedSizes(
        tx.db,
        plans.map(({ cluster }) => cluster),
      );
      const good = plans.filter(({ cluster, plan }) => {
        const wanted = sizes.get(cluster.id);
        return wanted !== undefined && isServed(plan, wanted) && (plan.create === 0 || there.has(cluster.profileId));
      });
      // Their own changes need no further pass: they have planned them.
      const quiet: Tx = { ...tx, markDue: () => undefined };
      const now = await tx.now();
      const members = good.flatMap(({ cluster }) =>
        newMembers(cluster, firstIndexes.get(cluster.id) ?? 0, ids.get(cluster.id) ?? [], null, store.runtime.entropy),
      );
      await insertPlannedNodes(quiet, now, members, begin(beginnings, members, now));
      await stepActions(
        quiet,
        now,
        good.flatMap(({ plan }) => plan.actions),
      );
      for (const { cluster, plan } of good) tellChanges(tx, cluster, plan);
      await saveObserved(
        tx.db,
        now,
        good.map(({ cluster, plan }) => foundBy(cluster, plan)),
      );
      return new Set(good.map(({ cluster }) => cluster.id));
    });
  const done = (await writeWindow(lanes, [...beginnings.values()], write)) ?? new Set();
  const queued = making.filter(({ cluster }) => done.has(cluster.id) && beginnings.get(cluster.profileId)?.queues === true);
  for (const { cluster } of queued) deps.onPlanned(cluster.id);
  // The lanes of new tasks may be other workers'.
  if (queued.length > 0) store.wake.work();
  return done;
}

/** Places for the members of each profile. */
function beginningsOf({ places }: SmallPlansDeps, making: readonly Small[]): ReadonlyMap<ProfileId, Beginning> {
  const wanted = new Map<ProfileId, { readonly profile: KnownProfile; count: number }>();
  for (const { cluster, profile, plan } of making) {
    const known = wanted.get(cluster.profileId) ?? { profile, count: 0 };
    wanted.set(cluster.profileId, known);
    known.count += plan.create;
  }
  return new Map(
    [...wanted].map(([id, { profile, count }]) => [id, new Beginning(hasPlaces(profile) ? places.take(id, profile, "create", count) : null)]),
  );
}

function begin(beginnings: ReadonlyMap<ProfileId, Beginning>, members: readonly PlannedNode[], now: Date): Beginnings {
  const begun = [...beginnings].flatMap(([profileId, beginning]) => [
    ...beginning.begin(members.filter((member) => member.profileId === profileId).map(createTask), now, () => true),
  ]);
  return new Map(begun);
}
