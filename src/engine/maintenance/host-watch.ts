/**
 * Hosts that are away: their members are UNKNOWN, not dead, and nothing is done about them until the host is heard again, or a person
 * abandons them. One worker looks at a time: the owner of lane 0.
 */
import type { Signal } from "../../core/health.ts";
import { judgeHealth } from "../../core/health.ts";
import { nodeTransition } from "../../core/node.ts";
import type { Logger } from "../../core/runtime.ts";
import { holdOrphanLanes, listReachedMembers, listSilentHosts, nextSilenceMs, type SilentHost } from "../../store/host.ts";
import { checkLanes } from "../../store/lane.ts";
import { noMemory, readMemory, saveSignals } from "../../store/node-memory.ts";
import { lockNodes, saveNodes, subject } from "../../store/node-write.ts";
import { setTasks } from "../../store/task.ts";
import { type Store, transaction } from "../../store/transaction.ts";
import type { LaneBook } from "../lane-book.ts";
import { startLoop } from "../loop.ts";

/** Between looks while something is undecided, ms. Where all hosts are heard, nobody looks before one of them can have been silent for long enough. */
const lookMs = 1_000;
/** As long as a frozen worker is waited for before it is judged, ms. */
const silentAfterMs = 5_000;
const window = 1_000;

export function startHostWatch(deps: { readonly store: Store; readonly lanes: LaneBook; readonly logger: Logger }): { stop(): Promise<void> } {
  return startLoop({ name: "host watch", timers: deps.store.runtime.timers, logger: deps.logger }, async () => {
    const epoch = deps.lanes.held.get(0);
    if (epoch === undefined) return lookMs;
    // Asked first: whoever falls silent between the two is in the list, or was counted.
    const nextMs = await nextSilenceMs(deps.store.db, silentAfterMs);
    const silent = await listSilentHosts(deps.store.db, silentAfterMs);
    let more = false;
    for (const host of silent) {
      const lost = await loseMembers(deps.store, host, epoch);
      if (lost > 0)
        deps.logger.warn({ host: host.name, silentMs: Math.round(host.silentMs), members: lost }, "a host is silent; its members are unknown");
      more ||= lost === window;
    }
    if (more) return 0;
    // Who was found may not be done with, and may not be all.
    return silent.length > 0 ? lookMs : nextMs || lookMs;
  });
}

/** One window of members that become UNKNOWN with their host. Returns how many. */
async function loseMembers(store: Store, host: SilentHost, epoch: bigint): Promise<number> {
  const ids = await listReachedMembers(store.db, host, window);
  if (ids.length === 0) return 0;
  return transaction(store, async (tx) => {
    await checkLanes(tx.db, new Map([[0, epoch]]));
    if (!(await holdOrphanLanes(tx.db, host))) return 0;
    const nodes = await lockNodes(tx.db, ids);
    const memories = await readMemory(tx.db, ids);
    const now = await tx.now();
    const silent: Signal = {
      status: "UNKNOWN",
      reason: "HOST_SILENT",
      message: `host ${host.name} is not heard`,
      observedAtMs: now.getTime(),
      sinceMs: now.getTime(),
    };
    const lost = nodes.flatMap((node) => {
      const status = nodeTransition(node.status, "lost");
      if (status === null || status === "GONE") return [];
      // What the workload said last is old news: nobody is there to hear it.
      const signals = { ...(memories.get(node.id) ?? noMemory).signals, HOST: silent, AGENT: silent, WORKLOAD: silent };
      return [{ node, status, signals, verdict: judgeHealth({ nodeStatus: status, signals, starting: false }) }];
    });
    for (const { node, verdict } of lost) {
      const data = { subject: "HOST", from: "HEALTHY", to: "UNKNOWN", reason: silent.reason, message: silent.message, verdict: verdict.status };
      tx.events.push({ type: "node.signal.changed", level: "WARNING", ...subject(node), data });
    }
    await saveNodes(
      tx,
      now,
      lost.map(({ node, status, verdict }) => ({
        node,
        patch: { status, statusReason: silent.message, health: verdict.status, healthReason: verdict.reason, healthMessage: verdict.message },
      })),
    );
    // Whoever hears the host again looks first: a step that was begun means nothing by then.
    await setTasks(
      tx.db,
      lost.map(({ node }) => {
        const params = node.status === "UPDATING" && !node.replacing ? { was: "UPDATE", stage: "inPlace" } : null;
        return { node, kind: "INSPECT", dueAt: now, params };
      }),
    );
    await saveSignals(
      tx.db,
      now,
      lost.map(({ node, verdict, signals }) => ({
        id: node.id,
        reason: verdict.reason,
        message: verdict.message,
        verdictChanged: verdict.status !== node.health,
        signals,
      })),
    );
    return lost.length;
  });
}
