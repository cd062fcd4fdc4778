/**
 * A subscription's results as graphql-ws pulls them: one at a time, with a turn for the event loop now and then, and ended at once by
 * `return` (the client's `complete`), also while the source waits for its next event.
 */
import type { ExecutionResult } from "graphql-ws";
import { Pull } from "./pull.ts";
import { Turns } from "./turn.ts";

export class PacedStream implements AsyncGenerator<ExecutionResult, undefined, undefined> {
  private readonly pull: Pull<ExecutionResult>;
  private readonly turns = new Turns();
  private readonly onFrame: () => void;
  private readonly onEnd: () => void;

  /** @param onEnd called when it ends from our side or the client's: wakes what the source waits for */
  constructor(source: AsyncIterable<ExecutionResult>, onFrame: () => void, onEnd: () => void) {
    this.pull = new Pull(source);
    this.onFrame = onFrame;
    this.onEnd = onEnd;
  }

  async next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    await this.turns.take();
    const pulled = await this.pull.next();
    if (pulled.kind !== "value") return { done: true, value: undefined };
    this.onFrame();
    return { done: false, value: pulled.value };
  }

  return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.pull.stop();
    this.onEnd();
    return Promise.resolve({ done: true, value: undefined });
  }

  async throw(): Promise<IteratorResult<ExecutionResult, undefined>> {
    return this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
