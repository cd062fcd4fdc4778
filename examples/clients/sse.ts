/** Server-sent events with nothing but fetch: the last `id:` goes back as Last-Event-ID. */
import { type FollowedEvent, type FollowOptions, followDocument, pause } from "./follow.ts";

export async function follow({ url, token, after, signal, onEvent }: FollowOptions): Promise<void> {
  let lastId = after;
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const response = await fetch(url, {
        method: "POST",
        signal,
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "text/event-stream",
          ...(lastId === undefined ? {} : { "last-event-id": lastId }),
        },
        body: JSON.stringify({ query: followDocument }),
      });
      if (response.status === 401) throw new Refused("the token is not accepted");
      if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
      for await (const frame of frames(response.body)) {
        if (frame.event !== "next") continue;
        const { data, errors } = JSON.parse(frame.data) as { data?: { events: FollowedEvent } | null; errors?: { message: string }[] };
        if (errors !== undefined) throw new Refused(errors.map((error) => error.message).join("; "));
        if (data == null) continue;
        onEvent(data.events);
        lastId = frame.id ?? lastId;
        attempt = 0;
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
      // The connection was cut: connect again, from the last id on.
    }
    if (!signal.aborted) await pause(attempt, signal);
  }
}

/** What trying again would not change. */
class Refused extends Error {}

interface Frame {
  readonly event: string;
  readonly data: string;
  readonly id: string | undefined;
}

/** Reads frames: `field: value` lines, ended by an empty one; lines that begin with a colon keep the connection warm. */
async function* frames(body: ReadableStream<Uint8Array>): AsyncGenerator<Frame> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const parts = rest.split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const fields = new Map<string, string>();
      for (const line of part.split("\n")) {
        const at = line.indexOf(":");
        if (at > 0) fields.set(line.slice(0, at), line.slice(at + 1).trimStart());
      }
      yield { event: fields.get("event") ?? "message", data: fields.get("data") ?? "", id: fields.get("id") };
    }
  }
}
