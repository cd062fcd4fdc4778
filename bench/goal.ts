/** What is to be reached on two cores, with PostgreSQL beside on the same machine: each figure says whether it is. */

export interface Goal {
  /** What it must be. */
  readonly must?: number;
  /** What it is meant to be. */
  readonly aim: number;
  /** Whether more is better; else less is. */
  readonly rate?: true;
}

/** Units as the tables have them. */
export const goals = {
  millionSeconds: { must: 300, aim: 60 },
  hundredMoreMs: { must: 2_000, aim: 250 },
  rowsPerChange: { aim: 5 },
  mutationMs: { must: 100, aim: 20 },
  readMs: { must: 100, aim: 10 },
  pageMs: { must: 500, aim: 50 },
  memoryMiB: { must: 1_024, aim: 512 },
  memberBytes: { aim: 1_024 },
  idlePercent: { must: 3, aim: 1 },
  noOpPerSecond: { must: 40_000, aim: 80_000, rate: true },
  singlePerSecond: { must: 1_000, aim: 3_000, rate: true },
  frameMs: { must: 200, aim: 50 },
  wishToCallMs: { aim: 2 },
  killedMs: { must: 5_000, aim: 2_000 },
  frozenMs: { must: 10_000, aim: 5_000 },
  /** A worker that is told to stop: no pause above. */
  handedOverMs: { must: 1_000, aim: 1_000 },
  postgresBackMs: { must: 30_000, aim: 5_000 },
} as const satisfies Readonly<Record<string, Goal>>;

/** What is to be said behind a figure: nothing where it reaches what is meant, else by how much not. */
export function against(value: number, { must, aim, rate }: Goal): string {
  const short = (goal: number): number => (rate === true ? goal / value : value / goal);
  const told = aim.toLocaleString("en-US");
  if (must !== undefined && short(must) > 1) return ` — MISSED, must be ${must.toLocaleString("en-US")}: × ${short(must).toFixed(2)}`;
  return short(aim) > 1 ? ` — MISSED, meant to be ${told}: × ${short(aim).toFixed(2)}` : "";
}

/** How we stand beside the better of others: who leads, and by how much. */
export function beside(value: number, others: readonly number[], { rate }: Pick<Goal, "rate">): string {
  const lead = rate === true ? value / Math.max(...others) : Math.min(...others) / value;
  return lead >= 1 ? `ahead × ${lead.toFixed(2)}` : `behind × ${(1 / lead).toFixed(2)}`;
}
