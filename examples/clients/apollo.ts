/**
 * Apollo Client: HTTP for queries and mutations, WebSocket for subscriptions. The cache needs to be told three things: which types stand behind interfaces
 * and unions, that pages of a connection belong together, and that counts are replaced as a whole.
 */
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { type FollowedEvent, type FollowOptions, followDocument, pause, socketUrl } from "./follow.ts";

/** A client and what ends it. */
export function createMusterClient(url: string, token: string): { readonly client: ApolloClient; close(): Promise<void> } {
  const socket = createClient({
    url: socketUrl(url),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    // Apollo sends the variables of the beginning again: we connect again ourselves, with the newest cursor.
    retryAttempts: 0,
  });
  const http = new HttpLink({ uri: url, headers: { authorization: `Bearer ${token}` } });
  const client = new ApolloClient({
    link: ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, new GraphQLWsLink(socket), http),
    cache: new InMemoryCache({
      possibleTypes: {
        Node: ["Action", "Cluster", "ClusterNode", "Event", "Profile", "ProfileType", "Project", "Token", "Viewer", "Worker"],
        Error: ["Conflict", "Forbidden", "InvalidInput", "NotFound", "QuotaExceeded", "RefusedByPolicy", "Unsupported"],
      },
      typePolicies: {
        Query: { fields: { clusters: relayStylePagination(["filter", "orderBy"]), events: relayStylePagination(["filter"]) } },
        Cluster: {
          fields: {
            nodes: relayStylePagination(["filter"]),
            events: relayStylePagination(["filter"]),
            actions: relayStylePagination(["filter"]),
            nodeCounts: { merge: false },
            conditions: { merge: false },
          },
        },
      },
    }),
  });
  return {
    client,
    close: async () => {
      client.stop();
      await socket.dispose();
    },
  };
}

export async function follow({ url, token, after, signal, onEvent }: FollowOptions): Promise<void> {
  const { client, close } = createMusterClient(url, token);
  let cursor = after;
  for (let attempt = 0; !signal.aborted; attempt++) {
    await new Promise<void>((resolve) => {
      const stream = client.subscribe<{ events: FollowedEvent }>({
        query: gql(followDocument),
        variables: { after: cursor },
        fetchPolicy: "no-cache",
      });
      const subscription = stream.subscribe({
        next: ({ data }) => {
          if (data == null) return;
          onEvent(data.events);
          cursor = data.events.cursor;
          attempt = 0;
        },
        error: () => resolve(),
        complete: () => resolve(),
      });
      const leave = (): void => {
        subscription.unsubscribe();
        resolve();
      };
      signal.addEventListener("abort", leave, { once: true });
    });
    if (!signal.aborted) await pause(attempt, signal);
  }
  await close();
}
