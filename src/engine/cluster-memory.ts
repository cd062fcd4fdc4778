/**
 * What a planner remembers of clusters from one pass to the next: how fast their members came and went, which sizes their windows, and what was wanted
 * of late. Only hints, so they are forgotten without regret.
 */
import type { ClusterId } from "../core/ids.ts";
import { type Agreement, agreementOf, seeWish, type Wishes } from "../core/plan/agreement.ts";
import type { PlannedCluster } from "../store/cluster-plan.ts";
import type { Counts } from "../store/count.ts";

interface Rate {
  readonly atMs: number;
  readonly finished: number;
  readonly perSecond: number;
}

/** Clusters of which something is remembered at most: many of them are at rest, gone, or another worker's by now. */
const mostRemembered = 10_000;

export class ClusterMemory {
  private readonly known = new Map<ClusterId, { readonly rate: Rate; readonly wishes: Wishes }>();

  /** Sees a cluster as it is now. Said before anything comes of its plan: a wish was seen also where nothing does. */
  see(cluster: PlannedCluster, counts: Counts, atMs: number): { readonly perSecond: number; readonly agreed: Agreement } {
    const former = this.known.get(cluster.id);
    const rate = nextRate(former?.rate, counts, atMs);
    const wishes = seeWish(former?.wishes ?? null, cluster, atMs);
    if (this.known.size >= mostRemembered) this.known.clear();
    this.known.set(cluster.id, { rate, wishes });
    return { perSecond: rate.perSecond, agreed: agreementOf(wishes, cluster.desiredCapacity, atMs) };
  }

  forget(id: ClusterId): void {
    this.known.delete(id);
  }
}

function nextRate(former: Rate | undefined, counts: Counts, atMs: number): Rate {
  const finished = counts.created_total + counts.deleted_total + counts.updated_total;
  if (former === undefined) return { atMs, finished, perSecond: 0 };
  const seconds = (atMs - former.atMs) / 1_000;
  if (seconds < 0.05) return former;
  const rate = Math.max(0, finished - former.finished) / seconds;
  return { atMs, finished, perSecond: Math.max(rate, former.perSecond * 0.8) };
}
