/**
 * GraphQL errors: what goes wrong with a request as a whole, each with a code of the contract's list. Expected errors of a mutation are
 * not here: they are members of its result union (`errors.ts`).
 */
import { GraphQLError } from "graphql";
import type { LiveError } from "../live/live-error.ts";
import { isAbsence, isConflict, isFull, isTimeout } from "../store/failure.ts";

export const problemCodes = [
  "UNAUTHENTICATED",
  "FORBIDDEN",
  "BAD_USER_INPUT",
  "INVALID_CURSOR",
  "CURSOR_EXPIRED",
  "COST_EXCEEDED",
  "RATE_LIMITED",
  "SLOW_CONSUMER",
  "UNAVAILABLE",
  "INTERNAL_SERVER_ERROR",
] as const;
export type ProblemCode = (typeof problemCodes)[number];

/** A GraphQL error that clients see as it is. `facts` stand beside the code in `extensions`. */
export function problem(code: ProblemCode, message: string, facts: Readonly<Record<string, string | number>> = {}): GraphQLError {
  return new GraphQLError(message, { extensions: { code, ...facts } });
}

export function badInput(message: string): GraphQLError {
  return problem("BAD_USER_INPUT", message);
}

export function invalidCursor(argument: string): GraphQLError {
  return problem("INVALID_CURSOR", `\`${argument}\` is not a cursor of this list: it belongs to another filter or order, or is damaged.`);
}

export function cursorExpired(oldest: string): GraphQLError {
  return problem("CURSOR_EXPIRED", "The ledger no longer reaches back to this cursor. `oldest` is the first one that it still has.", { oldest });
}

/** A stream that ended: the code, and where to come back. */
export function liveProblem(error: LiveError): GraphQLError {
  switch (error.code) {
    case "CURSOR_EXPIRED":
      return cursorExpired(error.oldest ?? "");
    case "SLOW_CONSUMER":
      return problem("SLOW_CONSUMER", "This stream was read too slowly and has ended. Subscribe again `after` the cursor.", {
        ...(error.cursor === undefined ? {} : { cursor: error.cursor }),
      });
    case "INVALID_CURSOR":
      return invalidCursor("after");
  }
}

/** True for what may be shown as it is: made by `problem`, with a code of the list. Everything else is masked. */
export function isProblem(error: unknown): error is GraphQLError {
  return error instanceof GraphQLError && problemCodes.some((code) => code === error.extensions["code"]);
}

/** What a failure that is nobody's fault here looks like from outside, or null where it is a bug of ours. */
export function operationalProblem(error: unknown): GraphQLError | null {
  if (isFull(error))
    return problem("UNAVAILABLE", "The database's disk is full: nothing can be changed until there is room. This was not done.", {
      reason: "DATABASE_FULL",
    });
  if (isAbsence(error)) return problem("UNAVAILABLE", "The database cannot be reached just now. Try again soon.");
  if (isConflict(error)) return problem("UNAVAILABLE", "Others change the same just now. Try again soon.");
  if (isTimeout(error)) return problem("UNAVAILABLE", "The database took too long to answer. Try again soon.");
  return null;
}
