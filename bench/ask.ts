/** What the measures ask of the API, and how they wait: for lines of the ledger, never for a time. */
import type { ApiClient } from "../src/cli/client.ts";
import {
  CheckClusterDocument,
  CreateClusterDocument,
  CreateProfileDocument,
  DeleteClusterDocument,
  EventStreamDocument,
  type EventStreamSubscription,
  FeedCursorDocument,
  ResizeClusterDocument,
  UpdateClusterDocument,
} from "../src/cli/graphql/generated/graphql.ts";
import { refusalIn } from "../src/cli/refusal.ts";

export type LedgerLine = EventStreamSubscription["events"];

/** Throws where a mutation was refused: what is measured must have happened. */
export function accepted<T extends object, Key extends PropertyKey>(payload: T, key: Key): Extract<T, Record<Key, unknown>> {
  if (!has(payload, key)) throw new Error(`refused: ${refusalIn(payload)}`);
  return payload;
}

function has<T extends object, Key extends PropertyKey>(payload: T, key: Key): payload is Extract<T, Record<Key, unknown>> {
  return key in payload;
}

export async function makeProfile(client: ApiClient, name: string, type: string, spec: Record<string, unknown>): Promise<void> {
  const { createProfile } = await client.request(CreateProfileDocument, { input: { name, type, spec } });
  accepted(createProfile, "profile");
}

/** Makes a cluster of the profile that has its name, and answers the action that makes its members. */
export async function makeCluster(client: ApiClient, name: string, desiredCapacity: number): Promise<{ clusterId: string; actionId: string }> {
  const input = { name, profile: { name }, desiredCapacity, minSize: 0, timeoutSeconds: 3_600 };
  const { cluster, action } = accepted((await client.request(CreateClusterDocument, { input })).createCluster, "action");
  return { clusterId: cluster.id, actionId: action.id };
}

export async function resize(client: ApiClient, clusterId: string, size: number): Promise<string> {
  const input = { cluster: { id: clusterId }, capacity: { exactly: size }, strict: true };
  return accepted((await client.request(ResizeClusterDocument, { input })).resizeCluster, "action").action.id;
}

/** Has every member brought over to another profile, by its name. */
export async function rollOut(client: ApiClient, clusterId: string, profile: string): Promise<string> {
  const input = { cluster: { id: clusterId }, profile: { name: profile } };
  return accepted((await client.request(UpdateClusterDocument, { input })).updateCluster, "action").action.id;
}

/** Has the driver asked about every member. */
export async function check(client: ApiClient, clusterId: string): Promise<string> {
  const input = { cluster: { id: clusterId } };
  return accepted((await client.request(CheckClusterDocument, { input })).checkCluster, "action").action.id;
}

export async function unmake(client: ApiClient, clusterId: string): Promise<string> {
  const input = { cluster: { id: clusterId }, abandon: false };
  return accepted((await client.request(DeleteClusterDocument, { input })).deleteCluster, "action").action.id;
}

/** Follows the ledger from now on. */
export async function listen(client: ApiClient, types: readonly string[]): Promise<Listener> {
  const { feedCursor } = await client.request(FeedCursorDocument, {});
  const stop = new AbortController();
  const stream = client.subscribe(EventStreamDocument, { after: feedCursor, filter: { types: [...types] } }, stop.signal)[Symbol.asyncIterator]();
  return {
    next: async (wanted) => {
      for (;;) {
        const { value, done } = await stream.next();
        if (done === true) throw new Error("the stream has ended");
        if (wanted(value.events)) return value.events;
      }
    },
    close: () => stop.abort(),
  };
}

export interface Listener {
  /** The next line that is wanted; those before it are passed over. */
  next(wanted: (line: LedgerLine) => boolean): Promise<LedgerLine>;
  close(): void;
}
