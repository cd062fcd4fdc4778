/** How many calls a second: a token bucket whose rate may change, as this worker's share of the lanes does. */
export class CallRate {
  private readonly perSecond: number;
  private readonly burst: number;
  private level: number;
  private atMs: number;

  /** @param burst calls at once at most, after a rest */
  constructor(perSecond: number, burst: number, nowMs: number) {
    this.perSecond = perSecond;
    this.burst = burst;
    // Whoever has just started may be a worker that is started again and again.
    this.level = 1;
    this.atMs = nowMs;
  }

  /** Calls that may be made now. @param share of the whole rate and burst, 0 … 1 */
  allowed(nowMs: number, share: number): number {
    const most = Math.max(1, this.burst * share);
    this.level = Math.min(most, this.level + ((nowMs - this.atMs) / 1_000) * this.perSecond * share);
    this.atMs = nowMs;
    // A hair below one is one: the level is a sum of fractions.
    return Math.max(0, Math.floor(this.level + 1e-9));
  }

  take(calls: number): void {
    this.level -= calls;
  }

  /** How long until one more may be made, ms; null: one may be made now. Call it after `allowed`. */
  waitMs(share: number): number | null {
    if (this.level >= 1 - 1e-9) return null;
    return share <= 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.ceil(((1 - this.level) / (this.perSecond * share)) * 1_000));
  }
}
