/**
 * Sweeps: checks of whole clusters without a row per member. Asking changes nothing out there, so nothing need be written before it, and of a
 * member that is well nothing after it: a page of members is asked, then the job's cursor moves behind them and they are counted, in one
 * transaction. What is interrupted is asked again from the cursor on. Whoever is not plainly well, and whoever is in another worker's lanes,
 * gets a task and goes by the queue.
 */
import type { ActionId, ClusterId, NodeId, ProfileId } from "../core/ids.ts";
import type { Logger } from "../core/runtime.ts";
import { isAbsence, isConflict, isTimeout } from "../store/failure.ts";
import { type JobMember, moveJobCursor, readJobPage } from "../store/job.ts";
import { checkLanes, LaneLost } from "../store/lane.ts";
import { lockNodes } from "../store/node-write.ts";
import type { DueTask } from "../store/task.ts";
import { type Store, transaction } from "../store/transaction.ts";
import type { Hearer } from "./carry-out.ts";
import { checkedStatuses, layChecks, ofJob } from "./jobs.ts";
import type { LaneBook } from "./lane-book.ts";
import { hasPlaces, type Places, type Taken, taskOf } from "./places.ts";
import type { TaskReport } from "./report.ts";
import type { KnownProfile } from "./specs.ts";

/** Members asked about in one go, at most. */
const pageRows = 1_000;
/** Pages of a sweep that are under way at once, at most. */
const pagesAhead = 4;
/** How long a sweep waits for places, and how often, ms: then it is up to the planner again. */
const placeWaitMs = 20;
const placeWaits = 25;

/** A job that checks a cluster. */
export interface CheckJob {
  readonly action: ActionId;
  readonly cluster: { readonly id: ClusterId; readonly name: string; readonly profileId: ProfileId };
  /** The cluster's lane: whoever owns it carries the sweep. */
  readonly lane: number;
  /** The cluster's; null: this worker does not have its type. */
  readonly profile: KnownProfile | null;
}

export interface Sweeps {
  /** Goes on with the job behind this member. Returns whether it does, or did so already: not where members must go by the queue. */
  carryOn(job: CheckJob, after: NodeId | null): boolean;
  /** Resolves when no sweep is under way. */
  idle(): Promise<void>;
}

interface SweepDeps {
  readonly store: Store;
  readonly lanes: LaneBook;
  readonly places: Places;
  readonly logger: Logger;
  /** A sweep has ended: its cluster may be due. */
  readonly onEnd: () => void;
}

export function createSweeps(deps: SweepDeps): Sweeps {
  const running = new Map<ActionId, Promise<void>>();
  return {
    carryOn: (job, after) => {
      if (running.has(job.action)) return true;
      const first = takePlaces(deps, job);
      if (first === null) return false;
      const ended = sweep(deps, job, after, first)
        .catch((error: unknown) => {
          if (error instanceof LaneLost) deps.lanes.lose(error.lanes);
          // The planner looks again, and goes on where the cursor stands.
          const ordinary = error instanceof LaneLost || isAbsence(error) || isTimeout(error) || isConflict(error);
          deps.logger[ordinary ? "debug" : "error"]({ clusterId: job.cluster.id, error }, "a sweep broke off");
        })
        .finally(() => {
          running.delete(job.action);
          deps.onEnd();
        });
      running.set(job.action, ended);
      return true;
    },
    idle: async () => {
      await Promise.all(running.values());
    },
  };
}

/** Members that are being asked about, in the order of their ids. */
interface Page {
  readonly after: NodeId | null;
  readonly to: NodeId | null;
  /** There are no more behind these. */
  readonly last: boolean;
  /** Null: broken off. */
  readonly answers: Promise<Answers | null>;
}

interface Answers {
  /** How many are as they are known to be. */
  readonly well: number;
  /** Who is to be asked, perhaps once more, by whoever owns his lane. */
  readonly others: readonly NodeId[];
}

async function sweep(deps: SweepDeps, job: CheckJob, after: NodeId | null, first: Taken): Promise<void> {
  const { timers } = deps.store.runtime;
  const pages: Page[] = [];
  let taken: Taken | null = first;
  let [ahead, readOn, waits] = [after, true, 0];
  try {
    while (readOn || pages.length > 0) {
      if (taken !== null) {
        const asked = taken;
        taken = null;
        const page = await ask(deps, job, ahead, asked);
        pages.push(page);
        [ahead, readOn, waits] = [page.to, !page.last, 0];
      }
      if (readOn && pages.length < pagesAhead) taken = takePlaces(deps, job);
      if (taken !== null) continue;
      const oldest = pages.shift();
      if (oldest !== undefined) {
        const next = await close(deps, job, oldest);
        if (next === "over") return;
        // Those who own the others' lanes are to catch up first.
        if (next === "queued") readOn = false;
      } else {
        if (++waits > placeWaits) return;
        await timers.wait(placeWaitMs);
      }
    }
  } finally {
    taken?.fill([]);
    await Promise.all(pages.map(({ answers }) => answers));
  }
}

function takePlaces({ places }: SweepDeps, { cluster, profile }: CheckJob): Taken | null {
  return hasPlaces(profile) ? places.take(cluster.profileId, profile, "inspect", pageRows) : null;
}

/** Reads the next members and begins to ask. */
async function ask({ store, lanes }: SweepDeps, { cluster }: CheckJob, after: NodeId | null, taken: Taken): Promise<Page> {
  const hearing = createHearing(lanes);
  let tasks: readonly DueTask[] = [];
  try {
    const members = await readJobPage(store.db, cluster.id, after, taken.count);
    const there = members.filter(({ status }) => checkedStatuses.has(status));
    const isOurs = (member: JobMember): boolean =>
      taken.lanes.has(member.lane) && member.profileId === cluster.profileId && !member.busy && !lanes.inFlight.has(member.id);
    const of = { clusterId: cluster.id, clusterName: cluster.name, addresses: null };
    tasks = there.filter(isOurs).map((member) => taskOf({ ...member, ...of }, "CHECK", ofJob));
    for (const member of there) if (!isOurs(member)) hearing.others.push(member.id);
    return { after, to: members.at(-1)?.id ?? after, last: members.length < taken.count, answers: hearing.answers };
  } finally {
    hearing.expect(tasks.length);
    const { late, lost } = taken.fill(tasks, hearing);
    for (const { nodeId } of [...late, ...lost]) hearing.miss(nodeId);
  }
}

interface Hearing extends Hearer {
  readonly others: NodeId[];
  readonly answers: Promise<Answers | null>;
  expect(count: number): void;
  /** It was not asked about. */
  miss(nodeId: NodeId): void;
}

function createHearing(lanes: LaneBook): Hearing {
  const others: NodeId[] = [];
  let [left, well, brokenOff] = [0, 0, false];
  let resolve: (answers: Answers | null) => void = () => undefined;
  const answers = new Promise<Answers | null>((done) => {
    resolve = done;
  });
  const heard = (): void => {
    left -= 1;
    if (left === 0) resolve(brokenOff ? null : { well, others });
  };
  return {
    others,
    answers,
    expect: (count) => {
      left = count;
      if (count === 0) resolve({ well, others });
    },
    push: ({ nodeId, report }) => {
      lanes.end(nodeId);
      if (isWell(report)) well += 1;
      else others.push(nodeId);
      heard();
    },
    letGo: (nodeId) => {
      lanes.end(nodeId);
      brokenOff = true;
      heard();
    },
    miss: (nodeId) => {
      others.push(nodeId);
      heard();
    },
  };
}

/** It is there, and nothing is to be written of it. */
function isWell(report: TaskReport): boolean {
  return report.kind === "inspected" && report.inspection.presence === "running" && report.inspection.made.checkAfterMs === null;
}

/** Writes what came of a page, once all of it is known. over: the job is, or was broken off. queued: some are to be asked by their lanes' owners. */
async function close({ store, lanes }: SweepDeps, job: CheckJob, page: Page): Promise<"goesOn" | "queued" | "over"> {
  const answers = await page.answers;
  if (answers === null) return "over";
  return transaction(store, async (tx) => {
    await checkLanes(tx.db, new Map([[job.lane, lanes.held.get(job.lane) ?? 0n]]));
    const nodes = await lockNodes(tx.db, answers.others);
    if (!(await moveJobCursor(tx.db, job.action, page.after, { after: page.to, done: page.last }))) return "over";
    const laid = nodes.length === 0 ? 0 : await layChecks(tx, await tx.now(), nodes);
    tx.count(job.cluster.id, "checked_total", answers.well);
    if (page.last || laid > 0) tx.markDue(job.cluster.id);
    return laid > 0 ? "queued" : "goesOn";
  });
}
