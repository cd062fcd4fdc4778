/** A cluster's profile: what a wish for another one comes to. Bringing the members over is the planner's. */
import { invalidInput, type Refusal } from "../core/errors.ts";
import { type ActionId, encodeId, type ProfileId } from "../core/ids.ts";
import { standingIn } from "../core/plan/aggregates.ts";
import type { NewAction } from "../store/action-write.ts";
import type { ClusterRow } from "../store/cluster.ts";
import type { Counts } from "../store/count.ts";
import { countOutdated } from "../store/outdated.ts";
import { getProfilesByIds, type SealedProfile } from "../store/profile.ts";
import type { Tx } from "../store/transaction.ts";
import type { CommandContext, Work } from "./command.ts";
import { refuseMaking } from "./profile-type.ts";

type ProfileGoal = Pick<NewAction, "total" | "counter" | "goal" | "failedBase" | "timeoutAt">;

/** Of a change that concerns no member. */
export const noGoal: ProfileGoal = { total: 0, counter: null, timeoutAt: null };

/** The goal of a roll-out, fixed when it is accepted: every member that is of another profile than the one now wanted. */
export async function profileGoal(tx: Tx, now: Date, cluster: ClusterRow, counts: Counts): Promise<ProfileGoal> {
  const total = await countOutdated(tx.db, cluster, standingIn(counts));
  if (total === 0) return noGoal;
  return {
    total,
    counter: "UPDATED",
    goal: BigInt(counts.updated_total + total),
    failedBase: BigInt(counts.update_failed_total),
    timeoutAt: new Date(now.getTime() + cluster.timeoutSeconds * 1_000),
  };
}

/** Members go from one profile to another under the same driver only: what another one made it could neither change nor remove. */
export async function refuseOtherType(
  { tx }: Work,
  context: CommandContext,
  cluster: ClusterRow,
  profile: SealedProfile,
): Promise<{ readonly ok: false; readonly refusal: Refusal } | null> {
  const [present] = await getProfilesByIds(tx.db, cluster.projectId, [cluster.profileId]);
  if (present !== undefined && present.type !== profile.type) {
    return invalidInput([{ path: ["profile"], message: `must be of the cluster's type ${present.type}, and is of type ${profile.type}` }]);
  }
  return refuseMaking(context, profile.type);
}

export function tellProfile(tx: Tx, cluster: ClusterRow, to: ProfileId, generation: number, actionId: ActionId): void {
  tx.events.push({
    type: "cluster.profile.changed",
    projectId: cluster.projectId,
    clusterId: cluster.id,
    clusterName: cluster.name,
    actionId,
    data: { from: encodeId("profile", cluster.profileId), to: encodeId("profile", to), generation },
  });
}
