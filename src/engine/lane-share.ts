/**
 * Which lanes this worker should own: its fair share of the free ones, no more than that, and what the book says in line with what the
 * table says. Lanes that come to it bring their work along: what their former owner had begun is due again.
 */
import type { HostId, WorkerId } from "../core/ids.ts";
import { redoLeasedClusters } from "../store/due.ts";
import type { Heartbeat, LaneShares, LaneSums } from "../store/heartbeat.ts";
import { claimLanes, ownedLanes, raiseLanes, releaseLanes } from "../store/lane.ts";
import { recheckHostMembers, redoBegunTasks } from "../store/task.ts";
import type { Store } from "../store/transaction.ts";
import type { LaneBook } from "./lane-book.ts";

interface LaneShareDeps {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly host: { readonly id: HostId };
  readonly onWork: () => void;
}

/**
 * Brings the book in line with the table: lanes with another epoch or owner are not ours; lanes that are ours by the table alone (an
 * answer was lost on its way) are taken under new epochs.
 */
export async function reconcileLanes(deps: LaneShareDeps, id: WorkerId): Promise<void> {
  const { store, lanes } = deps;
  const owned = await ownedLanes(store.db, id);
  lanes.remove([...lanes.held].filter(([lane, epoch]) => owned.get(lane)?.epoch !== epoch).map(([lane]) => lane));
  const strays = [...owned.keys()].filter((lane) => !lanes.held.has(lane));
  if (strays.length === 0) return;
  const raised = await raiseLanes(store.db, id, strays);
  await redo(deps, [...raised.keys()]);
  lanes.add(raised);
  deps.onWork();
}

/** Whether the book says what the table says, as far as sums tell: who lost lanes and got others instead has other sums. */
function isInLine(held: ReadonlyMap<number, bigint>, mine: LaneSums): boolean {
  let [epochs, weighted] = [0n, 0n];
  for (const [lane, epoch] of held) {
    epochs += epoch;
    weighted += epoch * BigInt(lane + 1);
  }
  return held.size === mine.lanes && epochs === mine.epochs && weighted === mine.weighted;
}

/**
 * Brings the book in line with the table, and this worker's lanes to its fair share: takes free ones, hands back what is too many once nothing of it is in
 * flight.
 */
export async function shareLanes(deps: LaneShareDeps, id: WorkerId, { peers, lanes: now }: Heartbeat): Promise<void> {
  const { store, lanes, host } = deps;
  const sharing = peers.filter((peer) => !peer.draining);
  const onHost = sharing.filter((peer) => peer.hostId === host.id).length;
  if (!isInLine(lanes.held, now.mine)) await reconcileLanes(deps, id);
  const fairShared = Math.ceil(now.shared / Math.max(1, sharing.length));
  const fairHost = Math.ceil(now.host / Math.max(1, onHost));
  const excess = await excessLanes(deps, id, now, fairShared, fairHost);
  if (excess.length > 0) {
    lanes.remove(excess);
    await releaseLanes(store.db, id, excess);
    store.wake.work();
    return;
  }
  if (now.free === 0) return;
  const claimed = await claimLanes(store.db, id, { shared: fairShared - now.mineShared, host: fairHost - now.mineHost }, host.id);
  if (claimed.size === 0) return;
  await redo(deps, [...claimed.keys()]);
  lanes.add(claimed);
  deps.onWork();
}

/** Lanes above the fair share on which nothing is in flight. */
async function excessLanes(deps: LaneShareDeps, id: WorkerId, now: LaneShares, fairShared: number, fairHost: number): Promise<number[]> {
  if (now.mineShared <= fairShared && now.mineHost <= fairHost) return [];
  const busy = new Set(deps.lanes.inFlight.values());
  const owned = await ownedLanes(deps.store.db, id);
  const idle = [...owned].filter(([lane]) => !busy.has(lane));
  const shared = idle.filter(([, { hostId }]) => hostId === null).slice(0, Math.max(0, now.mineShared - fairShared));
  const hosts = idle.filter(([, { hostId }]) => hostId !== null).slice(0, Math.max(0, now.mineHost - fairHost));
  return [...shared, ...hosts].map(([lane]) => lane);
}

/** Lanes have come to this worker: what the former owner had begun is due again, and members of this host are read back. */
async function redo(deps: LaneShareDeps, claimed: readonly number[]): Promise<void> {
  await redoBegunTasks(deps.store.db, claimed);
  await redoLeasedClusters(deps.store.db, claimed);
  await recheckHostMembers(deps.store.db, claimed);
}
