/**
 * A client that wants an answer: each request has an idempotency key and is repeated with it, at one API process after the other, until it is answered.
 * Everything that was ever answered is noted, also what comes late, so that it can be compared with what the database holds.
 */

import type { ApiClient } from "../../src/cli/client.ts";
import {
  CancelActionDocument,
  CheckClusterDocument,
  CheckNodeDocument,
  CreateClusterDocument,
  CreateNodeDocument,
  DeleteClusterDocument,
  DeleteNodeDocument,
  RecoverClusterDocument,
  RecoverNodeDocument,
  ResizeClusterDocument,
  ScaleOutClusterDocument,
} from "../../src/cli/graphql/generated/graphql.ts";
import { refusalIn } from "../../src/cli/refusal.ts";
import type { Timers } from "../../src/core/runtime.ts";
import { dice } from "./dice.ts";
import { largest, nextRequest, profileOf, tally, type Wish } from "./wish.ts";

export interface Noted {
  readonly key: string;
  readonly wish: Wish;
  /** Ids of the action in every answer that accepted it: all the same, or something is wrong. */
  readonly accepted: Set<string>;
  readonly refused: Set<string>;
  /** What went wrong with calls that were not answered. */
  readonly lost: string[];
}

/** How long an answer is waited for before the request is repeated elsewhere, ms: the first call goes on. */
const patienceMs = 2_500;
const pauseMs = 150;

export interface ClientOptions {
  readonly seed: number;
  readonly name: string;
  readonly apis: readonly ApiClient[];
  readonly timers: Timers;
  readonly journal: Noted[];
  /** No further requests. */
  readonly done: AbortSignal;
}

/** Asks until it is told to stop, and until the last request is answered. */
export async function runClient(options: ClientOptions): Promise<void> {
  const { done, journal, timers } = options;
  const roll = dice(options.seed);
  const calls: Promise<void>[] = [];
  for (let n = 0; !done.aborted; n++) {
    const request = nextRequest(roll);
    const mine = journal.filter((one) => one.key.startsWith(`${options.name}-`) && one.accepted.size > 0 && mayBeCancelled(one.wish));
    const noted = notedOf(`${options.name}-${n}`, request.wish);
    const subject = request.wish.kind === "cancel" ? [...(mine.at(-request.wish.back)?.accepted ?? [])][0] : undefined;
    if (request.wish.kind !== "cancel" || subject !== undefined) {
      journal.push(noted);
      const once = (api: ApiClient): Promise<void> => ask(api, noted, subject);
      await untilAnswered(options, noted, n, once, calls);
      if (request.again) calls.push(once(apiAt(options, n + 1)));
    }
    await timers.wait(request.pauseMs, done);
  }
  await Promise.all(calls);
}

/** What is counted in the end must not be withdrawn. */
function mayBeCancelled({ kind }: Wish): boolean {
  return kind !== "tally" && kind !== "cancel";
}

function apiAt({ apis }: ClientOptions, n: number): ApiClient {
  const api = apis[n % apis.length];
  if (api === undefined) throw new Error("there is no API");
  return api;
}

async function untilAnswered(
  options: ClientOptions,
  noted: Noted,
  n: number,
  once: (api: ApiClient) => Promise<void>,
  calls: Promise<void>[],
): Promise<void> {
  for (let attempt = 0; noted.accepted.size === 0 && noted.refused.size === 0; attempt++) {
    if (attempt > 0) await options.timers.wait(pauseMs);
    const call = once(apiAt(options, n + attempt));
    calls.push(call);
    const enough = new AbortController();
    await Promise.race([call, options.timers.wait(patienceMs, enough.signal)]);
    enough.abort();
  }
}

export function notedOf(key: string, wish: Wish): Noted {
  return { key, wish, accepted: new Set(), refused: new Set(), lost: [] };
}

/** Asks once, and notes what comes of it. @param subject the action to be cancelled */
export async function ask(api: ApiClient, noted: Noted, subject?: string): Promise<void> {
  try {
    const [result] = Object.values(await send(api, noted.wish, noted.key, subject));
    if (typeof result !== "object" || result === null) throw new Error("a mutation answered nothing");
    const refusal = refusalIn(result);
    if (refusal === null) noted.accepted.add(actionIn(result));
    else noted.refused.add(refusal);
  } catch (error) {
    noted.lost.push(String(error));
  }
}

function actionIn(result: object): string {
  if ("action" in result && typeof result.action === "object" && result.action !== null && "id" in result.action) return String(result.action.id);
  throw new Error(`a mutation was accepted without an action: ${JSON.stringify(result)}`);
}

function send(api: ApiClient, wish: Wish, idempotencyKey: string, subject: string | undefined): Promise<Readonly<Record<string, unknown>>> {
  const cluster = { name: wish.kind === "tally" ? tally : "cluster" in wish ? wish.cluster : "" };
  const node = { index: { cluster, index: "index" in wish ? wish.index : 0 } };
  switch (wish.kind) {
    case "create":
      return api.request(CreateClusterDocument, {
        input: { name: wish.cluster, profile: { name: profileOf(wish.cluster) }, desiredCapacity: wish.size, maxSize: largest, idempotencyKey },
      });
    case "exactly":
      return api.request(ResizeClusterDocument, { input: { cluster, capacity: { exactly: wish.size }, idempotencyKey } });
    case "by":
      return api.request(ResizeClusterDocument, { input: { cluster, capacity: { by: wish.count }, strict: false, idempotencyKey } });
    case "tally":
      return api.request(ScaleOutClusterDocument, { input: { cluster, count: 1, idempotencyKey } });
    case "check":
      return api.request(CheckClusterDocument, { input: { cluster, idempotencyKey } });
    case "recover":
      return api.request(RecoverClusterDocument, { input: { cluster, idempotencyKey } });
    case "delete":
      return api.request(DeleteClusterDocument, { input: { cluster, idempotencyKey } });
    case "createNode":
      return api.request(CreateNodeDocument, { input: { cluster, idempotencyKey } });
    case "checkNode":
      return api.request(CheckNodeDocument, { input: { node, idempotencyKey } });
    case "recoverNode":
      return api.request(RecoverNodeDocument, { input: { node, idempotencyKey } });
    case "deleteNode":
      return api.request(DeleteNodeDocument, { input: { node, reduceDesiredCapacity: wish.index % 2 === 0, idempotencyKey } });
    case "cancel":
      return api.request(CancelActionDocument, { input: { id: subject ?? "", idempotencyKey } });
  }
}
