/**
 * Bugs that somebody could have made, each as a change of source text. They are planted into a copy of the sources; nothing of this
 * is in the product. Each text to be replaced stands in its file exactly once: a test says so when the sources move on.
 */

interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Bug {
  readonly name: string;
  /** What somebody forgot or got wrong. */
  readonly what: string;
  readonly patches: readonly Patch[];
}

function bug(name: string, what: string, ...patches: readonly (readonly [file: string, find: string, replace: string])[]): Bug {
  return { name, what, patches: patches.map(([file, find, replace]) => ({ file: `src/${file}`, find, replace })) };
}

const polls = "const pollMs = 1_000;";
const never = "const pollMs = 3_600_000;";

export const bugs: readonly Bug[] = [
  // ── Lanes and takeovers ──────────────────────────────────────────────────────────────────────────────────────────────────
  bug("no-epoch-check", "an outcome is written whoever owns the lane", [
    "store/lane.ts",
    "if (lost.length > 0) throw",
    "if (lost.length > 1_000) throw",
  ]),
  bug("epoch-without-lock", "the lane's epoch is read without a lock", ["store/lane.ts", "order by id for share`", "order by id`"]),
  bug(
    "epoch-stays",
    "taking over a lane does not raise its epoch",
    ["store/lane.ts", "}, epoch = epoch + 1\n     where id = any(array(", "}\n     where id = any(array("],
    [
      "store/lane.ts",
      "/* lane.free */\n    update muster.lane set owner = null, epoch = epoch + 1",
      "/* lane.free */\n    update muster.lane set owner = null",
    ],
  ),
  bug("dead-keeps-lanes", "the judge forgets to free a dead worker's lanes", [
    "engine/maintenance/peer-judge.ts",
    "await freeLanesOf(store.db, peer.id)",
    "0",
  ]),
  bug("no-judge", "nobody judges silent workers", ["engine/maintenance/peer-judge.ts", "if (silent.length === 0 ||", "if (silent.length >= 0 ||"]),
  bug("taken-over-listed", "a create that somebody began is repeated by a driver that is not keyed", [
    "engine/carry-out.ts",
    '(verb === "create" || verb === "update") && driver.idempotency !== "keyed"',
    "false",
  ]),
  bug("read-back-at-once", "what was lost is read back before it can be seen", [
    "engine/report.ts",
    'if (next.next === "inspect") return decideUnreachable(node, task, reason, later(now, ground.settleMs));',
    'if (next.next === "inspect") return decideUnreachable(node, task, reason, now);',
  ]),
  bug("no-sweep", "a deletion does not wait for the create that is still on its way", [
    "engine/report.ts",
    "ground.settleMs > 0 &&",
    "ground.settleMs < 0 &&",
  ]),

  // ── Effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
  bug("recovery-keeps-epoch", "a new life goes on under the old one's key", [
    "engine/report.ts",
    "const closed: NodePatch = { epoch: node.epoch + 1, ",
    "const closed: NodePatch = { ",
  ]),
  bug("recovery-without-closing", "a recovery does not close the former life first", ["engine/heal.ts", '{ stage: "close" }', '{ stage: "make" }']),
  bug("unknown-is-done", "a deletion whose answer was lost counts as done", [
    "engine/report.ts",
    'if (report.kind === "failed") return decideFailure(node, task,',
    'if (report.kind === "failed" && (task.kind !== "DELETE" || report.error.class !== "unknown")) return decideFailure(node, task,',
  ]),
  bug("absent-is-gone-for-good", "what was read back as absent is left in its old status", [
    "engine/report.ts",
    'status: "PLANNED" as const,',
    "status: node.status,",
  ]),
  bug("unknown-is-transient", "every call whose answer was lost is simply made again", [
    "engine/report.ts",
    'error.class === "unknown" && (keyed || (node.physicalId !== null && closesLife(task)))',
    'error.class === "unknown" && (keyed || closesLife !== null)',
  ]),
  bug("late-outcome", "an outcome counts in whatever status the node is by now", [
    "engine/report.ts",
    "if (!meantFor[task.kind].has(node.status)) {",
    "if (meantFor[task.kind].size === 0) {",
  ]),
  bug("no-physical-id", "what was made is not remembered by the provider's id", [
    "engine/report.ts",
    "physicalId: safeText(made.physicalId),",
    "physicalId: null,",
  ]),

  // ── Planning ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
  bug("planned-not-counted", "members that are planned do not count as standing", [
    "core/plan/cluster-plan.ts",
    "const standing = standingIn(counts);",
    "const standing = standingIn({ ...counts, planned: 0, creating: 0 });",
  ]),
  bug(
    "begun-unchecked",
    "a plan begins steps in lanes whose epochs it did not check",
    ["engine/apply-plan.ts", "...window.create.choose(window.newIds), ", "...(window.create.choose(window.newIds), []), "],
    ["engine/small-plans.ts", "epochs.set(lane, epoch);", "void epoch;"],
  ),
  bug("uncommitted-plan", "steps of a plan that was not committed are carried out", [
    "engine/places.ts",
    'outcome === "committed" ? this.tasks : []',
    "this.tasks",
  ]),
  bug("one-too-many", "a shrinking cluster loses one member too many", [
    "core/plan/cluster-plan.ts",
    "Math.min(toTakeAway, ",
    "Math.min(toTakeAway + (toTakeAway > 0 ? 1 : 0), ",
  ]),
  bug("no-observed-generation", "that a wish has settled is not noted", [
    "core/plan/cluster-plan.ts",
    "settled && !wanted.deleting ? wanted.generation",
    "settled && wanted.deleting ? wanted.generation",
  ]),
  bug("forgotten-too-soon", "a cluster is forgotten while members are still going", [
    "core/plan/cluster-plan.ts",
    "standing === 0 && counts.deleting === 0",
    "standing === 0",
  ]),
  bug("stale-plan", "a plan is applied although it does not serve the wish any more", [
    "engine/apply-plan.ts",
    "return size >= serves.least && size <= serves.most;",
    "return size >= 0;",
  ]),
  bug(
    "no-room-made",
    "a named member comes on top of as many as maxSize allows",
    ["commands/node.ts", "standing < maxSize)", "standing < 1_000)"],
    ["commands/node.ts", "standingIn(await countsOf(tx, cluster)) - leaving >= maxSize", "standingIn(await countsOf(tx, cluster)) >= 1_000"],
  ),
  bug("stale-status", "a plan is saved although a deletion was accepted meanwhile", [
    "store/cluster-plan.ts",
    "if (numAffectedRows !== BigInt(found.length)) throw",
    "if (numAffectedRows === null) throw",
  ]),
  bug("no-mark", "a change does not make its cluster due", ["store/transaction.ts", "await markDue(connection, [...due]);", ""]),
  bug("mark-skipped", "a cluster that is due already is not marked again", [
    "store/due.ts",
    "least(due_at, clock_timestamp()) where ",
    "least(due_at, clock_timestamp()) where due_at = 'infinity' and ",
  ]),
  bug("settle-overwrites", "a planner that is done forgets what was marked meanwhile", ["store/due.ts", " and due_at = ", " or due_at = "]),

  // ── Transactions and commands ────────────────────────────────────────────────────────────────────────────────────────────
  bug("commit-believed", "a COMMIT without an answer counts as done", ["store/transaction.ts", "(await wasCommitted(store, written))", "true"]),
  bug("no-rollback", "a failed transaction is not rolled back", [
    "store/transaction.ts",
    "if (!(error instanceof ConnectionLost)) await sql`rollback`",
    "if (error instanceof ConnectionLost) await sql`rollback`",
  ]),
  bug("key-ignored", "a repeated idempotency key does its work again", [
    "store/idempotency.ts",
    '? { payload: row.payload } : "reused"',
    '? { secretCheck: null } : "reused"',
  ]),
  bug("key-without-payload", "a repeated idempotency key has forgotten its answer", [
    "commands/command.ts",
    "if (use !== null) await keepPayload(",
    "if (use === undefined) await keepPayload(",
  ]),
  bug("cluster-unlocked", "a command reads the cluster without locking it", ["store/cluster-write.ts", " for no key update of c`", "`"]),
  bug(
    "lock-order",
    "a deletion locks the cluster's observed state before its actions",
    [
      "commands/cluster.ts",
      '    tx.events.push({ type: "cluster.deletion.wanted"',
      '    const early = await setClusterStatus(tx.db, now, cluster.id, "DELETING", null);\n    tx.events.push({ type: "cluster.deletion.wanted"',
    ],
    ["commands/cluster.ts", 'const former = await setClusterStatus(tx.db, now, cluster.id, "DELETING", null);', "const former = early;"],
  ),
  bug("nodes-unlocked", "nodes are read without locking them", ["store/node-write.ts", "       for no key update of n`", "`"]),

  // ── Books ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
  bug("count-of-the-gone", "who is gone stays counted", [
    "store/node-write.ts",
    "tx.count(node.clusterId, statusField[node.status], -1);\n      if (node.replacing)",
    "if (node.replacing)",
  ]),
  bug("health-of-the-going", "who is going still counts as healthy", ["store/node-write.ts", 'if (status === "DELETING") return;', ""]),
  bug("health-untold", "a change of health has no event", [
    "store/node-write.ts",
    "if (patch.health !== undefined && patch.health !== node.health) {",
    "if (patch.health === null) {",
  ]),
  bug("notable-for-ever", "who is well again stays notable", ["store/notable.ts", "await forgetNotable(db, usual);", ""]),

  // ── The ledger and the feed ──────────────────────────────────────────────────────────────────────────────────────────────
  bug("no-marker", "a transaction that makes nothing due writes no marker", [
    "store/transaction.ts",
    "if (appended !== null) progress.written",
    "if (appended !== null && due.size > 0) progress.written",
  ]),
  bug("sequence-as-order", "the sequencer does not look for numbers that were passed over", [
    "engine/sequencer.ts",
    "missing: sweep ? [] : missing.list(nowMs),",
    "missing: [],",
  ]),
  bug("forerunner-forgotten", "a new sequencer does not know what the former one had passed over", [
    "engine/sequencer.ts",
    "first.missing, clock.monotonicMs()",
    "[], clock.monotonicMs()",
  ]),
  bug("tail-at-least", "the tail reads the last line of a page again (≥ for >)", [
    "store/ledger-tail.ts",
    "and e.ordinal > case",
    "and e.ordinal >= case",
  ]),
  bug("tail-skips", "the tail goes on behind a page that was full", [
    "store/ledger-tail.ts",
    "found.length >= limit ? found.at(-1) : undefined",
    "found.length > limit ? found.at(-1) : undefined",
  ]),
  bug("recent-at-least", "who comes back is given its last event again (< for ≤)", [
    "live/recent.ts",
    "compareCursors(weighed.event.cursor, cursor) <= 0",
    "compareCursors(weighed.event.cursor, cursor) < 0",
  ]),
  bug("mailbox-drops", "a full mailbox drops what does not fit, and says nothing", ["live/mailbox.ts", "overrunSinceMs = clock.monotonicMs();", ""]),
  bug("gap-before-live", "a subscriber goes live before it has read all that is near", [
    "live/subscription.ts",
    "if (near.length > 0) continue;",
    "",
  ]),
  bug("resume-too-far", "a subscriber's place is moved to the head", [
    "live/subscription.ts",
    "if (last !== undefined) this.at = last.cursor;",
    "if (last !== undefined) this.at = this.source.head();",
  ]),

  // ── Wake-ups ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
  bug("planner-without-poll", "the planner relies on being woken", ["engine/planner.ts", polls, never]),
  bug("executor-without-poll", "the executor relies on being woken", ["engine/executor.ts", polls, never]),
  bug("sequencer-without-poll", "the sequencer relies on being woken", ["engine/sequencer.ts", polls, never]),
  bug("feed-without-poll", "the feed relies on being woken", ["live/tail.ts", polls, never]),
];
