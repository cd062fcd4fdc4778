/** Very many subscribers at once. */
import type { ApiClient } from "../src/cli/client.ts";
import { FeedCursorDocument } from "../src/cli/graphql/generated/graphql.ts";

/** Sockets that are opened at a time: a server's queue of those who knock is short. */
const opening = 50;

/** Has so many begin to follow, some at a time. Resolves when all have knocked, with what becomes of each. */
export async function gather(client: ApiClient, count: number, follow: () => Promise<void>): Promise<readonly Promise<void>[]> {
  const followers: Promise<void>[] = [];
  for (let i = 0; i < count; i += opening) {
    followers.push(...Array.from({ length: Math.min(opening, count - i) }, follow));
    // Whoever was let in before is served before: an answer says that there is room for the next.
    await client.request(FeedCursorDocument, {});
  }
  return followers;
}
