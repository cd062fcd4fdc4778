/**
 * Gives the event loop a turn now and then. A stream whose events are all at hand is a chain of promises that never ends: without a
 * turn nobody would read the client's `complete`, nor anybody else's request.
 */
import { setImmediate } from "node:timers/promises";

/** Frames between two turns: some hundred microseconds of work. */
const framesPerTurn = 16;

export class Turns {
  private frames = 0;

  /** Called before each frame. */
  async take(): Promise<void> {
    this.frames += 1;
    if (this.frames < framesPerTurn) return;
    this.frames = 0;
    await setImmediate();
  }
}
