/**
 * The statements that only an accident, an operator or a rare command sends, each called once by the function that owns it, for
 * `statement-cost.test.ts`. What would disturb others is rolled back: its plan is logged all the same.
 */
import { sql } from "kysely";
import { expect } from "vitest";
import { createLocalToken, ensureConfiguredToken, ensureFirstToken } from "../../src/commands/first-token.ts";
import { brandId, type ClusterId, type NodeId } from "../../src/core/ids.ts";
import { hostLanes, lanesPerHost, sharedLanes } from "../../src/core/lane.ts";
import { liveActionsOf } from "../../src/store/action.ts";
import { listBusyClusters, listOverdueNodeActions } from "../../src/store/action-write.ts";
import { countJobs } from "../../src/store/cluster-plan.ts";
import { holdOrphanLanes, listReachedMembers, listSilentHosts, nextSilenceMs } from "../../src/store/host.ts";
import { claimKeys, purgeKeys, releaseKeys } from "../../src/store/idempotency.ts";
import {
  claimSecretCheck,
  forgetFormerChecks,
  holdSecretCheck,
  lockSecretCheck,
  readInstallation,
  replaceSecretCheck,
} from "../../src/store/installation.ts";
import { nextJobMembers, readJobCursors, saveJobCursor } from "../../src/store/job.ts";
import { ensureHostLanes, freeLanesOf, ownedLanes, raiseLanes, releaseLanes } from "../../src/store/lane.ts";
import { readIncarnation } from "../../src/store/ledger.ts";
import { countPartitionsAhead, dropExpired, ensurePartitions } from "../../src/store/ledger-partition.ts";
import { areWritten } from "../../src/store/ledger-write.ts";
import { schemaState } from "../../src/store/migrate.ts";
import { saveCrashes, saveSignals, startProbes, stopProbes } from "../../src/store/node-memory.ts";
import { lockNodes } from "../../src/store/node-write.ts";
import { listPatients, rememberNotable } from "../../src/store/notable.ts";
import { countOutdated, selectOutdated, summarizeOutdated } from "../../src/store/outdated.ts";
import { hasProbes, lanesOf, listProbes, readProbes } from "../../src/store/probe.ts";
import { lockSpecsAfter, replaceSpecs } from "../../src/store/profile-spec.ts";
import { findProjectByName } from "../../src/store/project.ts";
import { askNextChecks, checksLeft, endReadBack } from "../../src/store/read-back.ts";
import { countWaitingMarkers, readOpenTransactions, readServerFacts, readWorkerFacts } from "../../src/store/server.ts";
import { listDueTasksOf, postponeTasks, recheckHostMembers } from "../../src/store/task.ts";
import { findTokenByHash, findTokenByName, getTokensByIds, hashTokenSecret, mintTokenSecret, touchTokens } from "../../src/store/token.ts";
import { findUsableTokens } from "../../src/store/token-use.ts";
import { abandonNodes, listTombstones, listUnreachable, removeTombstones } from "../../src/store/tombstone.ts";
import { type Store, type Tx, transaction } from "../../src/store/transaction.ts";
import { endBackends, heldWorkerLocks, liveHosts, removeWorker, serverAgeMs } from "../../src/store/worker.ts";
import type { Crowd } from "../support/crowd.ts";
import type { World } from "../support/world.ts";

class Undone extends Error {}

async function undone(store: Store, work: (tx: Tx) => Promise<void>): Promise<void> {
  const done = transaction(store, async (tx) => {
    await work(tx);
    throw new Undone();
  });
  await expect(done).rejects.toThrow(Undone);
}

/** Call it after the last worker has stopped: what is rolled back holds locks until then. */
export async function tourStatements(world: World, crowd: Crowd): Promise<void> {
  const { store, projectId } = world;
  const { db } = store;
  await undone(store, (tx) => tourMembers(tx, crowd.clusterId));
  await undone(store, (tx) => tourTombstones(tx, crowd.clusterId));
  await undone(store, (tx) => tourHost(tx, store, crowd.clusterId));
  await undone(store, ({ db: inside }) => tourWorkers(inside));
  await undone(store, ({ db: inside }) => tourInstallation(inside));
  await undone(store, ({ db: inside }) => tourReadBack(inside));
  await undone(store, async ({ db: inside }) => {
    await sql`update muster.idempotency_key set created_at = now() - interval '2 days' where key = 'key-1'`.execute(inside);
    await purgeKeys(inside, 100);
    const used = { projectId, mutation: "resizeCluster", inputHmac: Buffer.from("00", "hex"), knownHmacs: [], payload: {} };
    await claimKeys(inside, [
      { ...used, key: "key-2" },
      { ...used, key: "not-used-yet" },
    ]);
    await releaseKeys(inside, projectId, ["not-used-yet"]);
  });
  const { rows } = await sql<{ id: string }>`select id from muster.action where cluster_id = ${crowd.clusterId} order by id limit 20`.execute(db);
  await liveActionsOf(
    db,
    projectId,
    rows.map(({ id }) => brandId("action", id)),
  );
  await ensurePartitions(db);
  await countPartitionsAhead(db);
  await dropExpired(db, new Date(0));
  await areWritten(db, {
    batch: 1n,
    events: 1,
    first: { type: "cluster.settled", projectId, data: { generation: 1 } },
    occurredAt: "2026-01-01 00:00:00Z",
  });
  await tourTokens(world);
}

/** Members of a cluster, by the order of their ids. */
async function membersOf({ db }: Tx, clusterId: ClusterId): Promise<NodeId[]> {
  return nextJobMembers(db, clusterId, null, 20, false);
}

async function tourMembers(tx: Tx, clusterId: ClusterId): Promise<void> {
  const { db } = tx;
  const now = await tx.now();
  const ids = await membersOf(tx, clusterId);
  const nodes = await lockNodes(db, ids);
  await nextJobMembers(db, clusterId, null, 20, true);
  const { rows } = await sql<{ id: string }>`select id from muster.action where cluster_id = ${clusterId} limit 1`.execute(db);
  const actionIds = rows.map(({ id }) => brandId("action", id));
  await readJobCursors(db, actionIds);
  for (const id of actionIds) await saveJobCursor(db, id, { after: null, done: true });
  await countJobs(db, clusterId);
  const remedy = { at: now, certain: true, rung: 1 };
  await rememberNotable(
    db,
    now,
    nodes.map((node) => ({ node, patch: { status: "ERROR", remedy } })),
  );
  await listPatients(db, clusterId, now, 20);
  await saveSignals(
    db,
    now,
    ids.map((id) => ({ id, reason: "WORKING", message: null, verdictChanged: true, signals: {} })),
  );
  await saveCrashes(
    db,
    now,
    ids.map((id) => ({ id, crashes: 2, proven: false })),
  );
  await startProbes(
    db,
    nodes.map(({ id, lane }) => ({ id, lane, intervalMs: 2_000_000_000, phaseMs: 1 })),
  );
  await readProbes(db, ids);
  await stopProbes(db, ids);
  await lanesOf(db, ids);
  await postponeTasks(db, ids, 1_000);
  await listDueTasksOf(
    db,
    [clusterId, ...(await listBusyClusters(db, null, 64))],
    Array.from({ length: sharedLanes }, (_, lane) => lane),
    ids,
    32,
  );
  // All members are of another profile than this one.
  const wish = { id: clusterId, profileId: brandId("profile", "00000000-0000-7000-8000-000000000009"), profileChangedAt: now };
  const { working } = await summarizeOutdated(db, wish);
  expect(working).toBeGreaterThan(500);
  expect(await selectOutdated(db, wish, { idle: 10, working: 10 })).not.toEqual([]);
  expect(await countOutdated(db, wish, 1_000_000)).toBeGreaterThan(500);
  // What loops ask once a second may not come while the workers live.
  await listOverdueNodeActions(db, 20);
  await hasProbes(db, [...Array(64).keys()]);
  await listProbes(
    db,
    nodes.map(({ lane }) => lane),
    now.getTime(),
    1_000,
  );
}

async function tourTombstones(tx: Tx, clusterId: ClusterId): Promise<void> {
  const nodes = await lockNodes(tx.db, await membersOf(tx, clusterId));
  await listUnreachable(tx.db, clusterId, 20);
  await abandonNodes(tx, await tx.now(), nodes);
  await listTombstones(
    tx.db,
    nodes.map(({ lane }) => lane),
    null,
    20,
  );
  await removeTombstones(
    tx.db,
    nodes.map(({ id }) => id),
  );
}

/** A host with two hundred of the members, which nobody has heard for an hour. */
async function tourHost({ db }: Tx, store: Store, clusterId: ClusterId): Promise<void> {
  const { rows } = await sql<{ number: number }>`
    insert into muster.host (id, name, incarnation, drivers, seen_at)
    values (${store.runtime.entropy.uuid()}, 'silent', 'silent', '{process}', now() - interval '1 hour') returning number`.execute(db);
  const number = rows[0]?.number ?? 0;
  const found = await sql<{ id: string }>`select id from muster.host where number = ${number}`.execute(db);
  const host = { id: brandId("host", found.rows[0]?.id ?? ""), number };
  await ensureHostLanes(db, host.id, number);
  const lanes = hostLanes(number);
  await sql`
    update muster.node set host_id = ${host.id}, lane = ${lanes[0] ?? 0}::int + index % ${lanesPerHost}
     where id in (select id from muster.node where cluster_id = ${clusterId} order by id limit 200)`.execute(db);
  expect((await listSilentHosts(db, 1_000)).map(({ id }) => id)).toContain(host.id);
  await nextSilenceMs(db, 1_000);
  expect(await listReachedMembers(db, host, 20)).toHaveLength(20);
  await holdOrphanLanes(db, host);
  await recheckHostMembers(db, lanes);
  await liveHosts(db, "process");
}

async function tourWorkers(db: Tx["db"]): Promise<void> {
  const worker = await db.selectFrom("muster.worker").select("id").executeTakeFirstOrThrow();
  await readWorkerFacts(db);
  await ownedLanes(db, worker.id);
  const held = [...Array(32).keys()];
  await raiseLanes(db, worker.id, held);
  await releaseLanes(db, worker.id, held);
  await freeLanesOf(db, worker.id);
  await removeWorker(db, worker.id);
  await serverAgeMs(db);
  await heldWorkerLocks(db);
  await endBackends(db, "nobody");
  await readServerFacts(db);
  await readOpenTransactions(db);
}

async function tourInstallation(db: Tx["db"]): Promise<void> {
  await readInstallation(db);
  await claimSecretCheck(db, { $sealed: "a" });
  await holdSecretCheck(db);
  await lockSecretCheck(db);
  await replaceSecretCheck(db, { $sealed: "a" });
  await forgetFormerChecks(db, { $sealed: "a" });
  await replaceSpecs(db, await lockSpecsAfter(db, null, 100));
  await schemaState(db);
  await readIncarnation(db);
  await countWaitingMarkers(db);
}

async function tourReadBack(db: Tx["db"]): Promise<void> {
  await checksLeft(db, 1_000);
  await askNextChecks(db, null, 100);
  await endReadBack(db, 1);
}

async function tourTokens({ store, projectId }: World): Promise<void> {
  const { db } = store;
  const { entropy } = store.runtime;
  const secret = mintTokenSecret(entropy);
  await ensureFirstToken(store, mintTokenSecret(entropy), () => undefined);
  await ensureConfiguredToken(store, secret);
  await createLocalToken(store, { project: "default", name: "local", role: "READER", secret: mintTokenSecret(entropy) });
  await findTokenByHash(db, hashTokenSecret(secret));
  const token = await findTokenByName(db, projectId, "admin");
  if (token === null) throw new Error("the configured token is not there");
  await touchTokens(db, [token.id]);
  await findUsableTokens(db, [token.id]);
  await getTokensByIds(db, projectId, [token.id]);
  await findProjectByName(db, "default");
}
