/** The one way a loop of the engine runs: again and again, at a bell, surviving whatever a turn throws. */
import type { Logger, Timers } from "../core/runtime.ts";
import { createDoorbell, type Doorbell } from "../store/doorbell.ts";
import { isAbsence, isConflict, isTimeout } from "../store/failure.ts";
import { LaneLost } from "../store/lane.ts";

export interface Loop {
  readonly bell: Doorbell;
  /** Ends after the present turn. */
  stop(): Promise<void>;
}

/** How long a loop pauses after a turn that failed, ms: long enough not to hammer, short enough to be back at once. */
const pauseMs = 250;

/**
 * Runs `turn` until stopped.
 * @param turn one pass; returns how long to wait for the bell before the next, ms (0: at once). It is told whether there may be something new: not, where only
 * that time has passed
 */
export function startLoop(
  deps: { readonly name: string; readonly timers: Timers; readonly logger: Logger },
  turn: (news: boolean) => Promise<number>,
): Loop {
  const bell = createDoorbell(deps.timers);
  const run = async (): Promise<void> => {
    let news = true;
    while (!bell.stopped) {
      let waitMs = pauseMs;
      let failed = true;
      try {
        waitMs = await turn(news);
        failed = false;
      } catch (error) {
        // A lost lane or connection, a lock that was not to be had: an ordinary day. The next turn reads everything anew.
        const ordinary = isAbsence(error) || isTimeout(error) || isConflict(error) || error instanceof LaneLost;
        deps.logger[ordinary ? "debug" : "error"]({ loop: deps.name, error }, "a turn failed");
      }
      news = (await bell.wait(waitMs)) || failed || waitMs === 0;
    }
  };
  const done = run();
  return {
    bell,
    stop: async () => {
      bell.stop();
      await done;
    },
  };
}
