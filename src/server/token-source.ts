/** Tokens as the authenticator asks for them, over the store. Uses are gathered and noted now and then, never per request. */
import type { TokenId } from "../core/ids.ts";
import type { Logger, Timers } from "../core/runtime.ts";
import type { Database } from "../store/database.ts";
import { findTokenByHash, touchTokens } from "../store/token.ts";
import { findUsableTokens } from "../store/token-use.ts";
import type { TokenSource } from "./authenticate.ts";

/** `lastUsedAt` is good to about this, ms. */
const noteEveryMs = 5_000;

/** @returns the source, and the loop that writes down uses until the signal */
export function storedTokens(
  db: Database,
  logger: Logger,
): { readonly source: TokenSource; note(timers: Timers, signal: AbortSignal): Promise<void> } {
  const used = new Set<TokenId>();
  const source: TokenSource = {
    find: (hash) => findTokenByHash(db, hash),
    stillGood: (tokens) => findUsableTokens(db, tokens),
    used: (token) => void used.add(token),
  };
  const note = async (timers: Timers, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await timers.wait(noteEveryMs, signal);
      const ids = [...used];
      used.clear();
      // What is lost here is a time shown to people; it must never disturb a request.
      if (ids.length > 0)
        await touchTokens(db, ids).catch((error: unknown) => logger.debug({ reason: String(error) }, "uses of tokens were not noted"));
    }
  };
  return { source, note };
}
