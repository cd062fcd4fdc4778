/** A transaction that is held open just where a test wants it, and others that are seen waiting for it. */
import { sql } from "kysely";
import type { World } from "./world.ts";

export interface Gate {
  /** Resolves when somebody stands before it. */
  readonly reached: Promise<void>;
  readonly open: () => void;
  /** Says that it was reached, and waits until it is opened. */
  pass(): Promise<void>;
}

export function createGate(): Gate {
  let arrive = (): void => undefined;
  let open = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return {
    reached,
    open: () => open(),
    pass: async () => {
      arrive();
      await opened;
    },
  };
}

/** Waits until PostgreSQL says that a statement of this name, as its comment tells it, waits for somebody's lock. */
export function untilLocked(world: Pick<World, "store" | "until">, statement: string): Promise<unknown> {
  return world.until(`${statement} waits for a lock`, async () => {
    const { rows } = await sql`
      select 1 from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and query like ${`%/* ${statement} */%`}`.execute(world.store.db);
    return rows.length > 0;
  });
}
