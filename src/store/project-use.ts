/**
 * What of its quotas a project's clusters and nodes use: kept, since counting them would take the longer the more there are. Increments in one of a
 * few rows, any of them, so that changes of one project rarely wait for each other; written last, like the counts of clusters.
 */
import { sql } from "kysely";
import type { ProjectId } from "../core/ids.ts";
import type { Database } from "./database.ts";

/** `wanted`: the capacities of clusters that are not being deleted. `lone`: nodes without a cluster. */
export const useFields = ["clusters", "wanted", "lone"] as const;
export type UseField = (typeof useFields)[number];

export type UseDeltas = Map<ProjectId, Record<UseField, number>>;

/** Rows of a project: as many changes as an API process has connections meet in one of them now and then. */
const slots = 16;

export function addUse(deltas: UseDeltas, projectId: ProjectId, field: UseField, delta: number): void {
  const row = deltas.get(projectId) ?? { clusters: 0, wanted: 0, lone: 0 };
  row[field] += delta;
  deltas.set(projectId, row);
}

/** Adds the deltas, in id order. @param fraction uniform in [0, 1): which rows */
export async function writeUse(db: Database, deltas: UseDeltas, fraction: () => number): Promise<void> {
  const rows = [...deltas].filter(([, row]) => useFields.some((field) => row[field] !== 0)).sort(([a], [b]) => (a < b ? -1 : 1));
  if (rows.length === 0) return;
  const column = (field: UseField): number[] => rows.map(([, row]) => row[field]);
  await sql`
    /* project.count */
    insert into muster.project_use as u (project_id, slot, clusters, wanted, lone)
    select d.project_id, ${Math.floor(fraction() * slots)}, d.clusters, d.wanted, d.lone
      from unnest(${rows.map(([id]) => id)}::uuid[], ${column("clusters")}::bigint[], ${column("wanted")}::bigint[], ${column("lone")}::bigint[])
        as d(project_id, clusters, wanted, lone)
    on conflict (project_id, slot) do update
       set clusters = u.clusters + excluded.clusters, wanted = u.wanted + excluded.wanted, lone = u.lone + excluded.lone`.execute(db);
}
