/** How many connections to PostgreSQL each part takes: told in the README, reckoned with by `start` and `doctor`. */

/** Pools: requests of an API process wait for each other beyond that; a worker's loops have one each at a time. */
export const poolSizes = { api: 16, worker: 8 } as const;
/** Sessions beside the pool: for locks and LISTEN. */
const sessions = 2;

/** What an API process and so many workers take at most. */
export function connectionsOf(workers: number): number {
  return poolSizes.api + sessions + workers * (poolSizes.worker + sessions);
}

/** What the embedded server allows: twice that, since the parts of a crash may linger beside their successors, and room for guests. */
export function connectionsAllowed(workers: number): number {
  return Math.max(100, 2 * connectionsOf(workers) + 20);
}
