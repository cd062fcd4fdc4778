/** The HTTP status of a request that ends with nothing but an error, by the error's code. */
import { GraphQLError } from "graphql";
import type { ProblemCode } from "../api/problem.ts";

const statusByCode = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  BAD_USER_INPUT: 400,
  INVALID_CURSOR: 400,
  CURSOR_EXPIRED: 400,
  COST_EXCEEDED: 400,
  RATE_LIMITED: 429,
  SLOW_CONSUMER: 503,
  UNAVAILABLE: 503,
  INTERNAL_SERVER_ERROR: 500,
} as const satisfies Record<ProblemCode, number>;

function isProblemCode(code: unknown): code is ProblemCode {
  return typeof code === "string" && Object.hasOwn(statusByCode, code);
}

/**
 * The same error with the status it asks for, unless it names one. A mistake in the document is 200 for clients that accept only
 * `application/json` (`spec`: GraphQL over HTTP, "legacy watershed"); what no client can overlook keeps its status there too.
 */
export function withStatus(error: GraphQLError): GraphQLError {
  const { code } = error.extensions;
  if (error.extensions["http"] !== undefined || !isProblemCode(code)) return error;
  const status = statusByCode[code];
  return new GraphQLError(error.message, {
    ...(error.nodes === undefined ? {} : { nodes: error.nodes }),
    ...(error.source === undefined ? {} : { source: error.source }),
    ...(error.positions === undefined ? {} : { positions: error.positions }),
    ...(error.path === undefined ? {} : { path: error.path }),
    extensions: { ...error.extensions, http: status === 400 ? { status, spec: true } : { status } },
  });
}
