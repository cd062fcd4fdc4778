/** Token buckets by key: so many at once, so many a second again. Memory is bounded: the longest untouched go first. */
import type { Clock } from "../core/runtime.ts";

interface Level {
  level: number;
  atMs: number;
}

/** A forgotten bucket is a full one; so many keys at once are an attack or a very large installation. */
const keysKept = 20_000;

export class Buckets {
  private readonly levels = new Map<string, Level>();
  private readonly clock: Pick<Clock, "monotonicMs">;
  private readonly burst: number;
  private readonly perMs: number;

  /** @param burst taken at once at most, whole ones */
  constructor(clock: Pick<Clock, "monotonicMs">, burst: number, perSecond: number) {
    this.clock = clock;
    this.burst = burst;
    this.perMs = perSecond / 1_000;
  }

  /** Takes one. 0: taken; else nothing was taken, and the milliseconds until there is one. */
  take(key: string): number {
    const bucket = this.refill(key);
    const wait = this.waitOf(bucket);
    if (wait === 0) bucket.level -= 1;
    return wait;
  }

  /** What `take` would answer. */
  peek(key: string): number {
    return this.waitOf(this.refill(key));
  }

  private waitOf(bucket: Level): number {
    // A hair below one is one: the level is a sum of fractions.
    return bucket.level >= 1 - 1e-9 ? 0 : Math.max(1, Math.ceil((1 - bucket.level) / this.perMs - 1e-6));
  }

  private refill(key: string): Level {
    const now = this.clock.monotonicMs();
    const known = this.levels.get(key);
    const bucket = known ?? { level: this.burst, atMs: now };
    bucket.level = Math.min(this.burst, bucket.level + (now - bucket.atMs) * this.perMs);
    bucket.atMs = now;
    // Re-inserted, so that the map's order is that of the last touch.
    this.levels.delete(key);
    this.levels.set(key, bucket);
    if (this.levels.size > keysKept) {
      const [oldest] = this.levels.keys();
      if (oldest !== undefined) this.levels.delete(oldest);
    }
    return bucket;
  }
}
