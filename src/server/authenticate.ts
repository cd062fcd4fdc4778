/**
 * Who asks. Today's one `Authenticator` knows API tokens; another (OIDC) would stand beside it behind the same interface.
 *
 * A good token is remembered for half a second, so a page's burst of requests costs one look-up and a revocation is felt within a
 * second. Failed logins are slowed per address (IPv6: per /64): past the allowance they are answered 429, and only tokens that were
 * good not long ago, or one unknown token now and then, are still looked up: one broken script does not lock out its neighbours.
 */
import type { TokenId } from "../core/ids.ts";
import type { Limits } from "../core/limits.ts";
import type { Principal } from "../core/principal.ts";
import type { Clock } from "../core/runtime.ts";
import { checkTokenSecret, hashTokenSecret } from "../store/token.ts";
import { Buckets } from "./bucket.ts";
import { peerOf } from "./peer.ts";

export type Login =
  | { readonly kind: "known"; readonly principal: Principal }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "slowed"; readonly retryAfterMs: number };

export interface Authenticator {
  /**
   * @param credentials what the header or connection_init said, e.g. `Bearer muster_…`; null: nothing
   * @param address of the peer, for slowing failed logins
   * @throws when the database is away
   */
  authenticate(credentials: string | null, address: string): Promise<Login>;
  /** Those of the tokens that are neither revoked nor expired by now. */
  stillGood(tokens: readonly TokenId[]): Promise<ReadonlySet<TokenId>>;
}

/** What the database knows of tokens. */
export interface TokenSource {
  find(hash: Buffer): Promise<Principal | "expired" | "revoked" | null>;
  stillGood(tokens: readonly TokenId[]): Promise<ReadonlySet<TokenId>>;
  /** Called for each login that was looked up and good; may gather before it writes. */
  used(token: TokenId): void;
}

/** Half of the second within which a revocation must be felt; the other half is the live connections' turn. */
export const goodForMs = 500;
/** A refused token stays refused: it cannot be un-revoked, and nobody mints the one that was guessed. */
const badForMs = 10_000;
const tokensKept = 10_000;
/** Look-ups per second for an address beyond its allowance. */
const slowLookupsPerSecond = 5;

type Answer = Principal | "expired" | "revoked" | null;

export class TokenAuthenticator implements Authenticator {
  private readonly source: TokenSource;
  private readonly clock: Pick<Clock, "monotonicMs">;
  private readonly failures: Buckets;
  private readonly slowLookups: Buckets;
  private readonly answers = new Map<string, { readonly answer: Answer; readonly atMs: number }>();
  private readonly underway = new Map<string, Promise<Answer>>();
  private readonly onceGood = new Set<string>();

  constructor(source: TokenSource, clock: Pick<Clock, "monotonicMs">, limits: Pick<Limits, "failedLoginsPerMinute">) {
    this.source = source;
    this.clock = clock;
    this.failures = new Buckets(clock, limits.failedLoginsPerMinute, limits.failedLoginsPerMinute / 60);
    this.slowLookups = new Buckets(clock, slowLookupsPerSecond, slowLookupsPerSecond);
  }

  async authenticate(credentials: string | null, address: string): Promise<Login> {
    const peer = peerOf(address);
    if (credentials === null || credentials === "")
      return { kind: "refused", message: "A token is needed: send the header Authorization: Bearer muster_…" };
    const secret = /^Bearer +([^\s]+) *$/i.exec(credentials)?.[1];
    // Ours carry a checksum; only a token that the settings name (MUSTER_ADMIN_TOKEN) may have another form.
    if (secret === undefined || (secret.startsWith("muster_") && !checkTokenSecret(secret)))
      return this.refuse(peer, "The token is not one of ours: it was mistyped, cut off or made up.");
    const hash = hashTokenSecret(secret);
    const key = hash.toString("base64");
    const known = this.recall(key);
    if (known === undefined && !this.onceGood.has(key) && this.failures.peek(peer) > 0) {
      const retryAfterMs = this.slowLookups.take(peer);
      if (retryAfterMs > 0) return { kind: "slowed", retryAfterMs };
    }
    const answer = known === undefined ? await this.lookUp(key, hash) : known;
    if (answer === null) return this.refuse(peer, "The token is unknown.");
    if (answer === "expired" || answer === "revoked")
      return this.refuse(peer, `The token has been ${answer === "revoked" ? "revoked" : "given an end, which has passed"}.`);
    return { kind: "known", principal: answer };
  }

  async stillGood(tokens: readonly TokenId[]): Promise<ReadonlySet<TokenId>> {
    const good = await this.source.stillGood(tokens);
    const dead = new Set(tokens.filter((token) => !good.has(token)));
    // What ends a token's streams ends its requests as well, at the same moment.
    if (dead.size > 0) {
      for (const [key, { answer }] of this.answers) {
        if (typeof answer === "object" && answer !== null && dead.has(answer.tokenId)) this.answers.delete(key);
      }
    }
    return good;
  }

  private refuse(peer: string, message: string): Login {
    const retryAfterMs = this.failures.take(peer);
    return retryAfterMs === 0 ? { kind: "refused", message } : { kind: "slowed", retryAfterMs };
  }

  private recall(key: string): Answer | undefined {
    const entry = this.answers.get(key);
    if (entry === undefined) return undefined;
    const keepMs = typeof entry.answer === "object" && entry.answer !== null ? goodForMs : badForMs;
    if (this.clock.monotonicMs() - entry.atMs < keepMs) return entry.answer;
    this.answers.delete(key);
    return undefined;
  }

  private lookUp(key: string, hash: Buffer): Promise<Answer> {
    const underway = this.underway.get(key);
    if (underway !== undefined) return underway;
    // The age of an answer counts from before the question: a revocation in between is not missed.
    const atMs = this.clock.monotonicMs();
    const asked = this.source
      .find(hash)
      .then((answer) => {
        remember(this.answers, key, { answer, atMs });
        if (answer === null || typeof answer === "string") this.onceGood.delete(key);
        else {
          rememberKey(this.onceGood, key);
          this.source.used(answer.tokenId);
        }
        return answer;
      })
      .finally(() => this.underway.delete(key));
    this.underway.set(key, asked);
    return asked;
  }
}

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > tokensKept && oldest !== undefined) map.delete(oldest);
}

function rememberKey(set: Set<string>, key: string): void {
  set.delete(key);
  set.add(key);
  const [oldest] = set;
  if (set.size > tokensKept && oldest !== undefined) set.delete(oldest);
}
