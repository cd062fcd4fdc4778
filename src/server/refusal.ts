/** An answer that is given before a request reaches GraphQL: the same JSON shape as GraphQL's own errors, with HTTP's status. */
import type { ProblemCode } from "../api/problem.ts";

export interface Refused {
  readonly status: number;
  readonly code: ProblemCode;
  readonly message: string;
  readonly requestId: string;
  /** 429: how long to wait. */
  readonly retryAfterMs?: number;
}

export interface PlainAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function refusal(refused: Refused, accept: string | null): PlainAnswer {
  const { status, code, message, requestId, retryAfterMs } = refused;
  const type = accept?.includes("application/graphql-response+json") === true ? "application/graphql-response+json" : "application/json";
  const headers: Record<string, string> = { "content-type": `${type}; charset=utf-8`, "cache-control": "no-store", "x-request-id": requestId };
  if (status === 401) headers["www-authenticate"] = 'Bearer realm="muster"';
  if (retryAfterMs !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  const extensions = { code, requestId, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  return { status, headers, body: JSON.stringify({ errors: [{ message, extensions }] }) };
}
