/** One transaction that turns reports into rows: lanes checked, nodes locked, decided by `report.ts`, written set-wise. */
import type { NodeId } from "../core/ids.ts";
import type { ActionStep } from "../store/action-write.ts";
import { stepActions } from "../store/action-write.ts";
import type { Database } from "../store/database.ts";
import { checkLanes } from "../store/lane.ts";
import { type NodeMemory, noMemory, readMemory, saveCrashes, saveSignals, startProbes, stopProbes } from "../store/node-memory.ts";
import { deleteNodes, lockNodes, type NodePatch, type NodeState, saveNodes, subject } from "../store/node-write.ts";
import { holdProfiles } from "../store/profile.ts";
import { dropTasks, type NewTask, setTasks } from "../store/task.ts";
import { type Store, type Tx, transaction } from "../store/transaction.ts";
import type { Decision } from "./decision.ts";
import { decideObservation } from "./observation.ts";
import type { Report } from "./outbox.ts";
import { decideTask } from "./report.ts";
import type { KnownProfile, SpecCache } from "./specs.ts";

interface Decided {
  readonly node: NodeState;
  readonly decision: Decision;
  readonly profile: KnownProfile | undefined;
}

export interface Written {
  /** Members that began to run and are to be probed. */
  readonly probed: readonly NodeId[];
  /** Steps follow that may be due. */
  readonly follows: boolean;
}

/** Writes reports, at most one per node. @throws LaneLost when a lane has another owner by now: nothing was written */
export async function writeReports(deps: { readonly store: Store; readonly specs: SpecCache }, reports: readonly Report[]): Promise<Written> {
  const { store, specs } = deps;
  return transaction(store, async (tx) => {
    await checkLanes(tx.db, new Map(reports.map((report) => [report.lane, report.epoch])));
    const nodes = await holdWanted(
      tx.db,
      await lockNodes(
        tx.db,
        reports.map((report) => report.nodeId),
      ),
    );
    const profiles = await specs.get(
      tx.db,
      nodes.map((node) => node.profileId),
    );
    const byNode = new Map(reports.map((report) => [report.nodeId, report]));
    const memories = await readMemory(
      tx.db,
      nodes.filter((node) => remembers(byNode.get(node.id), node, profiles.get(node.profileId))).map((node) => node.id),
    );
    const now = await tx.now();
    const decided = nodes.flatMap((node): Decided[] => {
      const report = byNode.get(node.id);
      const profile = profiles.get(node.profileId);
      return report === undefined
        ? []
        : [{ node, profile, decision: decide(report, node, memories.get(node.id) ?? noMemory, profile, now, store.runtime.entropy.fraction()) }];
    });
    await write(tx, now, decided, store);
    return {
      probed: decided.filter(({ decision, profile }) => decision.probe === "start" && profile?.probe != null).map(({ node }) => node.id),
      // A step that came too late leaves the node to what was decided meanwhile.
      follows: decided.some(
        ({ node, decision }) => typeof decision.task === "object" || (decision.task === "keep" && byNode.get(node.id)?.from === "task"),
      ),
    };
  });
}

/** A profile that a member's next life is to be made from must not go meanwhile; where it has gone, the cluster wants another one by now. */
async function holdWanted(db: Database, nodes: readonly NodeState[]): Promise<NodeState[]> {
  const wanted = new Set(
    nodes.flatMap(({ profileId, wantedProfileId }) => (wantedProfileId === null || wantedProfileId === profileId ? [] : [wantedProfileId])),
  );
  const there = await holdProfiles(db, [...wanted]);
  const gone = (id: NodeState["wantedProfileId"]): boolean => id !== null && wanted.has(id) && !there.has(id);
  return nodes.map((node) => (gone(node.wantedProfileId) ? { ...node, wantedProfileId: null } : node));
}

/** Most members have nothing to remember: a plain success of a member that is not probed reads no further row. */
function remembers(report: Report | undefined, node: NodeState, profile: KnownProfile | undefined): boolean {
  if (report === undefined || report.from === "watch") return true;
  if (report.report.kind === "failed" || report.report.kind === "inspected") return true;
  return profile?.probe != null || node.status !== "CREATING";
}

function decide(report: Report, node: NodeState, memory: NodeMemory, profile: KnownProfile | undefined, now: Date, fraction: number): Decision {
  const keyed = profile?.driver.idempotency === "keyed";
  const ground = {
    now,
    fraction,
    probe: profile?.probe ?? null,
    keyed,
    settleMs: profile === undefined || keyed ? 0 : profile.timeoutMs + (profile.driver.listingDelayMs ?? 0),
    fromHost: profile?.driver.hostBound === true,
  };
  return report.from === "watch"
    ? decideObservation(node, report.observation, memory, ground)
    : decideTask(node, report.task, report.report, memory, ground);
}

async function write(tx: Tx, now: Date, decided: readonly Decided[], store: Store): Promise<void> {
  tellSignals(tx, decided);
  const stay = decided.filter(({ decision }) => !decision.remove);
  await saveNodes(
    tx,
    now,
    stay.flatMap(({ node, decision }) => (decision.patch !== null && changes(node, decision.patch) ? [{ node, patch: decision.patch }] : [])),
  );
  await deleteNodes(
    tx,
    decided.filter(({ decision }) => decision.remove).map(({ node }) => node),
  );
  await writeTasks(tx, stay);
  await writeMemory(tx, now, stay, store);
  const steps = decided.flatMap(({ node, decision }): ActionStep[] => {
    if (decision.action === null || node.actionId === null) return [];
    const failed = decision.action.event === "failed";
    return [{ id: node.actionId, event: decision.action.event, reason: decision.action.reason, done: failed ? 0 : 1, failed: failed ? 1 : 0 }];
  });
  await stepActions(tx, now, steps);
  for (const { node, decision } of decided) {
    if (node.clusterId === null) continue;
    for (const field of decision.totals) tx.count(node.clusterId, field, 1);
    // A job's last step may change nothing that is counted.
    if (decision.totals.length > 0 || decision.action !== null || decision.patch?.remedy !== undefined) tx.markDue(node.clusterId);
  }
}

/** A patch that says nothing new is not written: most probes and checks find what was known. */
function changes(node: NodeState, patch: NodePatch): boolean {
  return (
    (patch.status !== undefined && patch.status !== node.status) ||
    (patch.health !== undefined && patch.health !== node.health) ||
    (patch.statusReason !== undefined && patch.statusReason !== node.statusReason) ||
    (patch.epoch !== undefined && patch.epoch !== node.epoch) ||
    (patch.physicalId !== undefined && patch.physicalId !== node.physicalId) ||
    (patch.actionId !== undefined && patch.actionId !== node.actionId) ||
    (patch.profileId !== undefined && patch.profileId !== node.profileId) ||
    patch.startedAt !== undefined ||
    patch.remedy !== undefined
  );
}

async function writeTasks(tx: Tx, decided: readonly Decided[]): Promise<void> {
  const drop: NodeId[] = [];
  const set: NewTask[] = [];
  for (const { node, decision } of decided) {
    if (decision.task === "drop") drop.push(node.id);
    else if (decision.task !== "keep") set.push({ node, ...decision.task });
  }
  await dropTasks(tx.db, drop);
  await setTasks(tx.db, set);
}

async function writeMemory(tx: Tx, now: Date, decided: readonly Decided[], store: Store): Promise<void> {
  await saveSignals(
    tx.db,
    now,
    decided.flatMap(({ node, decision }) => {
      if (decision.signals === null) return [];
      const { patch } = decision;
      return [
        {
          id: node.id,
          reason: patch?.healthReason ?? "NO_EVIDENCE",
          message: patch?.healthMessage ?? null,
          verdictChanged: patch?.health !== undefined && patch.health !== node.health,
          signals: decision.signals,
        },
      ];
    }),
  );
  await saveCrashes(
    tx.db,
    now,
    decided.flatMap(({ node, decision }) => (decision.crashes === null ? [] : [{ id: node.id, ...decision.crashes }])),
  );
  await startProbes(
    tx.db,
    decided.flatMap(({ node, decision, profile }) => {
      if (decision.probe !== "start" || profile?.probe == null) return [];
      const { intervalMs } = profile.probe;
      return [{ id: node.id, lane: node.lane, intervalMs, phaseMs: Math.floor(store.runtime.entropy.fraction() * intervalMs) }];
    }),
  );
  await stopProbes(
    tx.db,
    decided.flatMap(({ node, decision, profile }) => (decision.probe === "stop" && profile?.probe != null ? [node.id] : [])),
  );
}

function tellSignals(tx: Tx, decided: readonly Decided[]): void {
  for (const { node, decision } of decided) {
    for (const { subject: about, from, to } of decision.changedSignals) {
      // A member's first word needs no line of its own: `node.status.changed` says that it is there.
      if (from === "UNKNOWN" && node.startedAt === null) continue;
      tx.events.push({
        type: "node.signal.changed",
        ...subject(node),
        occurredAtMs: to.observedAtMs,
        data: {
          subject: about,
          from,
          to: to.status,
          reason: to.reason,
          message: to.message,
          verdict: decision.patch?.health ?? node.health,
        },
      });
    }
  }
}
