/** Counting a request against the project's quotas, under the project's lock; and what one cluster may pile up, under its own. */
import { mostOpenActions } from "../core/action.ts";
import { notFound, type Refusal, type Result, refused } from "../core/errors.ts";
import type { ProjectId } from "../core/ids.ts";
import { fitsQuota, fitsSideBySide, type QuotaName, quotaNames, quotaOf } from "../core/quota.ts";
import { listOpenActions } from "../store/action-write.ts";
import type { ClusterRow } from "../store/cluster.ts";
import { lockProject, type ProjectRow, quotaUseOf } from "../store/project.ts";
import type { Tx } from "../store/transaction.ts";
import { type CommandContext, NeedsExclusiveProject, type Work } from "./command.ts";

/** Locks the caller's project (or another) for what is counted against its quotas. Before any cluster is locked. */
export async function lockForQuota(
  work: Work,
  context: CommandContext,
  projectId: ProjectId = context.principal.projectId,
): Promise<Result<ProjectRow>> {
  const project = await lockProject(work.tx.db, projectId, work.projectLock);
  // Deleted since the caller was let in.
  return project === null ? notFound([], "project") : { ok: true, value: project };
}

/** Refuses what does not fit. Zero and less always fits. @throws NeedsExclusiveProject near a limit */
export async function checkQuota(
  work: Work,
  project: ProjectRow,
  requested: Partial<Record<QuotaName, number>>,
  path?: readonly string[],
): Promise<{ readonly ok: false; readonly refusal: Refusal } | null> {
  const quota = quotaOf(project.quota);
  const asked = quotaNames.filter((name) => (requested[name] ?? 0) > 0 && quota[name] !== null);
  if (asked.length === 0) return null;
  // What is counted one by one is counted only where it matters, and no further than the limit.
  const most = (name: QuotaName): number => (asked.includes(name) ? (quota[name] ?? 0) + 1 : 0);
  const use = (await quotaUseOf(work.tx.db, [project.id], { profiles: most("profiles"), tokens: most("tokens") })).get(project.id);
  for (const name of asked) {
    const [limit, used, more] = [quota[name], use?.[name] ?? 0, requested[name] ?? 0];
    if (limit === null || fitsSideBySide(limit, used, more)) continue;
    if (work.projectLock === "shared") throw new NeedsExclusiveProject();
    if (!fitsQuota(limit, used, more)) {
      return refused({ kind: "QuotaExceeded", quota: name, limit, used, requested: more, ...(path === undefined ? {} : { path }) });
    }
  }
  return null;
}

/** Refuses one more action on a locked cluster that replaces none, where too many are unfinished: what replaces them ends them all at once. */
export async function refusePile(tx: Tx, cluster: Pick<ClusterRow, "id">): Promise<{ readonly ok: false; readonly refusal: Refusal } | null> {
  const { length: used } = await listOpenActions(tx.db, cluster.id, mostOpenActions);
  if (used < mostOpenActions) return null;
  return refused({ kind: "QuotaExceeded", quota: "clusterActions", limit: mostOpenActions, used, requested: 1 });
}
