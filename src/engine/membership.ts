/**
 * A worker's membership: its row, its session lock, its heartbeat, its lanes. A worker that loses its session, is judged dead, or finds
 * its own loop late lets go of its lanes *before* anything else: from then on it calls no driver until it has new epochs (DESIGN.md §4.5).
 *
 * Modes: joining (no session) → member (beating, claiming its share of the lanes) → out (session lost, or judged) → joining …
 */
import type { HostId, WorkerId } from "../core/ids.ts";
import { brandId } from "../core/ids.ts";
import type { Logger } from "../core/runtime.ts";
import { isAbsence } from "../store/failure.ts";
import { claimLanes, freeLanesOf, laneShares, ownedLanes, raiseLanes, releaseLanes } from "../store/lane.ts";
import type { Session } from "../store/session.ts";
import { redoBegunTasks, recheckHostMembers } from "../store/task.ts";
import { redoLeasedClusters } from "../store/due.ts";
import type { Store } from "../store/transaction.ts";
import { beatSql, listPeers, type Peer, registerWorker, removeWorker, workerLockSpace } from "../store/worker.ts";
import type { LaneBook } from "./lane-book.ts";
import { type Loop, startLoop } from "./loop.ts";
import { judgePeers } from "./maintenance/judge.ts";

export interface MembershipDeps {
  readonly store: Store;
  readonly openSession: () => Promise<Session>;
  readonly lanes: LaneBook;
  readonly logger: Logger;
  readonly host: { readonly id: HostId; readonly name: string; readonly incarnation: string; readonly drivers: readonly string[] };
  readonly pid: number;
  readonly version: string;
  readonly applicationName: string;
  /** Rung when there may be work: a wake-up, or new lanes. */
  readonly onWork: () => void;
  /** The lanes cannot be relied on any more: break off driver calls. */
  readonly onOut: () => void;
  readonly onIn: () => void;
}

export interface Membership {
  /** The worker's number while it is a member: the writer of its counts. */
  readonly number: () => number;
  stop(): Promise<void>;
}

/** Between heartbeats, ms. */
const beatMs = 500;
/** A loop this late may have been judged meanwhile, ms. */
const lateMs = 1_000;

interface Standing {
  readonly id: WorkerId;
  readonly number: number;
  readonly session: Session;
  /** When it came back after a loss, by the monotonic clock; null: it has just begun, and has missed nothing. */
  readonly backAtMs: number | null;
  lost: boolean;
  /** Its lanes were given up, and not all is well again. */
  out: boolean;
  beatAtMs: number;
}

export function startMembership(deps: MembershipDeps): Membership {
  const { store, lanes, logger } = deps;
  const { clock } = store.runtime;
  let standing: Standing | null = null;
  /** Who this process was before (a session lost, a joining that failed): nobody else has to find out that those are gone. */
  const former = new Set<WorkerId>();

  const join = async (): Promise<Standing> => {
    const session = await deps.openSession();
    try {
      const id = brandId("worker", store.runtime.entropy.uuid());
      const returning = former.size > 0;
      former.add(id);
      const { number, hostReborn } = await registerWorker(store, {
        id,
        hostId: deps.host.id,
        hostName: deps.host.name,
        hostIncarnation: deps.host.incarnation,
        hostDrivers: deps.host.drivers,
        pid: deps.pid,
        version: deps.version,
        applicationName: deps.applicationName,
      });
      if (!(await session.tryLock(workerLockSpace, number))) throw new Error(`the session lock of worker ${number} is held`);
      const joined: Standing = { id, number, session, backAtMs: returning ? clock.monotonicMs() : null, lost: false, out: false, beatAtMs: clock.monotonicMs() };
      void session.lost.then(() => {
        joined.lost = true;
        loop.bell.ring();
      });
      for (const gone of [...former].filter((other) => other !== id)) {
        await freeLanesOf(store.db, gone);
        await removeWorker(store.db, gone);
        former.delete(gone);
      }
      await session.listen("muster_work", deps.onWork);
      former.delete(id);
      logger.info({ worker: number, hostReborn }, "joined");
      return joined;
    } catch (error) {
      await session.close();
      throw error;
    }
  };

  const leave = async (why: string): Promise<void> => {
    const left = standing;
    standing = null;
    if (left !== null) former.add(left.id);
    lanes.clear();
    deps.onOut();
    logger.warn({ worker: left?.number, why }, "left");
    await left?.session.close();
  };

  const turn = async (): Promise<number> => {
    if (standing === null) {
      standing = await join();
      deps.onIn();
    }
    const me = standing;
    if (me.lost) {
      await leave("the session was lost");
      return 0;
    }
    const lateBy = clock.monotonicMs() - me.beatAtMs - beatMs;
    me.beatAtMs = clock.monotonicMs();
    try {
      const alive = await me.session.query<{ id: string }>(beatSql, [me.id, deps.host.id]);
      if (alive.length === 0) {
        await leave("judged dead by another worker");
        return 0;
      }
      if (lateBy > lateMs) logger.warn({ worker: me.number, lateMs: Math.round(lateBy) }, "the loop was late; taking new epochs");
      if (lateBy > lateMs || me.out) await renew(me);
      else await reconcile(deps, me.id);
      const peers = await listPeers(store.db);
      await judgePeers({ store, session: me.session, logger, listeningForMs: me.backAtMs === null ? Number.POSITIVE_INFINITY : clock.monotonicMs() - me.backAtMs }, me.id, peers);
      await share(deps, me.id, peers);
    } catch (error) {
      if (!isAbsence(error)) throw error;
      if (me.lost) await leave("the session was lost");
    }
    return Math.max(0, beatMs - (clock.monotonicMs() - me.beatAtMs));
  };

  /** The own loop was late: somebody may have thought this worker frozen. New epochs, or none at all. */
  const renew = async (me: Standing): Promise<void> => {
    me.out = true;
    lanes.clear();
    deps.onOut();
    await reconcile(deps, me.id);
    me.out = false;
    deps.onIn();
  };

  const loop: Loop = startLoop({ name: "membership", timers: store.runtime.timers, logger }, turn);
  return {
    number: () => standing?.number ?? 0,
    stop: async () => {
      await loop.stop();
      if (standing === null) return;
      const { id, session } = standing;
      // Lanes are handed over at once: nobody has to find out that this worker is gone.
      try {
        await releaseLanes(store.db, id, [...(await ownedLanes(store.db, id)).keys()]);
        await removeWorker(store.db, id);
        store.wake.work();
      } catch (error) {
        if (!isAbsence(error)) throw error;
      }
      lanes.clear();
      await session.close();
    },
  };
}

/**
 * Brings the book in line with the table: lanes with another epoch or owner are not ours; lanes that are ours by the table alone (an
 * answer was lost on its way) are taken under new epochs.
 */
async function reconcile(deps: MembershipDeps, id: WorkerId): Promise<void> {
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

/** Brings this worker's lanes to its fair share: takes free ones, hands back what is too many once nothing of it is in flight. */
async function share(deps: MembershipDeps, id: WorkerId, peers: readonly Peer[]): Promise<void> {
  const { store, lanes, host } = deps;
  const sharing = peers.filter((peer) => !peer.draining);
  const onHost = sharing.filter((peer) => peer.hostId === host.id).length;
  const now = await laneShares(store.db, id, host.id);
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
async function excessLanes(
  deps: MembershipDeps,
  id: WorkerId,
  now: { readonly mineShared: number; readonly mineHost: number },
  fairShared: number,
  fairHost: number,
): Promise<number[]> {
  if (now.mineShared <= fairShared && now.mineHost <= fairHost) return [];
  const busy = new Set(deps.lanes.inFlight.values());
  const owned = await ownedLanes(deps.store.db, id);
  const idle = [...owned].filter(([lane]) => !busy.has(lane));
  const shared = idle.filter(([, { hostId }]) => hostId === null).slice(0, Math.max(0, now.mineShared - fairShared));
  const hosts = idle.filter(([, { hostId }]) => hostId !== null).slice(0, Math.max(0, now.mineHost - fairHost));
  return [...shared, ...hosts].map(([lane]) => lane);
}

/** Lanes have come to this worker: what the former owner had begun is due again, and members of this host are read back. */
async function redo(deps: MembershipDeps, claimed: readonly number[]): Promise<void> {
  await redoBegunTasks(deps.store.db, claimed);
  await redoLeasedClusters(deps.store.db, claimed);
  await recheckHostMembers(deps.store.db, claimed);
}
