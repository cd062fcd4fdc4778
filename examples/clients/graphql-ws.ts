/** graphql-ws: it connects again by itself; a getter puts the newest cursor into each new subscribe. */
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { type FollowedEvent, type FollowOptions, followDocument, pause, socketUrl } from "./follow.ts";

export async function follow({ url, token, after, signal, onEvent }: FollowOptions): Promise<void> {
  let cursor = after;
  const client = createClient({
    url: socketUrl(url),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: (attempt) => pause(attempt, signal),
    shouldRetry: () => !signal.aborted,
  });
  const variables = {
    // Read each time the subscription is sent: also when the library connects again.
    get after() {
      return cursor;
    },
  };
  const events = client.iterate<{ events: FollowedEvent }>({ query: followDocument, variables });
  signal.addEventListener("abort", () => void Promise.resolve(events.return?.()).then(() => client.dispose()), { once: true });
  for await (const { data, errors } of events) {
    if (errors !== undefined) throw new Error(errors.map((error) => error.message).join("; "));
    if (data == null) continue;
    onEvent(data.events);
    cursor = data.events.cursor;
  }
}
