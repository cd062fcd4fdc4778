/**
 * One tail per process: it follows the ledger over a session of its own and hands on every line that somebody wants once, in order. Woken by the
 * sequencer, with a slow poll behind; when the connection is lost it opens another and goes on where it was.
 */
import { compareCursors, type LedgerCursor } from "../core/cursor.ts";
import type { Logger, Runtime } from "../core/runtime.ts";
import { createDoorbell } from "../store/doorbell.ts";
import { isAbsence, isTimeout } from "../store/failure.ts";
import { cursorBehind, isWithin, type LedgerState } from "../store/ledger.ts";
import type { LedgerEvent } from "../store/ledger-event.ts";
import { readLedgerIn, readTail } from "../store/ledger-tail.ts";
import type { Session } from "../store/session.ts";
import type { Interest } from "./interest.ts";

export interface TailDeps {
  readonly runtime: Runtime;
  readonly openSession: () => Promise<Session>;
  readonly logger: Logger;
  /** Lines per page: whoever reads along must be able to hold so many. */
  readonly pageSize: number;
}

export interface TailSink {
  /** What is wanted of the lines, and how often that has grown. */
  readonly interest: Pick<Interest, "filter" | "grown">;
  /** Everything that is wanted between the former end and this one. */
  advance(events: readonly LedgerEvent[], end: LedgerCursor, ledger: LedgerState): void;
  /** The ledger does not go on where it was: another incarnation, or too far behind. Its state is where the tail goes on. */
  restart(ledger: LedgerState): void;
  /** Once in a while, also when nothing happens. */
  tick(): void;
}

export interface Tail {
  /** Following: connected, and at the head a moment ago. */
  readonly ready: boolean;
  close(): Promise<void>;
}

/** The slow poll that makes up for lost wake-ups, ms. */
const pollMs = 1_000;
/** Between two attempts to reach a server that is away, ms. */
const retryMs = 200;
const slowestRetryMs = 2_000;

/** Resolves once the ledger's head was read for the first time, however long the server is away. */
export async function startTail(deps: TailDeps, sink: TailSink): Promise<Tail> {
  const { runtime, logger } = deps;
  const bell = createDoorbell(runtime.timers);
  const stopping = new AbortController();
  let at: LedgerCursor | null = null;
  let ready = false;
  let begun: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    begun = resolve;
  });

  const begin = (ledger: LedgerState): LedgerCursor => {
    at = cursorBehind(ledger);
    sink.restart(ledger);
    begun();
    return at;
  };

  /** One page; true: there is more. */
  const step = async (session: Session): Promise<boolean> => {
    const from = at ?? begin(await readLedgerIn(session));
    const { filter, grown } = sink.interest;
    const page = await readTail(session, from, deps.pageSize, filter);
    // Somebody came while it was read, who wants more of it.
    if (sink.interest.grown !== grown) return true;
    if (!isWithin(page.ledger, from)) {
      logger.warn(
        { incarnation: page.ledger.incarnation, head: String(page.ledger.head) },
        "the ledger does not go on where it was: streams have expired",
      );
      begin(page.ledger);
      return true;
    }
    at = page.end;
    if (compareCursors(page.end, from) > 0) sink.advance(page.events, page.end, page.ledger);
    return page.end.position < page.ledger.head || page.events.length >= deps.pageSize;
  };

  const follow = async (session: Session): Promise<void> => {
    let lost: Error | null = null;
    void session.lost.then((error) => {
      lost = error;
      bell.ring();
    });
    await session.listen("muster_feed", () => bell.ring());
    while (!stopping.signal.aborted) {
      if (lost !== null) throw lost;
      const more = await step(session);
      sink.tick();
      if (more) continue;
      ready = true;
      await bell.wait(pollMs);
    }
  };

  const run = async (): Promise<void> => {
    let pauseMs = retryMs;
    while (!stopping.signal.aborted) {
      let session: Session | null = null;
      try {
        session = await deps.openSession();
        pauseMs = retryMs;
        await follow(session);
      } catch (error) {
        const usual = isAbsence(error) || isTimeout(error);
        (usual ? logger.warn : logger.error)({ error: String(error) }, "the feed lost the ledger and comes back");
      }
      ready = false;
      await session?.close();
      if (stopping.signal.aborted) break;
      sink.tick();
      await runtime.timers.wait(pauseMs, stopping.signal);
      pauseMs = Math.min(slowestRetryMs, pauseMs * 2);
    }
  };
  const running = run();
  await Promise.race([first, running]);
  return {
    get ready() {
      return ready;
    },
    close: async () => {
      stopping.abort();
      bell.ring();
      await running;
    },
  };
}
