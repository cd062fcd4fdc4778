/**
 * Deadlines of actions on single nodes; those of whole clusters are the planner's. A time-out ends the action, not the work: what is
 * under way on the node goes on. One worker looks at a time: the owner of lane 0.
 */
import type { Logger } from "../../core/runtime.ts";
import { listOverdueNodeActions, stepActions } from "../../store/action-write.ts";
import { checkLanes } from "../../store/lane.ts";
import { type Store, transaction } from "../../store/transaction.ts";
import type { LaneBook } from "../lane-book.ts";
import { startLoop } from "../loop.ts";

/** Between looks, ms: an action has an hour. */
const lookMs = 2_000;
const window = 1_000;

export function startDeadlines(deps: { readonly store: Store; readonly lanes: LaneBook; readonly logger: Logger }): { stop(): Promise<void> } {
  return startLoop({ name: "deadlines", timers: deps.store.runtime.timers, logger: deps.logger }, async () => {
    const { store, lanes } = deps;
    const epoch = lanes.held.get(0);
    if (epoch === undefined) return lookMs;
    const overdue = await listOverdueNodeActions(store.db, window);
    if (overdue.length === 0) return lookMs;
    await transaction(store, async (tx) => {
      await checkLanes(tx.db, new Map([[0, epoch]]));
      await stepActions(
        tx,
        await tx.now(),
        overdue.map((id) => ({ id, event: "failed", reason: "TIMED_OUT", failed: 1 })),
      );
    });
    return overdue.length === window ? 0 : lookMs;
  });
}
