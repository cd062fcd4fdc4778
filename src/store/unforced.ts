/** Statements whose loss costs nothing: their COMMIT need not wait for the disk. */
import { sql } from "kysely";

/**
 * Always true, as a condition of a statement outside of any transaction: should the server crash within the next moments, that it ran may be forgotten.
 * Nothing that is committed later survives without it, since the log is written in its order. Only for what everybody can do without: a wake-up, which
 * PostgreSQL sends after the disk has answered, and what a planner lends itself until it has written what it did.
 */
export const unforced = sql<boolean>`(select set_config('synchronous_commit', 'off', true)) = 'off'`;
