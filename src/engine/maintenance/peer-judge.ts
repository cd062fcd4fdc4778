/**
 * The judge: every worker judges the others, at each heartbeat and when a silence comes of age. Dead = session lock free and silent for 1 s; frozen = lock held and
 * silent for 4.5 s. The epochs are raised first, then the dead one's backends are ended.
 */
import type { WorkerId } from "../../core/ids.ts";
import type { Logger } from "../../core/runtime.ts";
import type { Peer } from "../../store/heartbeat.ts";
import { freeLanesOf } from "../../store/lane.ts";
import type { Session } from "../../store/session.ts";
import type { Store } from "../../store/transaction.ts";
import { endBackends, heldWorkerLocks, removeWorker, serverAgeMs } from "../../store/worker.ts";

export const judgeRules = {
  deadAfterMs: 1_000,
  frozenAfterMs: 4_500,
  /** After PostgreSQL started, or the judge's own session was lost, silence proves nothing for so long: others may be coming back. */
  graceMs: 3_000,
} as const;

/** Why a silent worker is out, or null. Pure. */
export function verdictOn(silentMs: number, lockHeld: boolean): "dead" | "frozen" | null {
  if (!lockHeld && silentMs > judgeRules.deadAfterMs) return "dead";
  return silentMs > judgeRules.frozenAfterMs ? "frozen" : null;
}

/** How long until a peer that stays silent may be out, ms: then one looks again, not at some heartbeat after that. Pure. */
export function nextVerdictMs(silentMs: number): number {
  const { deadAfterMs, frozenAfterMs } = judgeRules;
  const threshold = [deadAfterMs, frozenAfterMs].find((afterMs) => silentMs <= afterMs);
  return threshold === undefined ? Number.POSITIVE_INFINITY : Math.floor(threshold - silentMs) + 1;
}

/** Takes the lanes of workers that are dead or frozen. Returns whether there were any: then the lanes lie otherwise than the heartbeat said. */
export async function judgePeers(
  deps: { readonly store: Store; readonly session: Session; readonly logger: Logger; readonly listeningForMs: number },
  self: WorkerId,
  peers: readonly Peer[],
): Promise<boolean> {
  const { store, logger } = deps;
  const silent = peers.filter((peer) => peer.id !== self && peer.silentMs > judgeRules.deadAfterMs);
  if (silent.length === 0 || deps.listeningForMs < judgeRules.graceMs || (await serverAgeMs(store.db)) < judgeRules.graceMs) return false;
  const held = await heldWorkerLocks(store.db);
  let judged = false;
  for (const peer of silent) {
    const verdict = verdictOn(peer.silentMs, held.has(peer.number));
    if (verdict === null) continue;
    // A process that has joined anew goes by the same name: its connections are not the dead one's.
    const alone = !peers.some((other) => other.id !== peer.id && other.applicationName === peer.applicationName);
    // One that froze inside a transaction holds its lanes' rows: they would have to be waited for. What it begins after this is short, or ended below.
    if (verdict === "frozen" && alone) await endBackends(store.db, peer.applicationName);
    const freed = await freeLanesOf(store.db, peer.id);
    if (alone) await endBackends(store.db, peer.applicationName);
    await removeWorker(store.db, peer.id);
    logger.warn({ worker: peer.number, verdict, silentMs: Math.round(peer.silentMs), lanes: freed }, "a worker is out; its lanes are free");
    store.wake.work();
    judged = true;
  }
  return judged;
}
