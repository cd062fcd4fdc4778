/** The provider process of `sim` in tests: starting it, asking its books, and being its client as the driver sees it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { NodeId } from "../../src/core/ids.ts";
import type { Answer, Effect, Provider, Sight } from "../../src/drivers/sim/provider.ts";

export type ProviderVerb = "create" | "delete" | "inspect" | "update";

/** What the provider says has happened. */
export interface Books {
  readonly alive: readonly { readonly nodeId: NodeId; readonly epoch: number; readonly physicalId: string; readonly updates: number }[];
  /** Lives ever begun. */
  readonly created: number;
  /** Two lives of one node at the same time: must stay empty. */
  readonly doubles: readonly { readonly nodeId: NodeId; readonly epochs: readonly number[] }[];
  /** How often each idempotency key was called. */
  readonly calls: Readonly<Record<string, number>>;
  /** Calls in all, of any verb. */
  readonly total: number;
  /** Effects that were refused because a newer owner of the lane had called before. */
  readonly fencedOff: number;
  /** The same fence, used by two workers for one node: must stay empty. */
  readonly sharedFences: readonly { readonly nodeId: NodeId; readonly fence: string; readonly callers: readonly string[] }[];
  /** Keys that brought something about more than once: must stay empty. */
  readonly repeated: readonly { readonly key: string; readonly count: number }[];
}

/** A member's life as the provider saw it, by its clock. */
export interface Life {
  readonly nodeId: NodeId;
  readonly epoch: number;
  readonly bornAt: number;
  readonly endedAt: number | null;
}

export interface ProviderWish {
  readonly kill?: readonly NodeId[];
  /** So many members die, whoever they are. */
  readonly killSome?: number;
  readonly mute?: number;
  readonly delayMs?: number;
  /** The next call of this verb stands still, before or after it is carried out, until `release`. */
  readonly hold?: { readonly verb: ProviderVerb; readonly when: "before" | "after" };
  readonly release?: true;
}

export interface ProviderProcess {
  /** For workers in processes of their own: `remoteProvider(url)`. */
  readonly url: string;
  readonly provider: Provider;
  books(): Promise<Books>;
  /** Every life there ever was, and the highest fence that came for each node. */
  lives(): Promise<{ readonly lives: readonly Life[]; readonly fences: Readonly<Record<string, string>> }>;
  control(wish: ProviderWish): Promise<void>;
  /** Has the next call of the verb stand still; resolves when one does. */
  hold(verb: ProviderVerb, when: "before" | "after"): Promise<void>;
  stop(): Promise<void>;
}

const script = fileURLToPath(new URL("./provider-process.mjs", import.meta.url));

export async function startProvider(): Promise<ProviderProcess> {
  const child = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"] });
  const url = await firstLine(child);
  return {
    url,
    provider: remoteProvider(url, "the test"),
    books: () => ask<Books>(`${url}/books`, null),
    lives: () => ask(`${url}/lives`, null),
    control: async (wish) => {
      await ask(`${url}/control`, wish);
    },
    hold: async (verb, when) => {
      await ask(`${url}/control`, { hold: { verb, when } });
      await ask(`${url}/held`, null);
    },
    stop: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** The driver's side of the provider process. @param caller who asks, where the books are to know it */
export function remoteProvider(url: string, caller?: string): Provider {
  const call = async <T>(operation: string, effects: readonly Effect[], signal: AbortSignal): Promise<readonly T[]> => {
    if (effects.length === 0) return [];
    const body = { effects: effects.map((effect) => ({ ...effect, fence: String(effect.fence) })), caller };
    const { answers } = await ask<{ answers: readonly T[] }>(`${url}/${operation}`, body, signal);
    return answers;
  };
  return {
    create: (effects, signal) => call<Answer>("create", effects, signal),
    delete: (effects, signal) => call<Answer>("delete", effects, signal),
    inspect: (effects, signal) => call<Sight>("inspect", effects, signal),
    update: (effects, signal) => call<Answer>("update", effects, signal),
  };
}

async function ask<T>(url: string, body: object | null, signal?: AbortSignal): Promise<T> {
  const init = body === null ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(url, signal === undefined ? init : { ...init, signal });
  const value: T = await response.json();
  return value;
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("the provider process ended before it listened")));
    if (child.stdout !== null) createInterface(child.stdout).once("line", resolve);
  });
}
