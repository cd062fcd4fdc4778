/** What is to go wrong, and when: a value, the same for the same seed. */
import { type Dice, dice } from "./dice.ts";

/** How often each kind of fault is in the deck from which they are drawn. */
const deck = {
  /** SIGKILL; started again after a while. */
  "worker.kill": 2,
  /** SIGSTOP, later SIGCONT. */
  "worker.freeze": 1,
  /** SIGTERM, and started again. */
  "worker.restart": 1,
  /** All its connections to the database are ended. */
  "worker.cut": 1,
  /** Nothing passes between it and the database for a while, and nobody is told. */
  "worker.isolate": 1,
  "api.kill": 1,
  "api.freeze": 1,
  "api.restart": 1,
  "api.cut": 1,
  /** SIGKILL of the postmaster; started again after a while. */
  "postgres.kill": 1,
  /** The provider carries out some calls and does not answer them. */
  "provider.mute": 1,
  /** Every call reaches the provider late, for a while. */
  "provider.delay": 1,
  /** Members die by themselves. */
  "member.death": 1,
} as const;
export type FaultKind = keyof typeof deck;
export const faultKinds = Object.keys(deck) as readonly FaultKind[];

export interface Fault {
  readonly atMs: number;
  readonly kind: FaultKind;
  /** Which worker or API process. */
  readonly target: number;
  /** How long it stays away, frozen, cut off or slow. */
  readonly forMs: number;
  readonly how: "fin" | "rst" | "silence";
  readonly count: number;
}

export interface FaultPlanOptions {
  readonly durationMs: number;
  /** Between two faults, on average. */
  readonly everyMs: number;
  readonly workers: number;
  readonly apis: number;
}

export function planFaults(seed: number, options: FaultPlanOptions): readonly Fault[] {
  const roll = dice(seed);
  const faults: Fault[] = [];
  let cards: FaultKind[] = [];
  let atMs = options.everyMs;
  while (atMs < options.durationMs) {
    if (cards.length === 0) cards = shuffled(roll);
    const kind = cards.pop() ?? "worker.kill";
    faults.push({
      atMs: Math.round(atMs),
      kind,
      target: roll.between(0, (kind.startsWith("api") ? options.apis : options.workers) - 1),
      // Some freeze and come back unnoticed, some are judged before.
      forMs: kind === "worker.freeze" || kind === "worker.isolate" ? roll.pick([800, 2_500, 7_000, 9_000]) : roll.between(0, 2_000),
      how: roll.pick(["fin", "rst", "silence"]),
      count: roll.between(1, 3),
    });
    // Now and then two at once.
    atMs += roll.fraction() < 0.2 ? 0 : options.everyMs * (0.5 + roll.fraction());
  }
  return faults;
}

function shuffled(roll: Dice): FaultKind[] {
  const cards = faultKinds.flatMap((kind) => Array.from({ length: deck[kind] }, () => kind));
  for (let i = cards.length - 1; i > 0; i--) {
    const j = roll.between(0, i);
    const [a, b] = [cards[i], cards[j]];
    if (a !== undefined && b !== undefined) [cards[i], cards[j]] = [b, a];
  }
  return cards;
}
