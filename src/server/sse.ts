/**
 * Server-sent events, as graphql-sse's distinct-connections mode: one request, one operation, `next` frames and a `complete`. Pulls
 * the next frame only when the client's socket has taken the former one, so a slow reader costs one frame here; what waits for it
 * upstream is bounded there. A stream that dies because the server stops just breaks off: its client comes back with
 * `Last-Event-ID`; `complete` would tell it that there is nothing more.
 */
import type { ExecutionResult, GraphQLError } from "graphql";
import type { Timers } from "../core/runtime.ts";
import { type Masker, wireError } from "./masking.ts";
import { Pull } from "./pull.ts";
import { Turns } from "./turn.ts";

/** Below the 30 s after which proxies and load balancers give up on a silent connection. */
const heartbeatMs = 12_000;
const heartbeat = ":\n\n";

/** Why a stream was ended from our side, as the reason of its exchange's abort: it says so. Ended without one, it breaks off. */
export class StreamEnd {
  readonly lastWord: GraphQLError;
  constructor(lastWord: GraphQLError) {
    this.lastWord = lastWord;
  }
}

export interface SseOptions {
  readonly requestId: string;
  readonly signal: AbortSignal;
  readonly timers: Timers;
  readonly masker: Masker;
  readonly takeCursor: ((data: unknown) => string | null) | null;
  readonly onFrame: () => void;
}

/** The frames of a response that carries a stream, or a single result. */
export function sseFrames(source: AsyncIterable<ExecutionResult> | ExecutionResult, options: SseOptions): AsyncGenerator<string, void, void> {
  return Symbol.asyncIterator in source ? streamFrames(source, options) : singleFrame(source, options);
}

async function* singleFrame(result: ExecutionResult, options: SseOptions): AsyncGenerator<string, void, void> {
  yield nextFrame(result, options);
  yield completeFrame;
}

async function* streamFrames(source: AsyncIterable<ExecutionResult>, options: SseOptions): AsyncGenerator<string, void, void> {
  const { signal } = options;
  const pull = new Pull(source);
  const stop = (): void => pull.stop();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const turns = new Turns();
  const beating = new AbortController();
  void beat(pull, options.timers, beating.signal);
  try {
    // Something to read at once: some clients and proxies wait for the first byte before they believe in a stream.
    yield heartbeat;
    for (;;) {
      const pulled = await pull.next();
      if (pulled.kind === "nudged") {
        yield heartbeat;
        continue;
      }
      if (pulled.kind === "stopped") {
        yield* lastFrames(signal.reason, options);
        return;
      }
      if (pulled.kind === "done") {
        yield completeFrame;
        return;
      }
      options.onFrame();
      yield nextFrame(pulled.value, options);
      await turns.take();
    }
  } catch (error) {
    yield nextFrame({ errors: [options.masker.mask(error, { id: options.requestId })] }, options);
    yield completeFrame;
  } finally {
    signal.removeEventListener("abort", stop);
    beating.abort();
    pull.stop();
  }
}

async function beat(pull: Pull<ExecutionResult>, timers: Timers, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await timers.wait(heartbeatMs, signal);
    pull.nudge();
  }
}

/** What a stream that we end says last; nothing where it is to break off. */
function* lastFrames(reason: unknown, options: SseOptions): Generator<string, void, void> {
  if (!(reason instanceof StreamEnd)) return;
  yield nextFrame({ errors: [options.masker.mask(reason.lastWord, { id: options.requestId })] }, options);
  yield completeFrame;
}

const completeFrame = "event: complete\ndata:\n\n";

/** JSON holds no line break, so one `data:` line is enough; cursors hold none either. */
function nextFrame(result: ExecutionResult, options: SseOptions): string {
  const cursor = options.takeCursor?.(result.data) ?? null;
  const id = cursor === null ? "" : `id: ${cursor}\n`;
  return `event: next\n${id}data: ${JSON.stringify(wireResult(result, options))}\n\n`;
}

function wireResult(result: ExecutionResult, options: SseOptions): unknown {
  if (result.errors === undefined || result.errors.length === 0) return result;
  return { ...result, errors: options.masker.maskAll(result.errors, { id: options.requestId }).map(wireError) };
}
