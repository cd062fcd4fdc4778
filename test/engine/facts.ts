/** What the tables say of actions, members and lanes. */
import { type ActionCause, type ActionKind, type ActionStatus, actionCauseCodec, actionKindCodec, actionStatusCodec } from "../../src/core/action.ts";
import type { Condition } from "../../src/core/cluster.ts";
import type { ActionId, ClusterId, NodeId } from "../../src/core/ids.ts";
import { type NodeStatus, nodeStatusCodec } from "../../src/core/node.ts";
import { readPlannedCluster } from "../../src/store/cluster-plan.ts";
import type { Database } from "../../src/store/database.ts";

export interface ActionFacts {
  readonly kind: ActionKind;
  readonly cause: ActionCause;
  readonly status: ActionStatus;
  readonly reason: string | null;
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  readonly supersededBy: ActionId | null;
}

export async function actionFacts(db: Database, id: ActionId): Promise<ActionFacts> {
  const [facts] = (await readActions(db)).filter((action) => action.id === id);
  if (facts === undefined) throw new Error("there is no such action");
  return facts;
}

/** All actions of a test's database, oldest first. */
export async function readActions(db: Database): Promise<(ActionFacts & { readonly id: ActionId })[]> {
  const rows = await db
    .selectFrom("muster.action")
    .select(["id", "kind", "cause", "status", "status_reason", "total", "done", "failed", "superseded_by"])
    .orderBy("id")
    .execute();
  return rows.map((row) => ({
    id: row.id,
    kind: actionKindCodec.name(row.kind),
    cause: actionCauseCodec.name(row.cause),
    status: actionStatusCodec.name(row.status),
    reason: row.status_reason,
    total: row.total,
    done: row.done,
    failed: row.failed,
    supersededBy: row.superseded_by,
  }));
}

export async function members(
  db: Database,
  clusterId: ClusterId,
): Promise<{ readonly id: NodeId; readonly status: NodeStatus; readonly epoch: number }[]> {
  const rows = await db.selectFrom("muster.node").select(["id", "status", "epoch"]).where("cluster_id", "=", clusterId).orderBy("id").execute();
  return rows.map((row) => ({ id: row.id, status: nodeStatusCodec.name(row.status), epoch: row.epoch }));
}

export async function condition(db: Database, clusterId: ClusterId, type: Condition["type"]): Promise<Condition | undefined> {
  return (await readPlannedCluster(db, clusterId))?.conditions.find((each) => each.type === type);
}
