/**
 * One cluster whose size is changed hundreds of times a second, up and down: whether every change is accepted, how long that takes, when the last one is
 * carried out, and how many calls of the driver it came to, against those that the last one alone would have needed.
 */
import pg from "pg";
import { eventTypes } from "../src/core/event.ts";
import { decodeId } from "../src/core/ids.ts";
import { listen, makeCluster, makeProfile } from "./ask.ts";
import { type Installation, startInstallation } from "./installation.ts";
import { openPoster, type Poster } from "./post.ts";
import { cpuSecondsUnder } from "./process-tree.ts";
import { type Latency, latencyOf } from "./statistic.ts";
import { latency, printTable, whole } from "./table.ts";
import { climb, swing, type Wishes } from "./wish.ts";

export const connections = 32;
/** Changes that could not even be sent within this multiple of the time that they were to take are left out, but for the last one. */
const patience = 2;
/** What is to be reached. */
const settledMs = 2_000;
const callShare = 1.1;

/** @param fields of the payload: each costs a read */
const resize = (fields: string): string => `mutation ($id: ID!, $size: Int!) {
  resizeCluster(input: { cluster: { id: $id }, capacity: { exactly: $size } }) { ... on ResizeClusterPayload { ${fields} } ... on Error { message } }
}`;
const oneOfMany = resize("action { id }");
const lastOne = resize("action { id } cluster { generation }");

interface Storm {
  readonly name: string;
  readonly asked: number;
  readonly accepted: number;
  readonly refused: readonly string[];
  /** Changes accepted a second, from the first one sent to the last answer. */
  readonly perSecond: number;
  /** From the moment a change was to be sent, waiting for a connection included. */
  readonly sinceDue: Latency;
  readonly sinceSent: Latency;
  /** From the last answer until the ledger's line that says so is here. */
  readonly settledMs: number;
  readonly creates: number;
  readonly deletes: number;
  readonly least: number;
  /** CPU of all of Muster's processes and PostgreSQL's, s for each second of the storm. */
  readonly cpu: number;
}

export async function benchSupersede(seconds: number, quick: boolean): Promise<void> {
  const [members, rate] = quick ? [1_000, 100] : [10_000, 500];
  const installation = await startInstallation();
  const { databaseUrl, stop } = installation;
  const database = new pg.Client({ connectionString: databaseUrl });
  try {
    await database.connect();
    const storms: Storm[] = [];
    for (const wishes of [climb(members, rate * seconds, 1), swing(members, rate * seconds, 2)]) {
      storms.push(await storm(installation, database, wishes, members, rate));
    }
    const verdict = (met: boolean): string => (met ? "" : " MISSED");
    printTable(
      storms.flatMap((one): [string, string][] => {
        const calls = one.creates + one.deletes;
        return [
          [
            `${one.name}: changes to be made at ${rate}/s, accepted, refused`,
            `${whole(one.asked)}, ${whole(one.accepted)}, ${one.refused.length}${verdict(one.accepted === one.asked)}`,
          ],
          [`${one.name}: accepted a second`, `${whole(one.perSecond)}${verdict(one.perSecond >= 0.99 * rate)}`],
          [`${one.name}: p50 / p99 ms since it was due`, latency(one.sinceDue)],
          [`${one.name}: p50 / p99 ms since it was sent, over ${connections} connections`, latency(one.sinceSent)],
          [`${one.name}: settled after the last answer, ms`, `${whole(one.settledMs)}${verdict(one.settledMs <= settledMs)}`],
          [
            `${one.name}: driver calls (made + taken away); the last change alone needs`,
            `${whole(calls)} (${whole(one.creates)} + ${whole(one.deletes)}); ${whole(one.least)}: × ${(calls / one.least).toFixed(2)}${verdict(calls <= callShare * one.least)}`,
          ],
          [`${one.name}: cores busy, Muster and PostgreSQL`, one.cpu.toFixed(2)],
        ];
      }),
      { members, rate, seconds, storms },
    );
  } finally {
    await database.end();
    await stop();
  }
}

async function storm(installation: Installation, database: pg.Client, wishes: Wishes, members: number, rate: number): Promise<Storm> {
  const { client, pid } = installation;
  await makeProfile(client, wishes.name, "sim", {});
  const ends = await listen(client, ["action.finished"]);
  const { clusterId } = await makeCluster(client, wishes.name, 0).then(async (made) => {
    await ends.next(({ actionId }) => actionId === made.actionId);
    return made;
  });
  const poster = openPoster(installation, connections);
  await changeSize(poster, clusterId, members).then((actionId) => ends.next((line) => line.actionId === actionId));
  ends.close();
  const before = await driverCalls(database, clusterId);
  const sinceDue: number[] = [];
  const sinceSent: number[] = [];
  const refused: string[] = [];
  const cpuBefore = cpuSecondsUnder(pid);
  const startedMs = performance.now();
  const untilMs = startedMs + (patience * 1_000 * wishes.sizes.length) / rate;
  let next = 0;
  // As many askers as connections, so that nothing but the server makes a change wait.
  const sizes = wishes.sizes.slice(0, -1);
  const ask = async (): Promise<void> => {
    for (let n = next++; n < sizes.length && performance.now() < untilMs; n = next++) {
      const dueMs = startedMs + (n * 1_000) / rate;
      const early = dueMs - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      const sentMs = performance.now();
      try {
        await changeSize(poster, clusterId, sizes[n] ?? 0);
        sinceDue.push(performance.now() - dueMs);
        sinceSent.push(performance.now() - sentMs);
      } catch (error) {
        refused.push(String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: connections }, ask));
  const settles = await listen(client, ["cluster.settled"]);
  const last = await send(poster, lastOne, clusterId, wishes.sizes.at(-1) ?? 0);
  const answeredMs = performance.now();
  const cpu = (cpuSecondsUnder(pid) - cpuBefore) / ((answeredMs - startedMs) / 1_000);
  await settles.next((line) => line.clusterId === clusterId && Number(line.data["generation"]) >= last.generation);
  const settled = performance.now() - answeredMs;
  settles.close();
  poster.close();
  if (refused.length > 0) console.error([...new Set(refused)].join("\n"));
  const after = await driverCalls(database, clusterId);
  return {
    name: wishes.name,
    asked: wishes.sizes.length,
    accepted: sinceSent.length + 1,
    refused,
    perSecond: (sinceSent.length + 1) / ((answeredMs - startedMs) / 1_000),
    sinceDue: latencyOf(sinceDue),
    sinceSent: latencyOf(sinceSent),
    settledMs: settled,
    creates: after.creates - before.creates,
    deletes: after.deletes - before.deletes,
    least: wishes.least,
    cpu,
  };
}

interface Answer {
  readonly data?: {
    readonly resizeCluster: {
      readonly action?: { readonly id: string };
      readonly cluster?: { readonly generation: number };
      readonly message?: string;
    };
  } | null;
}

/** One change, of which only the action is asked. @throws Error with what the server said instead of accepting it */
export async function changeSize(poster: Poster, clusterId: string, size: number): Promise<string> {
  return (await send(poster, oneOfMany, clusterId, size)).actionId;
}

/** @throws Error with what the server said instead of accepting it */
async function send(poster: Poster, document: string, id: string, size: number): Promise<{ actionId: string; generation: number }> {
  const text = await poster.post(document, { id, size });
  const { data }: Answer = JSON.parse(text);
  const action = data?.resizeCluster.action;
  if (action === undefined) throw new Error(data?.resizeCluster.message ?? text);
  return { actionId: action.id, generation: data?.resizeCluster.cluster?.generation ?? 0 };
}

/**
 * What the driver was called for so far, one member each, as the ledger has it: every member that was planned and not dropped before it was begun, and every
 * one that was being taken away. `sim` fails at nothing here, so there are no second calls.
 */
async function driverCalls(database: pg.Client, clusterId: string): Promise<{ creates: number; deletes: number }> {
  const { rows } = await database.query<{ planned: string; gone: string; deletes: string }>(
    `select count(*) filter (where type = $2) as planned, count(*) filter (where type = $3) as gone,
            count(*) filter (where type = $4 and data->>'to' = 'DELETING') as deletes
       from muster.event where cluster_id = $1`,
    [decodeId("cluster", clusterId), eventTypes["node.created"].code, eventTypes["node.deleted"].code, eventTypes["node.status.changed"].code],
  );
  const [row] = rows;
  const [planned, gone, deletes] = [Number(row?.planned), Number(row?.gone), Number(row?.deletes)];
  return { creates: planned - (gone - deletes), deletes };
}
