/** Workers as people see them. */
import { sql } from "kysely";
import type { WorkerId } from "../core/ids.ts";
import type { Database } from "./database.ts";

export interface WorkerRow {
  readonly id: WorkerId;
  /** The machine's name. */
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly startedAt: Date;
  readonly lastHeartbeatAt: Date;
  /** Steps it has begun and not finished. */
  readonly tasksHeld: number;
  readonly draining: boolean;
}

interface Stored {
  readonly id: WorkerId;
  readonly host: string | null;
  readonly pid: number;
  readonly version: string;
  readonly started_at: Date;
  readonly heartbeat_at: Date;
  readonly tasks_held: number;
  readonly draining: boolean;
}

/** Every worker that is registered, the oldest first. A task is held by whoever owns its lane under the epoch that began it. */
export async function listWorkers(db: Database): Promise<WorkerRow[]> {
  const { rows } = await sql<Stored>`
    /* worker.list */
    select w.id, h.name as host, w.pid, w.version, w.started_at, w.heartbeat_at, w.draining, held.tasks as tasks_held
      from muster.worker w
      left join muster.host h on h.id = w.host_id
     cross join lateral (
       select count(*)::int as tasks from muster.lane l join muster.task t on t.lane = l.id and t.begun_by = l.epoch where l.owner = w.id) held
     order by w.id`.execute(db);
  return rows.map((row) => ({
    id: row.id,
    host: row.host ?? "?",
    pid: row.pid,
    version: row.version,
    startedAt: row.started_at,
    lastHeartbeatAt: row.heartbeat_at,
    tasksHeld: row.tasks_held,
    draining: row.draining,
  }));
}
