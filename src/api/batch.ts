/** Gathers a stream of events into frames: as many as fit, not longer than asked, and an empty frame now and then. */
import type { LedgerCursor } from "../core/cursor.ts";
import type { Timers } from "../core/runtime.ts";
import type { EventStream } from "../live/subscription.ts";
import type { LedgerEvent } from "../store/ledger-event.ts";

export interface EventBatch {
  readonly events: readonly LedgerEvent[];
  readonly cursor: LedgerCursor;
}

export interface BatchOptions {
  readonly maxSize: number;
  /** From the first event of a frame to its sending, at most. */
  readonly maxWaitMs: number;
  readonly timers: Timers;
  readonly signal: AbortSignal;
}

/** A quiet stream says after so long where it is: the cursor of a rare filter must not grow old. */
export const quietMs = 30_000;

/**
 * In one of two modes. Nothing gathered: wait for an event, or until it is time for an empty frame. Something gathered: wait for more
 * until the frame is full or due, then send. The source is asked for more only when what it gave has been taken: it holds the buffer,
 * and ends the stream when that overruns.
 */
export async function* batchEvents(source: EventStream, options: BatchOptions): AsyncGenerator<EventBatch, void, undefined> {
  const { maxSize, maxWaitMs, timers, signal } = options;
  const puller = new Puller(source);
  let timer = startTimer(timers, quietMs, signal);
  try {
    for (;;) {
      const first = await puller.pull(timer.over);
      timer.stop();
      if (first === "ended" || signal.aborted) return;
      timer = startTimer(timers, first === "over" ? quietMs : maxWaitMs, signal);
      if (first === "over") {
        yield { events: [], cursor: source.position() };
        continue;
      }
      const gathered = [...first];
      const failure = await fill(puller, gathered, maxSize, timer.over);
      timer.stop();
      while (gathered.length > 0) yield frame(gathered.splice(0, maxSize));
      // Only now: the place that an error names lies behind what was gathered.
      if (failure !== null) throw failure.error;
      timer = startTimer(timers, quietMs, signal);
    }
  } finally {
    timer.stop();
    await puller.stop();
  }
}

/** Gathers until there is a frame full, or time is over. An error of the source is handed back, for what came before it comes first. */
async function fill(puller: Puller, gathered: LedgerEvent[], enough: number, over: Promise<"over">): Promise<{ readonly error: unknown } | null> {
  try {
    while (gathered.length < enough) {
      const next = await puller.pull(over);
      if (next === "over" || next === "ended") return null;
      gathered.push(...next);
    }
    return null;
  } catch (error) {
    return { error };
  }
}

type Pulled = readonly LedgerEvent[] | "over" | "ended";

/** Asks the source for its next events, and keeps an answer that came too late for the next time. */
class Puller {
  readonly #iterator: AsyncIterator<readonly LedgerEvent[]>;
  #asked: Promise<IteratorResult<readonly LedgerEvent[]>> | null = null;

  constructor(source: EventStream) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  async pull(over: Promise<"over">): Promise<Pulled> {
    this.#asked ??= this.#iterator.next();
    const answer = await Promise.race([this.#asked, over]);
    if (answer === "over") return "over";
    this.#asked = null;
    return answer.done === true ? "ended" : answer.value;
  }

  async stop(): Promise<void> {
    // An answer that nobody waits for any more may be an error: it ended with the stream, and the next to subscribe meets it too.
    this.#asked?.catch(() => undefined);
    await this.#iterator.return?.();
  }
}

function frame(events: LedgerEvent[]): EventBatch {
  const last = events.at(-1);
  if (last === undefined) throw new Error("a frame of events holds one at least");
  return { events, cursor: last.cursor };
}

interface Timer {
  readonly over: Promise<"over">;
  stop(): void;
}

/** With a listener of its own that is taken off again: `AbortSignal.any` would leave one behind with every frame of a long stream. */
function startTimer(timers: Timers, ms: number, signal: AbortSignal): Timer {
  const own = new AbortController();
  const stop = (): void => {
    signal.removeEventListener("abort", stop);
    own.abort();
  };
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const over = timers.wait(ms, own.signal).then((): "over" => {
    signal.removeEventListener("abort", stop);
    return "over";
  });
  return { over, stop };
}
