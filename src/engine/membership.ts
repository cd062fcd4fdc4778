/**
 * A worker's membership: its row, its session lock, its heartbeat, its lanes. A worker that loses its session, is judged dead, or finds
 * its own loop late lets go of its lanes *before* anything else: from then on it calls no driver until it has new epochs.
 *
 * Modes: joining (no session) → member (beating, claiming its share of the lanes) → out (session lost, or judged) → joining …
 */
import type { HostId, WorkerId } from "../core/ids.ts";
import { brandId } from "../core/ids.ts";
import type { Logger } from "../core/runtime.ts";
import { isAbsence } from "../store/failure.ts";
import { beat } from "../store/heartbeat.ts";
import { freeLanesOf, ownedLanes, releaseLanes } from "../store/lane.ts";
import type { Session } from "../store/session.ts";
import type { Store } from "../store/transaction.ts";
import { HostTaken, registerWorker, removeWorker, workerLockSpace } from "../store/worker.ts";
import type { LaneBook } from "./lane-book.ts";
import { reconcileLanes, shareLanes } from "./lane-share.ts";
import { type Loop, startLoop } from "./loop.ts";
import { judgePeers, nextVerdictMs, verdictOn } from "./maintenance/peer-judge.ts";

export interface MembershipDeps {
  readonly store: Store;
  readonly openSession: () => Promise<Session>;
  readonly lanes: LaneBook;
  readonly logger: Logger;
  readonly host: {
    readonly id: HostId;
    readonly name: string;
    readonly incarnation: string;
    /** Identity of the folder that keeps the members' records. */
    readonly folder: string;
    readonly drivers: readonly string[];
  };
  readonly pid: number;
  readonly version: string;
  readonly applicationName: string;
  /** Rung when there may be work: a wake-up, or new lanes. */
  readonly onWork: () => void;
  /** Rung when a cluster may be due, and nothing else. */
  readonly onPlan: () => void;
  /** The lanes cannot be relied on any more: break off driver calls. */
  readonly onOut: () => void;
  readonly onIn: () => void;
}

export interface Membership {
  /** The worker's number while it is a member, else 0: by it its counts are written. */
  readonly number: () => number;
  stop(): Promise<void>;
}

/** Between heartbeats, ms. */
const beatMs = 500;
/** Between attempts to be a host that somebody else is, ms. */
const takenMs = 1_000;
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
  const member = new Member(deps);
  return { number: () => member.number, stop: () => member.stop() };
}

class Member {
  private standing: Standing | null = null;
  /** Who this host is in our stead: told once. */
  private holder: string | null = null;
  /** Who this process was before (a session lost, a joining that failed): nobody else has to find out that those are gone. */
  private readonly former = new Set<WorkerId>();
  private readonly deps: MembershipDeps;
  private readonly loop: Loop;

  constructor(deps: MembershipDeps) {
    this.deps = deps;
    this.loop = startLoop({ name: "membership", timers: deps.store.runtime.timers, logger: deps.logger }, () => this.turn());
  }

  get number(): number {
    return this.standing?.number ?? 0;
  }

  private async turn(): Promise<number> {
    const { store, logger } = this.deps;
    const { clock } = store.runtime;
    if (this.standing === null) {
      const joined = await this.tryToJoin();
      if (joined === null) return takenMs;
      this.standing = joined;
      this.deps.onIn();
    }
    const me = this.standing;
    if (me.lost) {
      await this.leave("the session was lost");
      return 0;
    }
    const lateBy = clock.monotonicMs() - me.beatAtMs - beatMs;
    me.beatAtMs = clock.monotonicMs();
    let waitMs = beatMs;
    try {
      const heartbeat = await beat(me.session, me.id, this.deps.host.id);
      if (heartbeat === null) {
        await this.leave("judged dead by another worker");
        return 0;
      }
      if (lateBy > lateMs) logger.warn({ worker: me.number, lateMs: Math.round(lateBy) }, "the loop was late; taking new epochs");
      if (lateBy > lateMs || me.out) await this.renew(me);
      const listeningForMs = me.backAtMs === null ? Number.POSITIVE_INFINITY : clock.monotonicMs() - me.backAtMs;
      // What was just freed is claimed by what the next heartbeat says: without the dead, whose share is everybody's.
      if (await judgePeers({ store, session: me.session, logger, listeningForMs }, me.id, heartbeat.peers)) return 0;
      await shareLanes(this.deps, me.id, heartbeat);
      waitMs = Math.min(beatMs, ...heartbeat.peers.filter((peer) => peer.id !== me.id).map((peer) => nextVerdictMs(peer.silentMs)));
    } catch (error) {
      if (!isAbsence(error)) throw error;
      if (me.lost) await this.leave("the session was lost");
    }
    return Math.max(0, waitMs - (clock.monotonicMs() - me.beatAtMs));
  }

  /** Null while the host is somebody else's: it is waited for, since a dead one's row may just not be judged yet. */
  private async tryToJoin(): Promise<Standing | null> {
    try {
      const joined = await this.join();
      this.holder = null;
      return joined;
    } catch (error) {
      if (!(error instanceof HostTaken)) throw error;
      if (this.holder !== error.holder) this.deps.logger.warn({ holder: error.holder, reason: error.message }, "this worker waits for its host");
      this.holder = error.holder;
      return null;
    }
  }

  private async join(): Promise<Standing> {
    const { store, host, logger } = this.deps;
    const { clock, entropy } = store.runtime;
    const session = await this.deps.openSession();
    try {
      const id = brandId("worker", entropy.uuid());
      const returning = this.former.size > 0;
      this.former.add(id);
      const registration = {
        id,
        hostId: host.id,
        hostName: host.name,
        hostIncarnation: host.incarnation,
        hostFolder: host.folder,
        hostDrivers: host.drivers,
        pid: this.deps.pid,
        version: this.deps.version,
        applicationName: this.deps.applicationName,
      };
      const { number, hostReborn } = await registerWorker(store, registration, (silentMs, held) => verdictOn(silentMs, held) !== null);
      if (!(await session.tryLock(workerLockSpace, number))) throw new Error(`the session lock of worker ${number} is held`);
      const nowMs = clock.monotonicMs();
      const joined: Standing = { id, number, session, backAtMs: returning ? nowMs : null, lost: false, out: false, beatAtMs: nowMs };
      void session.lost.then(() => {
        joined.lost = true;
        this.loop.bell.ring();
      });
      await this.forgetFormer(id);
      await session.listen("muster_work", this.deps.onWork);
      await session.listen("muster_plan", this.deps.onPlan);
      this.former.delete(id);
      logger.info({ worker: number, hostReborn }, "joined");
      return joined;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  private async forgetFormer(self: WorkerId): Promise<void> {
    for (const gone of [...this.former].filter((other) => other !== self)) {
      await freeLanesOf(this.deps.store.db, gone);
      await removeWorker(this.deps.store.db, gone);
      this.former.delete(gone);
    }
  }

  private async leave(why: string): Promise<void> {
    const left = this.standing;
    this.standing = null;
    if (left !== null) this.former.add(left.id);
    this.deps.lanes.clear();
    this.deps.onOut();
    this.deps.logger.warn({ worker: left?.number, why }, "left");
    await left?.session.close();
  }

  /** The own loop was late: somebody may have thought this worker frozen. New epochs, or none at all. */
  private async renew(me: Standing): Promise<void> {
    me.out = true;
    this.deps.lanes.clear();
    this.deps.onOut();
    await reconcileLanes(this.deps, me.id);
    me.out = false;
    this.deps.onIn();
  }

  async stop(): Promise<void> {
    const { store, lanes } = this.deps;
    await this.loop.stop();
    if (this.standing === null) return;
    const { id, session } = this.standing;
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
  }
}
