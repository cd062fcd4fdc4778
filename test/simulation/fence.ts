/** Looked at before each COMMIT of a worker. */
import type { Line } from "./line.ts";
import type { Stage } from "./stage.ts";

/** Statements by which a worker writes what came of its work. */
export const outcomes: ReadonlySet<string> = new Set(["node.save", "node.plan", "node.delete", "task.begin", "task.set", "plan.save"]);

/** Invariant 2: outcomes are written only while the lanes are ours, and so are beginnings. */
export async function checkFences(stage: Stage, line: Line): Promise<void> {
  const { process } = line;
  const unchecked = line.lanesBegun.filter((lane) => !line.lanesChecked.includes(lane));
  if (unchecked.length > 0) stage.violate(`${process.name} begins steps in lanes ${unchecked.join(", ")}, which it has not checked`);
  if (process.kind !== "worker" || line.wroteOutcome === null) return;
  if (line.lanesChecked.length === 0) {
    stage.violate(`${process.name} writes ${line.wroteOutcome} and has checked no lane`);
    return;
  }
  const rows = await stage.server.read<{ id: number; owner: string | null }>(
    "select id, owner from muster.lane where id = any($1::int[]) order by id",
    [line.lanesChecked],
  );
  const foreign = rows.filter(({ owner }) => owner === null || !process.workerIds.includes(owner));
  if (foreign.length > 0)
    stage.violate(`${process.name} writes ${line.wroteOutcome} in lanes ${foreign.map(({ id }) => id).join(", ")}, which are not its own`);
}
