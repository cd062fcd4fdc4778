/**
 * Who is connected for long: WebSockets and SSE streams by token. Bounds how many one token may have, and ends those whose token
 * has been revoked or has expired, within a second: one statement twice a second, none while nobody is connected.
 */
import type { TokenId } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import type { Logger, Timers } from "../core/runtime.ts";
import { isAbsence } from "../store/failure.ts";
import type { Authenticator } from "./authenticate.ts";

/** With what an authenticator remembers (`goodForMs`) this stays within the second in which a revocation must be felt. */
export const checkEveryMs = 400;

export class Presence {
  private readonly byToken = new Map<TokenId, Set<() => void>>();
  private readonly mostPerToken: number;

  constructor(mostPerToken: number) {
    this.mostPerToken = mostPerToken;
  }

  /**
   * Notes a connection.
   * @param onDeadToken ends it; called once at most
   * @returns what to call when it has ended, or null when the token has too many
   */
  enter(principal: Principal, onDeadToken: () => void): (() => void) | null {
    const connections = this.byToken.get(principal.tokenId) ?? new Set();
    if (connections.size >= this.mostPerToken) return null;
    this.byToken.set(principal.tokenId, connections);
    // A function of its own for each, so that two connections with the same callback are two.
    const end = (): void => onDeadToken();
    connections.add(end);
    return () => {
      connections.delete(end);
      if (connections.size === 0 && this.byToken.get(principal.tokenId) === connections) this.byToken.delete(principal.tokenId);
    };
  }

  /** Looks once, and ends what must end. */
  async check(authenticator: Pick<Authenticator, "stillGood">): Promise<void> {
    const tokens = [...this.byToken.keys()];
    if (tokens.length === 0) return;
    const good = await authenticator.stillGood(tokens);
    for (const token of tokens) {
      if (good.has(token)) continue;
      const connections = this.byToken.get(token);
      this.byToken.delete(token);
      for (const end of connections ?? []) end();
    }
  }

  /** Looks again and again until the signal. While the database is away nobody can tell, and nobody is ended. */
  async watch(authenticator: Pick<Authenticator, "stillGood">, timers: Timers, logger: Logger, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.check(authenticator).catch((error: unknown) => {
        if (!isAbsence(error))
          logger.error({ reason: error instanceof Error ? error.message : String(error) }, "live connections could not be checked");
      });
      await timers.wait(checkEveryMs, signal);
    }
  }
}
