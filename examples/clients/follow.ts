/** What the examples have in common: what they are told, and what they follow. */
import { setTimeout } from "node:timers/promises";

export interface FollowOptions {
  /** e.g. http://127.0.0.1:4000/graphql */
  readonly url: string;
  /** An API token. */
  readonly token: string;
  /** The cursor of the last event that was dealt with, kept from an earlier run; absent: from now on. */
  readonly after?: string | undefined;
  /** Ends the following. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: FollowedEvent) => void;
}

export interface FollowedEvent {
  readonly cursor: string;
  readonly type: string;
  readonly message: string;
}

export const followDocument = /* GraphQL */ `
  subscription Follow($after: String) {
    events(filter: { types: ["cluster.", "node.status.changed"] }, after: $after) {
      cursor
      type
      message
    }
  }
`;

/** ws:// for http://, wss:// for https:// */
export function socketUrl(url: string): string {
  return url.replace(/^http/, "ws");
}

/** A pause before the next connect: short, growing, and over at once when the following ends. */
export async function pause(attempt: number, signal: AbortSignal): Promise<void> {
  await setTimeout(Math.min(5_000, 50 * 2 ** attempt), undefined, { signal }).catch(() => "the following has ended");
}
