/** Events of one object, straight from the table, in the order of their batches. */
import { sql } from "kysely";
import type { CommandContext } from "../../src/commands/command.ts";
import { type EventTypeName, eventTypeName } from "../../src/core/event.ts";
import type { ActionId, ClusterId, NodeId, ProjectId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";

export interface TestEvent {
  readonly type: EventTypeName;
  readonly project_id: ProjectId;
  readonly cluster_name: string | null;
  readonly node_name: string | null;
  readonly action_id: ActionId | null;
  readonly data: JsonObject;
}

export async function readEventsOf(
  { store }: CommandContext,
  of: { readonly clusterId: ClusterId } | { readonly nodeId: NodeId } | { readonly projectId: ProjectId },
): Promise<TestEvent[]> {
  const [column, id] = "clusterId" in of ? ["cluster_id", of.clusterId] : "nodeId" in of ? ["node_id", of.nodeId] : ["project_id", of.projectId];
  const { rows } = await sql<Omit<TestEvent, "type"> & { type: number }>`
    select type, project_id, cluster_name, node_name, action_id, data from muster.event where ${sql.ref(column)} = ${id} order by batch, ordinal`.execute(
    store.db,
  );
  return rows.map((row) => ({ ...row, type: eventTypeName(row.type) }));
}
