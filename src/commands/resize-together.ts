/**
 * Exact sizes that are wished for one cluster faster than they can be written one by one, since all of them lock its row until their COMMIT: those that come
 * while one is being written are written next, together, in one transaction. Each has its own generation, action and events, as if it had come alone; only
 * the last one's size is what the planner finds.
 */

import { actionFacets, openActionsRead } from "../core/action.ts";
import { type AskedResize, decideResize } from "../core/cluster.ts";
import { invalidInput, type Result } from "../core/errors.ts";
import { type ActionId, brandId, type ClusterId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { type ActionStep, insertActions, listOpenActions, progressOf, stepActions } from "../store/action-write.ts";
import type { ClusterRow } from "../store/cluster.ts";
import { findClusterIdByName, saveWanted } from "../store/cluster-write.ts";
import type { Counts } from "../store/count.ts";
import type { Database } from "../store/database.ts";
import { isTimeout } from "../store/failure.ts";
import { claimKeys, type KeyUse, releaseKeys } from "../store/idempotency.ts";
import type { ProjectLock } from "../store/project.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { keyIdOf } from "../store/vault.ts";
import { type ClusterAction, type CommandContext, NeedsExclusiveProject } from "./command.ts";
import type { ResizeClusterInput } from "./input.ts";
import { type Key, lockNamedCluster, otherGeneration } from "./lookup.ts";
import { checkQuota, lockForQuota } from "./quota.ts";
import { countsOf, movesSize, sizeAction, tellResized } from "./size-wish.ts";

/** A resize to an exact size, admitted. */
export interface ExactWish {
  readonly context: CommandContext;
  readonly key: Key<"cluster">;
  readonly input: ResizeClusterInput;
  readonly asked: AskedResize;
  /** As its action shows them. */
  readonly inputs: JsonObject;
  readonly use: KeyUse | null;
  /** Writes it in a transaction of its own. */
  readonly alone: () => Promise<Result<ClusterAction>>;
}

interface Waiting extends ExactWish {
  readonly actionId: ActionId;
  readonly settle: (answer: Promise<Result<ClusterAction>>) => void;
}

/** So many at most go together: far below what one transaction may write. */
const mostTogether = 50;

/** Wishes that wait for the one that is being written, by the cluster that they name. A database is one process's pool. */
const queues = new WeakMap<Database, Map<string, Waiting[]>>();

/** Writes the wish at once if none about the same cluster is being written here, else with the others that wait. */
export function resizeInTurn(wish: ExactWish): Promise<Result<ClusterAction>> {
  const { context, key } = wish;
  const { db, runtime } = context.store;
  const lines = queues.get(db) ?? new Map<string, Waiting[]>();
  queues.set(db, lines);
  const name = JSON.stringify([context.principal.projectId, key]);
  return new Promise((resolve, reject) => {
    const waiting: Waiting = {
      ...wish,
      actionId: brandId("action", runtime.entropy.uuid()),
      settle: (answer) => void answer.then(resolve, reject),
    };
    const line = lines.get(name);
    if (line !== undefined) line.push(waiting);
    else {
      lines.set(name, [waiting]);
      void serve(lines, name);
    }
  });
}

/** Goes on until nobody waits. */
async function serve(lines: Map<string, Waiting[]>, name: string): Promise<void> {
  for (;;) {
    const line = lines.get(name) ?? [];
    const next = line.splice(0, mostTogether);
    const [only] = next;
    if (only === undefined) break;
    await (next.length === 1 ? goAlone([only]) : goTogether(next, "shared"));
  }
  lines.delete(name);
}

async function goAlone(wishes: readonly Waiting[]): Promise<void> {
  const answers = wishes.map((wish) => {
    const answer = wish.alone();
    wish.settle(answer);
    return answer;
  });
  await Promise.allSettled(answers);
}

/** What is answered to each; who is missing goes alone. */
type Answers = Map<Waiting, Result<ClusterAction>>;

/** The wishes cannot be written together: each by itself says why. */
class NotTogether extends Error {
  override readonly name = "NotTogether";
}

async function goTogether(wishes: readonly Waiting[], projectLock: ProjectLock): Promise<void> {
  const [first] = wishes;
  if (first === undefined) return;
  try {
    const answers = await transaction(first.context.store, (tx) => writeAll(tx, wishes, projectLock));
    for (const wish of wishes) {
      const answer = answers.get(wish);
      // Whose key is not to be had at once holds up nobody.
      wish.settle(answer === undefined ? wish.alone() : Promise.resolve(answer));
    }
  } catch (error) {
    if (error instanceof NeedsExclusiveProject && projectLock === "shared") return goTogether(wishes, "exclusive");
    // Neither wrote anything.
    if (error instanceof NotTogether || isTimeout(error)) return goAlone(wishes);
    for (const wish of wishes) wish.settle(Promise.reject(error));
  }
}

async function writeAll(tx: Tx, wishes: readonly Waiting[], projectLock: ProjectLock): Promise<Answers> {
  const answers: Answers = new Map();
  const [first] = wishes;
  if (first === undefined) return answers;
  const { context } = first;
  const work = { tx, projectLock, onCommit: () => undefined };
  const { projectId } = context.principal;
  const clusterId = "id" in first.key ? first.key.id : await findClusterIdByName(tx.db, projectId, first.key.name);
  const ours = clusterId === null ? wishes : await claim(tx, context, wishes, clusterId);
  const project = await lockForQuota(work, context);
  const locked = project.ok ? await lockNamedCluster(work, context, { cluster: first.input.cluster }) : project;
  if (!(project.ok && locked.ok) || locked.value.id !== clusterId) throw new NotTogether();
  const cluster = locked.value;
  const counts = await countsOf(tx, cluster);
  const now = await tx.now();
  const formers = (await listOpenActions(tx.db, cluster.id, openActionsRead)).filter((action) => actionFacets[action.kind] === "SIZE");
  const { accepted, last, peak, grows } = decideAll(tx, now, cluster, counts, ours, answers);
  const [oldest, newest] = [accepted[0], accepted.at(-1)];
  if (oldest !== undefined && newest !== undefined) {
    const { desiredCapacity, minSize, maxSize, generation } = last;
    // Where there is no room for one more, whoever wants more is refused, also one who wants less than there was at first.
    const refused = await checkQuota(work, project.value, { nodes: Math.max(peak - cluster.desiredCapacity, grows ? 1 : 0) });
    if (refused !== null) throw new NotTogether();
    await saveWanted(tx, now, cluster, { desiredCapacity, minSize, maxSize, generation, sizeActionId: newest.id });
    await insertActions(tx, now, accepted);
    await stepActions(tx, now, [
      ...formers.map((action): ActionStep => ({ id: action.id, ...supersededBy(oldest.id), ...progressOf(action, counts) })),
      ...accepted.flatMap((action, i): ActionStep[] => {
        const next = accepted[i + 1];
        if (action.total === 0) return [{ id: action.id, event: "succeeded" }];
        const progress = progressOf({ ...action, goal: Number(action.goal), failedBase: Number(action.failedBase) }, counts);
        return next === undefined ? [] : [{ id: action.id, ...supersededBy(next.id), ...progress }];
      }),
    ]);
    tx.markDue(cluster.id);
  }
  const refused = ours.filter((wish) => answers.get(wish)?.ok === false);
  await releaseKeys(
    tx.db,
    projectId,
    refused.flatMap(({ use }) => (use === null ? [] : [use.key])),
  );
  return answers;
}

/** Takes their keys, and says whose: what else stands under a key, or will, is another call's. */
async function claim(tx: Tx, { vault }: CommandContext, wishes: readonly Waiting[], clusterId: ClusterId): Promise<readonly Waiting[]> {
  const keyed = new Map<string, Waiting>();
  for (const wish of wishes) if (wish.use !== null && !keyed.has(wish.use.key)) keyed.set(wish.use.key, wish);
  if (keyed.size === 0) return wishes;
  const uses = [...keyed.values()].flatMap(({ use, actionId }) => (use === null ? [] : [{ ...use, payload: { clusterId, actionId } }]));
  const { taken, secretCheck } = await claimKeys(tx.db, uses);
  if (secretCheck !== null) vault.follow(keyIdOf(secretCheck));
  return wishes.filter((wish) => wish.use === null || (taken.has(wish.use.key) && keyed.get(wish.use.key) === wish));
}

interface Decided {
  readonly accepted: readonly ReturnType<typeof sizeAction>[];
  /** The cluster as the last one leaves it. */
  readonly last: ClusterRow;
  /** The most members that any of them wants. */
  readonly peak: number;
  /** Some of them want more than the one before. */
  readonly grows: boolean;
}

/** Each starts from what the one before it leaves. */
function decideAll(tx: Tx, now: Date, locked: ClusterRow, counts: Counts, wishes: readonly Waiting[], answers: Answers): Decided {
  const accepted: ReturnType<typeof sizeAction>[] = [];
  let last = locked;
  let peak = 0;
  let grows = false;
  for (const wish of wishes) {
    const { context, input, asked, inputs, actionId: id } = wish;
    const stale = otherGeneration(last, input);
    const resize = decideResize(last, asked);
    if (stale !== null) answers.set(wish, stale);
    else if (!resize.ok) answers.set(wish, invalidInput(resize.issues));
    if (stale !== null || !resize.ok) continue;
    const next = resize.value;
    const changed = movesSize(last, next);
    const generation = last.generation + (changed ? 1 : 0);
    if (changed) tellResized(tx, last, next, generation, id);
    accepted.push(sizeAction(context, last, counts, now, { id, kind: "CLUSTER_RESIZE", inputs, next, relative: false, generation }));
    peak = Math.max(peak, next.desiredCapacity);
    grows ||= next.desiredCapacity > last.desiredCapacity;
    last = { ...last, ...next, generation, sizeActionId: id };
    answers.set(wish, { ok: true, value: { clusterId: locked.id, actionId: id } });
  }
  return { accepted, last, peak, grows };
}

function supersededBy(by: ActionId): Pick<ActionStep, "event" | "supersededBy" | "reason"> {
  return { event: "superseded", supersededBy: by, reason: "replaced by a newer wish" };
}
