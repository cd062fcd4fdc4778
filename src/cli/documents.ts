/** What the demo asks. */
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { parse } from "graphql";

interface Outcome {
  readonly __typename: string;
  readonly message?: string;
  readonly issues?: readonly { readonly path: readonly string[]; readonly message: string }[];
}

const problems = "__typename ... on Error { message } ... on InvalidInput { issues { path message } }";

export const createProfileDocument: TypedDocumentNode<{ readonly createProfile: Outcome }, { input: { name: string; type: string; spec: object; idempotencyKey: string } }> = parse(
  `mutation DemoProfile($input: CreateProfileInput!) { createProfile(input: $input) { ${problems} } }`,
);

export const createClusterDocument: TypedDocumentNode<
  { readonly createCluster: Outcome },
  { input: { name: string; profile: { name: string }; desiredCapacity: number; minSize: number; maxSize: number; idempotencyKey: string } }
> = parse(`mutation DemoCluster($input: CreateClusterInput!) { createCluster(input: $input) { ${problems} } }`);

export const deleteClusterDocument: TypedDocumentNode<{ readonly deleteCluster: Outcome }, { input: { cluster: { name: string }; idempotencyKey: string } }> = parse(
  `mutation DemoDelete($input: DeleteClusterInput!) { deleteCluster(input: $input) { ${problems} } }`,
);

export interface WatchedNode {
  readonly name: string;
  readonly status: string;
  readonly statusReason: string | null;
  readonly physicalId: string | null;
  readonly health: { readonly status: string; readonly reason: string };
  readonly addresses: readonly { readonly name: string; readonly host: string; readonly port: number | null }[];
}
export interface WatchedCluster {
  readonly name: string;
  readonly status: string;
  readonly desiredCapacity: number;
  readonly nodeCounts: { readonly total: number; readonly active: number; readonly healthy: number };
  readonly nodes: { readonly nodes: readonly WatchedNode[] };
}

export const watchClusterDocument: TypedDocumentNode<{ readonly cluster: WatchedCluster | null }, { cluster: { name: string } }> = parse(`
  subscription WatchCluster($cluster: ObjectBy!) {
    cluster(by: $cluster) {
      name status desiredCapacity
      nodeCounts { total active healthy }
      nodes(first: 50) { nodes { name status statusReason physicalId health { status reason } addresses { name host port } } }
    }
  }`);

export interface WatchedEvent {
  readonly cursor: string;
  readonly level: string;
  readonly occurredAt: string;
  readonly message: string;
}

export const watchEventsDocument: TypedDocumentNode<{ readonly events: WatchedEvent }, { after: string | null }> = parse(`
  subscription WatchEvents($after: String) {
    events(after: $after, filter: { minLevel: INFO }) { cursor level occurredAt message }
  }`);

export const feedCursorDocument: TypedDocumentNode<{ readonly feedCursor: string }, Record<string, never>> = parse("query FeedCursor { feedCursor }");

/** The sentence of a refusal, or null where the mutation was accepted. */
export function refusalIn(outcome: Outcome): string | null {
  if (outcome.__typename.endsWith("Payload")) return null;
  const issues = (outcome.issues ?? []).map(({ path, message }) => `${path.join(".")}: ${message}`);
  return [outcome.message ?? outcome.__typename, ...issues].join("; ");
}
