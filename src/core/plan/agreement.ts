/**
 * Wishes about a cluster's size that follow each other fast. What each of them would begin, the next one would take back: so only what
 * all wishes of the last two seconds agree on is done at once, and the rest when nobody has changed his mind for a moment. What is remembered is a hint: whoever
 * remembers nothing follows the present wish at once, which is right as well, only dearer.
 */

/** Sizes that were wanted one after the other, as far as somebody looked. */
interface Span {
  readonly fromMs: number;
  /** The newest one that was seen in it. */
  readonly generation: number;
  readonly least: number;
  readonly most: number;
}

/** What was wanted lately: never empty, the oldest first. */
export interface Wishes {
  readonly spans: readonly Span[];
  /** When the present wish was first seen. */
  readonly changedAtMs: number;
  /** It came soon after another one that was carried out: in a storm, sizes meet by chance, so nothing of it is free. */
  readonly soon: boolean;
}

/** What may be done now. */
export interface Agreement {
  /** Up to how many members may be made. */
  readonly least: number;
  /** Down to how many members may be taken away. */
  readonly most: number;
  /** Wishes follow each other faster than they can be carried out. */
  readonly storm: boolean;
  /** When more may be done though nothing changes, ms from now; null: all that is wanted may be done. */
  readonly againInMs: number | null;
}

export const agreementRules = {
  /** How far back wishes count, ms. */
  memoryMs: 2_000,
  /** As many changes within the last second are a storm. */
  storm: 3,
  stormMs: 1_000,
  /** A storm is over when nothing has changed for so long, ms. */
  calmMs: 300,
  /** Or for twice the longest pause in it, where wishes come in gusts, since a busy database commits many at once; but no longer than this: the last wish is to be carried out within two seconds, ms. */
  longestCalmMs: 800,
  /** One change by itself waits for no more than this, to see whether others follow, ms: a big one takes many times as long anyway. */
  freshMs: 50,
  /** And that much of it does not wait at all, members. */
  small: 50,
  /** Wishes seen within that time are kept as one, ms: there are no more than some forty spans. */
  spanMs: 50,
} as const;

const { memoryMs, storm, stormMs, calmMs, longestCalmMs, freshMs, small, spanMs } = agreementRules;

/** What is wanted now, and the newest generation that was carried out whole. */
export interface Wish {
  readonly generation: number;
  readonly desiredCapacity: number;
  readonly observedGeneration: number;
}

/** The same with what is wanted now. */
export function seeWish(former: Wishes | null, wish: Wish, nowMs: number): Wishes {
  const { generation, desiredCapacity } = wish;
  const span: Span = { fromMs: nowMs, generation, least: desiredCapacity, most: desiredCapacity };
  // Nobody knows of a wish before it: none is taken back by this one.
  if (former === null) return { spans: [span], changedAtMs: nowMs - longestCalmMs, soon: false };
  const last = former.spans.at(-1) ?? span;
  if (last.generation === generation) return { ...former, spans: lately(former.spans, nowMs - memoryMs) };
  // Whoever waited for his last wish to be carried out changes his mind about nothing that is under way.
  if (wish.observedGeneration >= last.generation && nowMs - former.changedAtMs >= freshMs)
    return { spans: [last, span], changedAtMs: nowMs, soon: nowMs - former.changedAtMs < calmMs };
  const joined = nowMs - last.fromMs < spanMs && former.spans.length > 1;
  const spans = joined
    ? [...former.spans.slice(0, -1), { ...last, generation, least: Math.min(last.least, span.least), most: Math.max(last.most, span.most) }]
    : [...former.spans, span];
  return { spans: lately(spans, nowMs - memoryMs), changedAtMs: nowMs, soon: former.soon && nowMs - former.changedAtMs < calmMs };
}

/** Those that lasted until after that time: each one ended when the next began. */
function lately(spans: readonly Span[], sinceMs: number): readonly Span[] {
  return spans.filter((_, i) => {
    const next = spans[i + 1];
    return next === undefined || next.fromMs > sinceMs;
  });
}

/** How long nothing must change in a storm until it is over. The first wish was there before it. */
function calmAfter([, ...storm]: readonly Span[]): number {
  const pauses = storm.map((span, i) => (storm[i + 1]?.fromMs ?? span.fromMs) - span.fromMs);
  return Math.min(longestCalmMs, Math.max(calmMs, 2 * Math.max(0, ...pauses)));
}

/** @param desiredCapacity the present wish, which was seen last */
export function agreementOf({ spans, changedAtMs, soon }: Wishes, desiredCapacity: number, nowMs: number): Agreement {
  const changes = (spans.at(-1)?.generation ?? 0) - (lately(spans, nowMs - stormMs)[0]?.generation ?? 0);
  const fast = changes >= storm;
  const calmInMs = changedAtMs + (fast ? calmAfter(spans) : freshMs) - nowMs;
  if (calmInMs <= 0) return { least: desiredCapacity, most: desiredCapacity, storm: false, againInMs: null };
  const atOnce = fast || soon ? 0 : small;
  const least = Math.min(desiredCapacity, Math.min(...spans.map((span) => span.least)) + atOnce);
  const most = Math.max(desiredCapacity, Math.max(...spans.map((span) => span.most)) - atOnce);
  const done = least === desiredCapacity && most === desiredCapacity;
  return { least, most, storm: fast, againInMs: done ? null : calmInMs };
}
