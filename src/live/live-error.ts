/** Why a stream ended that its subscriber did not end. */
export class LiveError extends Error {
  override readonly name = "LiveError";
  readonly code: "CURSOR_EXPIRED" | "SLOW_CONSUMER" | "INVALID_CURSOR";
  /** Where to come back, as clients hold it: with nothing missed. */
  readonly cursor?: string;
  /** The oldest cursor that can still be used. */
  readonly oldest?: string;

  constructor(code: LiveError["code"], places: { readonly cursor?: string; readonly oldest?: string } = {}) {
    super(code);
    this.code = code;
    if (places.cursor !== undefined) this.cursor = places.cursor;
    if (places.oldest !== undefined) this.oldest = places.oldest;
  }
}
