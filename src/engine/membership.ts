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
  beatAtMs: number;
}

export function startMembership(deps: MembershipDeps): Membership {
  const { store, lanes, logger } = deps;
  const { clock } = store.runtime;
  let standing: Standing | null = null;
  /** Who this process was before it lost its session: nobody else has to find out that that one is gone. */
  let former: WorkerId | null = null;

  const join = async (): Promise<Standing> => {
    const session = await deps.openSession();
    try {
      const id = brandId("worker", store.runtime.entropy.uuid());
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
      const joined: Standing = { id, number, session, backAtMs: former === null ? null : clock.monotonicMs(), lost: false, beatAtMs: clock.monotonicMs() };
      void session.lost.then(() => {
        joined.lost = true;
        loop.bell.ring();
      });
      if (former !== null) {
        await freeLanesOf(store.db, former);
        await removeWorker(store.db, former);
        former = null;
      }
      await session.listen("muster_work", deps.onWork);
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
    former = left?.id ?? former;
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
      if (lateBy > lateMs) await renew(me, lateBy);
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
  const renew = async (me: Standing, lateBy: number): Promise<void> => {
    logger.warn({ worker: me.number, lateMs: Math.round(lateBy) }, "the loop was late; taking new epochs");
    lanes.clear();
    deps.onOut();
    lanes.add(await raiseLanes(store.db, me.id));
    await redo(deps, [...lanes.held.keys()]);
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
  const shared = idle.filter(([, host]) => host === null).slice(0, Math.max(0, now.mineShared - fairShared));
  const hosts = idle.filter(([, host]) => host !== null).slice(0, Math.max(0, now.mineHost - fairHost));
  return [...shared, ...hosts].map(([lane]) => lane);
}

/** Lanes have come to this worker: what the former owner had begun is due again, and members of this host are read back. */
async function redo(deps: MembershipDeps, claimed: readonly number[]): Promise<void> {
  await redoBegunTasks(deps.store.db, claimed);
  await redoLeasedClusters(deps.store.db, claimed);
  await recheckHostMembers(deps.store.db, claimed);
}
