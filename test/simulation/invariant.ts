/** What must hold whatever happened: looked at when everything has settled, and again when everything is gone. */

import { encodeCursor } from "../../src/core/cursor.ts";
import { type EventTypeName, eventTypeName } from "../../src/core/event.ts";
import { type NodeStatus, nodeTransitions } from "../../src/core/node.ts";
import { inconsistencies, useDifferences } from "../support/consistency.ts";
import { foldDifferences } from "../support/fold.ts";
import type { Client } from "./client.ts";
import type { Provider } from "./provider.ts";
import type { SimulatedServer } from "./server.ts";
import type { Subscriber } from "./subscriber.ts";

export interface Witnesses {
  readonly server: SimulatedServer;
  readonly provider: Provider;
  readonly clients: readonly Client[];
  readonly subscribers: readonly Subscriber[];
  /** The provider refused and lost answers, or members died: then steps may fail. Else nothing may. */
  readonly failing: boolean;
}

interface Line {
  readonly type: number;
  readonly cluster_id: string | null;
  readonly node_id: string | null;
  readonly action_id: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  readonly position: bigint;
  readonly ordinal: number;
  readonly incarnation: number;
}

/** Everything that does not hold. */
export async function breaches(witnesses: Witnesses): Promise<string[]> {
  const { server, provider, clients, subscribers } = witnesses;
  const lines = await server.read<Line>(
    `select e.type, e.cluster_id, e.node_id, e.action_id, e.data, p.position, e.ordinal, l.incarnation
       from muster.event e join muster.position p on p.batch = e.batch cross join muster.ledger l order by p.position, e.ordinal`,
  );
  return [
    ...(await foldDifferences(server.db)),
    ...(await inconsistencies(server.db)),
    ...(await useDifferences(server.db)),
    ...transitionBreaches(lines),
    ...sizeBreaches(lines),
    ...boundBreaches(lines),
    ...takenBackBreaches(lines),
    ...(await wishBreaches(server, clients)),
    ...subscribers.flatMap((subscriber, i) => streamBreaches(`subscriber ${i + 1}`, lines, subscriber.seen)),
    ...(await failureBreaches(server, witnesses.failing)),
    ...(await bookBreaches(server, provider)),
  ];
}

const named = (line: Line): EventTypeName => eventTypeName(line.type);

function transitionBreaches(lines: readonly Line[]): string[] {
  return lines.flatMap((line) => {
    if (named(line) !== "node.status.changed") return [];
    const from = String(line.data["from"]) as NodeStatus;
    const to = String(line.data["to"]);
    const known: readonly string[] = Object.values(nodeTransitions[from] ?? {});
    return known.includes(to) ? [] : [`node ${line.node_id} went from ${from} to ${to}`];
  });
}

/** No accepted change of the size was overwritten by one that did not know of it. */
function sizeBreaches(lines: readonly Line[]): string[] {
  const wanted = new Map<string, unknown>();
  return lines.flatMap((line) => {
    const id = line.cluster_id ?? "";
    if (named(line) === "cluster.created") wanted.set(id, line.data["desiredCapacity"]);
    if (named(line) !== "cluster.resized") return [];
    const before = wanted.get(id);
    wanted.set(id, line.data["to"]);
    return before === line.data["from"] ? [] : [`cluster ${id} was resized from ${String(line.data["from"])}, but ${String(before)} was wanted`];
  });
}

/** There are never more members than maxSize allows, those not counted that are on their way out. */
function boundBreaches(lines: readonly Line[]): string[] {
  const bounds = new Map<string, number>();
  const standing = new Map<string, Set<string>>();
  return lines.flatMap((line) => {
    const [id, node, type] = [line.cluster_id ?? "", line.node_id ?? "", named(line)];
    const members = standing.get(id) ?? new Set();
    standing.set(id, members);
    if (type === "cluster.created") bounds.set(id, Number(line.data["maxSize"]));
    if (type === "node.deleted" || (type === "node.status.changed" && line.data["to"] === "DELETING")) members.delete(node);
    if (type !== "node.created") return [];
    members.add(node);
    const most = bounds.get(id) ?? Number.POSITIVE_INFINITY;
    return members.size > most ? [`cluster ${id} has ${members.size} members, no more than ${most} are allowed`] : [];
  });
}

/** A deletion that was taken back takes nobody away any more: until the next wish there are as many as were wanted. */
function takenBackBreaches(lines: readonly Line[]): string[] {
  const wanted = new Map<string, number>();
  const standing = new Map<string, Set<string>>();
  const calm = new Set<string>();
  const isWish = (type: EventTypeName): boolean => type === "cluster.deletion.wanted" || type === "cluster.resized" || type === "action.created";
  const wished = new Set(lines.filter((line) => isWish(named(line))).map((line) => `${line.cluster_id} ${line.position}`));
  return lines.flatMap((line) => {
    const id = line.cluster_id ?? "";
    const type = named(line);
    // Members that a wish takes away at once are told of before the wish.
    if (wished.has(`${id} ${line.position}`)) calm.delete(id);
    const members = standing.get(id) ?? new Set();
    standing.set(id, members);
    if (type === "cluster.created") wanted.set(id, Number(line.data["desiredCapacity"]));
    if (type === "cluster.resized") wanted.set(id, Number(line.data["to"]));
    if (type === "cluster.deletion.cancelled") calm.add(id);
    if (type === "node.created") members.add(line.node_id ?? "");
    const goes = type === "node.deleted" || (type === "node.status.changed" && line.data["to"] === "DELETING");
    if (!goes || !members.delete(line.node_id ?? "") || !calm.has(id) || members.size >= (wanted.get(id) ?? 0)) return [];
    return [`node ${line.node_id} was taken away after the deletion of its cluster ${id} was taken back`];
  });
}

/** What clients were told is so, and each key did its work once. */
async function wishBreaches(server: SimulatedServer, clients: readonly Client[]): Promise<string[]> {
  const actions = await server.read<{ id: string; asked: boolean }>("select id, cause = 1 as asked from muster.action order by id");
  const there = new Set(actions.map(({ id }) => id));
  const asked = actions.filter((action) => action.asked).map(({ id }) => id);
  const told = new Set<string>();
  const lost: string[] = [];
  let open = 0;
  for (const client of clients) {
    for (const [key, answer] of client.accepted) {
      const id = answer["actionId"];
      if (id === undefined) continue;
      told.add(id);
      if (!there.has(id)) lost.push(`${key} was accepted as action ${id}, which does not exist`);
    }
    open += [...client.open].filter((key) => !client.accepted.has(key)).length;
  }
  const untold = asked.filter((id) => !told.has(id)).length;
  return untold > open ? [...lost, `${untold} actions of users exist of which nobody was told, and only ${open} wishes are open`] : lost;
}

/** Every event exactly once, in the ledger's order. */
function streamBreaches(who: string, lines: readonly Line[], seen: readonly string[]): string[] {
  const all = lines.map(({ incarnation, position, ordinal }) => encodeCursor({ incarnation, position, ordinal }));
  const at = all.findIndex((cursor, i) => cursor !== seen[i]);
  if (at < 0 && seen.length === all.length) return [];
  return [
    `${who} saw ${seen.length} of ${all.length} events; the first difference is at ${at}: ${seen.slice(at - 1, at + 4).join(" ")} instead of ${all.slice(at - 1, at + 4).join(" ")}`,
  ];
}

/** An action fails for what the provider did, never because one of ours died. */
async function failureBreaches(server: SimulatedServer, failing: boolean): Promise<string[]> {
  const rows = await server.read<{ id: string; kind: number; status_reason: string | null }>(
    "select id, kind, status_reason from muster.action where status = 5 order by id",
  );
  return rows.flatMap(({ id, kind, status_reason: reason }) =>
    /NOBODY_KNOWS/.test(reason ?? "") || (failing && /PROVIDER|DEADLINE|NO_OUTCOME|members failed|not there any more/.test(reason ?? ""))
      ? []
      : [`action ${id} (kind ${kind}) failed: ${reason}`],
  );
}

/** Tables and provider agree: who is ACTIVE lives, and nothing lives that no row names. */
async function bookBreaches(server: SimulatedServer, provider: Provider): Promise<string[]> {
  const nodes = await server.read<{
    id: string;
    name: string;
    status: number;
    epoch: number;
    physical_id: string | null;
    spec: object;
    behind: boolean;
  }>(
    `select n.id, n.name, n.status, n.epoch, n.physical_id, p.spec, not n.own_profile and n.profile_id <> c.profile_id as behind
       from muster.node n join muster.profile p on p.id = n.profile_id join muster.cluster c on c.id = n.cluster_id order by n.id`,
  );
  const graves = new Set((await server.read<{ node_id: string }>("select node_id from muster.tombstone order by 1")).map((row) => row.node_id));
  const rows = new Map(nodes.map((node) => [node.id, node]));
  const found: string[] = [];
  const living = provider.living();
  for (const node of nodes) {
    if (node.status !== 3) continue;
    const thing = living.find((each) => each.nodeId === node.id);
    if (thing === undefined) found.push(`${node.name} is ACTIVE as ${node.physical_id}, and nothing lives`);
    else if (thing.id !== node.physical_id || thing.epoch !== node.epoch)
      found.push(`${node.name} is ACTIVE as ${node.physical_id} of epoch ${node.epoch}; what lives is ${thing.id} of epoch ${thing.epoch}`);
    else if (JSON.stringify(thing.spec) !== JSON.stringify(node.spec))
      found.push(`${node.name} is said to be ${JSON.stringify(node.spec)}; ${thing.id} was told to be ${JSON.stringify(thing.spec)}`);
    if (node.behind) found.push(`${node.name} was left behind by a roll-out`);
  }
  for (const thing of living) {
    if (!rows.has(thing.nodeId) && !graves.has(thing.nodeId))
      found.push(`${thing.id} lives (${thing.type}, epoch ${thing.epoch}), and no row names it`);
  }
  return found;
}
