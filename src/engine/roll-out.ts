/**
 * One window of a roll-out: members of another profile begin to be brought over to the cluster's. How many was decided by the plan. Who is not made
 * yet changes on paper; who works is changed where it stands if its driver can, else closed and made anew under its own name and the next epoch.
 */
import type { NodeId, ProfileId } from "../core/ids.ts";
import type { NodeStatus } from "../core/node.ts";
import { changesInPlace, type RollOut } from "../core/plan/roll-out.ts";
import { dueOf } from "../core/precedence.ts";
import type { PlannedCluster } from "../store/cluster-plan.ts";
import type { Database } from "../store/database.ts";
import { lockNodes, type NodeState, saveNodes } from "../store/node-write.ts";
import { selectOutdated } from "../store/outdated.ts";
import { setTasks } from "../store/task.ts";
import type { Tx } from "../store/transaction.ts";
import type { KnownProfile, SpecCache } from "./specs.ts";

/** Members a window brings over: far below 10,000 rows with their tasks, counts and events. */
const windowRows = 2_500;

/** Whom a window brings over, without changing anything. */
export async function findOutdated(db: Database, cluster: PlannedCluster, wanted: RollOut): Promise<readonly NodeId[]> {
  const idle = Math.min(wanted.idle, windowRows);
  const working = Math.min(wanted.working, windowRows - idle);
  return idle + working === 0 ? [] : selectOutdated(db, cluster, { idle, working });
}

/**
 * Begins to bring members over. Whoever asks holds the cluster's profile. Returns how many were changed on paper only: nobody will tell of these.
 */
export async function rollOut(specs: SpecCache, tx: Tx, now: Date, cluster: PlannedCluster, ids: readonly NodeId[]): Promise<number> {
  if (ids.length === 0) return 0;
  const nodes = (await lockNodes(tx.db, ids)).filter((node) => node.profileId !== cluster.profileId && node.wantedProfileId !== null);
  const planned = nodes.filter((node) => node.status === "PLANNED");
  await saveNodes(
    tx,
    now,
    planned.map((node) => ({ node, patch: { profileId: cluster.profileId } })),
  );
  tx.count(cluster.id, "updated_total", planned.length);
  const ready = new Set<NodeStatus>(["ACTIVE", "WARNING", "ERROR"]);
  const made = nodes.filter((node) => ready.has(node.status) && node.actionId === null);
  const profiles = await specs.get(tx.db, [cluster.profileId, ...made.map((node) => node.profileId)]);
  const inPlace = made.filter((node) => node.status !== "ERROR" && canStay(profiles, node.profileId, cluster.profileId));
  await begin(tx, now, cluster, inPlace, true);
  await begin(
    tx,
    now,
    cluster,
    made.filter((node) => !inPlace.includes(node)),
    false,
  );
  return planned.length;
}

/** A worker that does not know the profile type leaves it to replacing, which takes no knowledge. */
function canStay(profiles: ReadonlyMap<ProfileId, KnownProfile>, from: ProfileId, to: ProfileId): boolean {
  const [before, after] = [profiles.get(from), profiles.get(to)];
  if (before === undefined || after?.driver.update === undefined) return false;
  return changesInPlace(before.sealed, after.sealed, after.driver.updatesInPlace);
}

/**
 * Where it stands a member has the new profile from now on: all that its driver may need to reach it is the same in both. One that is replaced
 * keeps the former one until its life is closed: only that says how.
 */
async function begin(tx: Tx, now: Date, cluster: PlannedCluster, nodes: readonly NodeState[], inPlace: boolean): Promise<void> {
  const changed = inPlace ? { profileId: cluster.profileId } : { replacing: true };
  await saveNodes(
    tx,
    now,
    nodes.map((node) => ({ node, patch: { status: "UPDATING" as const, statusReason: null, ...changed } })),
  );
  const params = inPlace ? { stage: "inPlace", change: cluster.generation } : { stage: "close" };
  await setTasks(
    tx.db,
    nodes.map((node) => ({ node, kind: "UPDATE", dueAt: dueOf(now, "making", nodes.length), params })),
  );
}
