/** What people say of a node (name, role, metadata, marks), and what they must know of it before they ask for more. */
import { sql } from "kysely";
import type { NodeId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { type TaskKind, taskKindCodec } from "../core/node.ts";
import type { Database } from "./database.ts";

export interface NodeMarks {
  readonly name: string;
  readonly role: string | null;
  readonly metadata: JsonObject;
  readonly protected: boolean;
  readonly tainted: boolean;
}

/** Saves a locked node's marks. */
export async function saveMarks(db: Database, now: Date, id: NodeId, marks: NodeMarks): Promise<void> {
  await sql`
    /* node.mark */
    update muster.node
       set name = ${marks.name}, role = ${marks.role}, metadata = ${JSON.stringify(marks.metadata)}::jsonb, protected = ${marks.protected},
           tainted = ${marks.tainted}, updated_at = ${now}::timestamptz
     where id = ${id}`.execute(db);
}

export interface NodeTask {
  readonly kind: TaskKind;
  readonly begun: boolean;
  /** How often it was tried. */
  readonly attempt: number;
  readonly params: JsonObject | null;
}

/** The task of a locked node, if it has one. */
export async function readTask(db: Database, id: NodeId): Promise<NodeTask | null> {
  const { rows } = await sql<{ kind: number; begun: boolean; attempt: number; params: JsonObject | null }>`
    /* task.read */
    select kind, begun_by <> 0 as begun, attempt, params from muster.task where node_id = ${id}`.execute(db);
  const [row] = rows;
  return row === undefined ? null : { kind: taskKindCodec.name(row.kind), begun: row.begun, attempt: row.attempt, params: row.params };
}
