/** urql: subscriptions through graphql-ws; the document cache needs no settings. We connect again ourselves, with the newest cursor. */
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { type FollowedEvent, type FollowOptions, followDocument, pause, socketUrl } from "./follow.ts";

/** A client and what ends it. */
export function createMusterClient(url: string, token: string): { readonly client: Client; close(): Promise<void> } {
  const socket = createClient({
    url: socketUrl(url),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: 0,
  });
  const client = new Client({
    url,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = "", variables }) => ({
          subscribe: ({ next, error, complete }) => ({
            unsubscribe: socket.subscribe(
              { query, variables: { ...variables } },
              {
                next: ({ data, errors }) => next({ ...(data == null ? {} : { data }), ...(errors === undefined ? {} : { errors: [...errors] }) }),
                error,
                complete,
              },
            ),
          }),
        }),
      }),
    ],
  });
  return { client, close: async () => socket.dispose() };
}

export async function follow({ url, token, after, signal, onEvent }: FollowOptions): Promise<void> {
  const { client, close } = createMusterClient(url, token);
  let cursor = after;
  for (let attempt = 0; !signal.aborted; attempt++) {
    await new Promise<void>((resolve) => {
      const { unsubscribe } = client
        .subscription<{ events: FollowedEvent }>(followDocument, { after: cursor })
        .subscribe(({ data, error, hasNext }) => {
          if (data != null && error === undefined) {
            onEvent(data.events);
            cursor = data.events.cursor;
            attempt = 0;
          }
          if (error !== undefined || !hasNext) resolve();
        });
      const leave = (): void => {
        unsubscribe();
        resolve();
      };
      signal.addEventListener("abort", leave, { once: true });
    });
    if (!signal.aborted) await pause(attempt, signal);
  }
  await close();
}
