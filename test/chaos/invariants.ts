/** What must hold after any history, checked when everything has come to rest: against the provider's books, the ledger and what clients were told. */
import { sql } from "kysely";
import type { ApiClient } from "../../src/cli/client.ts";
import { EventsDocument } from "../../src/cli/graphql/generated/graphql.ts";
import { actionCauseCodes, actionStatusCodes } from "../../src/core/action.ts";
import { eventTypeCodes } from "../../src/core/event.ts";
import { encodeId, type NodeId } from "../../src/core/ids.ts";
import { nodeStatuses, nodeTransitions } from "../../src/core/node.ts";
import type { Database } from "../../src/store/database.ts";
import { inconsistencies, useDifferences } from "../support/consistency.ts";
import { foldDifferences } from "../support/fold.ts";
import type { ProviderProcess } from "../support/provider.ts";
import type { Noted } from "./client.ts";
import type { Follower } from "./follower.ts";
import { largest, profileOf, tally } from "./wish.ts";

export interface Evidence {
  readonly db: Database;
  readonly provider: ProviderProcess;
  readonly api: ApiClient;
  readonly journal: readonly Noted[];
  readonly follower: Follower;
}

/** Everything that does not hold; empty: all does. */
export async function broken(evidence: Evidence): Promise<string[]> {
  const { db } = evidence;
  return [
    ...(await providerBooks(evidence)),
    ...(await sizes(evidence)),
    ...(await fences(evidence)),
    ...(await mutations(evidence)),
    ...(await failures(db)),
    ...(await transitions(db)),
    ...(await events(evidence)),
    ...(await foldDifferences(db)).map((difference) => `fold: ${difference}`),
    ...(await inconsistencies(db)).map((what) => `tables: ${what}`),
    ...(await useDifferences(db)).map((what) => `use: ${what}`),
  ];
}

async function providerBooks({ db, provider }: Evidence): Promise<string[]> {
  const books = await provider.books();
  const nodes = await db.selectFrom("muster.node").select(["id", "physical_id"]).execute();
  const named = new Set(nodes.map((node) => `${node.id} ${node.physical_id}`));
  const alive = new Set(books.alive.map((life) => `${life.nodeId} ${life.physicalId}`));
  return [
    ...books.doubles.map((double) => `provider: two lives at once ${JSON.stringify(double)}`),
    ...books.repeated.map((repeated) => `provider: one key, several effects ${JSON.stringify(repeated)}`),
    ...books.sharedFences.map((shared) => `provider: one token, two workers ${JSON.stringify(shared)}`),
    ...[...alive].filter((life) => !named.has(life)).map((life) => `provider: ${life} is there, and no member is it`),
    ...[...named].filter((life) => !alive.has(life)).map((life) => `provider: member ${life} is not there`),
  ];
}

/** How many members of a cluster the provider had at once, those not counted whose deletion had been decided. */
async function sizes({ db, provider }: Evidence): Promise<string[]> {
  const { rows } = await sql<{ node: NodeId; cluster: string; leaving: Date | null }>`
    /* chaos.members */
    select c.node_id as node, c.cluster_name as cluster,
           (select min(d.occurred_at) from muster.event d
             where d.node_id = c.node_id and d.type = any(${eventTypeCodes(["node.status.changed"])}::smallint[]) and d.data ->> 'to' = 'DELETING') as leaving
      from muster.event c where c.type = any(${eventTypeCodes(["node.created"])}::smallint[]) and c.cluster_name is not null`.execute(db);
  const members = new Map(rows.map((row) => [row.node, row]));
  const { lives } = await provider.lives();
  const steps = new Map<string, { readonly at: number; readonly by: 1 | -1 }[]>();
  for (const { nodeId, bornAt, endedAt } of lives) {
    const member = members.get(nodeId);
    if (member === undefined || member.cluster === tally) continue;
    const until = Math.min(endedAt ?? Number.POSITIVE_INFINITY, member.leaving?.getTime() ?? Number.POSITIVE_INFINITY);
    if (until <= bornAt) continue;
    const list = steps.get(member.cluster) ?? [];
    steps.set(member.cluster, list);
    list.push({ at: bornAt, by: 1 }, { at: until, by: -1 });
  }
  return [...steps].flatMap(([cluster, list]) => {
    let size = 0;
    let most = 0;
    for (const { by } of list.sort((a, b) => a.at - b.at || a.by - b.by)) {
      size += by;
      most = Math.max(most, size);
    }
    return most > largest ? [`provider: cluster ${cluster} had ${most} members at once, no more than ${largest} are allowed`] : [];
  });
}

/** No provider was ever shown a token that its lane has not reached. */
async function fences({ db, provider }: Evidence): Promise<string[]> {
  const { fences: seen } = await provider.lives();
  const { rows } = await sql<{ id: NodeId; epoch: bigint }>`
    /* chaos.fences */ select n.id, l.epoch from muster.node n join muster.lane l on l.id = n.lane`.execute(db);
  return rows.flatMap(({ id, epoch }) =>
    BigInt(seen[id] ?? 0) > epoch ? [`token: the provider has seen ${seen[id]} of node ${id}, its lane is at ${epoch}`] : [],
  );
}

/** Every mutation that was accepted stands in the database, once, as it was answered. */
async function mutations({ db, journal }: Evidence): Promise<string[]> {
  const keys = await db.selectFrom("muster.idempotency_key").select(["key", "payload"]).execute();
  const kept = new Map(keys.map((row) => [row.key, row.payload]));
  const actions = await db.selectFrom("muster.action").select(["id", "cause"]).execute();
  const known = new Set(actions.map((action) => encodeId("action", action.id)));
  const breaches: string[] = [];
  const asked = new Set<string>();
  let more = 0;
  for (const { key, wish, accepted, refused, lost } of journal) {
    const payload = kept.get(key);
    const actionId = payload === undefined ? null : actionOf(payload);
    if (actionId !== null) asked.add(actionId);
    if (wish.kind === "tally" && actionId !== null) more += 1;
    const what = `mutation ${key} (${JSON.stringify(wish)})`;
    if (accepted.size > 1) breaches.push(`${what}: accepted as ${[...accepted].join(" and ")}`);
    for (const id of accepted) {
      if (actionId !== id) breaches.push(`${what}: answered ${id}, the database has ${actionId ?? "nothing"}`);
      if (!known.has(id)) breaches.push(`${what}: action ${id} is lost`);
    }
    if (accepted.size === 0 && refused.size === 0) breaches.push(`${what}: never answered (${lost.join("; ")})`);
    if (actionId !== null && accepted.size === 0 && lost.length === 0) breaches.push(`${what}: refused, and done (${[...refused].join("; ")})`);
  }
  for (const action of actions) {
    const id = encodeId("action", action.id);
    if (action.cause === actionCauseCodes.USER && !asked.has(id))
      breaches.push(`action ${id}: nobody asked for it, or it was asked for once and done twice`);
  }
  const counted = await db.selectFrom("muster.cluster").select("desired_capacity").where("name", "=", tally).executeTakeFirst();
  if (counted?.desired_capacity !== more)
    breaches.push(`cluster ${tally}: one more was asked for ${more} times, it wants ${counted?.desired_capacity}`);
  return breaches;
}

function actionOf(payload: unknown): string | null {
  if (typeof payload !== "object" || payload === null || !("actionId" in payload)) return null;
  return encodeId("action", payload.actionId as Parameters<typeof encodeId<"action">>[1]);
}

/** Nothing that we broke may make an action fail: only where members fail by themselves may they. */
async function failures(db: Database): Promise<string[]> {
  const rows = await db
    .selectFrom("muster.action")
    .select(["id", "subject_name", "kind", "status_reason"])
    .where("status", "=", actionStatusCodes.FAILED)
    .execute();
  return rows
    .filter((row) => profileOf((row.subject_name ?? "").split("-")[0] ?? "") !== "flaky")
    .map((row) => `action ${row.id} (kind ${row.kind}, of ${row.subject_name}) FAILED: ${row.status_reason}`);
}

async function transitions(db: Database): Promise<string[]> {
  const { rows } = await sql<{ from: string; to: string; n: bigint }>`
    /* chaos.transitions */
    select data ->> 'from' as from, data ->> 'to' as to, count(*) as n from muster.event
     where type = any(${eventTypeCodes(["node.status.changed"])}::smallint[]) group by 1, 2`.execute(db);
  return rows.flatMap(({ from, to, n }) => {
    const status = nodeStatuses.find((known) => known === from);
    const tabled = status !== undefined && Object.values<string>(nodeTransitions[status]).includes(to);
    return tabled ? [] : [`transition ${from} → ${to} is in no table, and happened ${n} times`];
  });
}

/** The subscriber was told every event that there is since it began, in the ledger's order, once. */
async function events({ api, follower }: Evidence): Promise<string[]> {
  const written = await eventsSince(api, follower.start);
  const last = written.at(-1);
  if (last !== undefined) await follower.heard(last);
  const told = follower.ids;
  if (told.length === written.length && told.every((id, i) => id === written[i])) return [];
  const at = written.findIndex((id, i) => told[i] !== id);
  return [`events: ${written.length} were written, the subscriber was told ${told.length}; they part at ${at} (${written[at]}, ${told[at]})`];
}

async function eventsSince(api: ApiClient, start: string): Promise<string[]> {
  const ids: string[] = [];
  for (let after = start; ; ) {
    const { events: page } = await api.request(EventsDocument, { first: 1_000, after });
    ids.push(...page.nodes.map((event) => event.id));
    if (!page.pageInfo.hasNextPage) return ids;
    after = page.resumeCursor;
  }
}
