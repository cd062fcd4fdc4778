/**
 * The one place where an error becomes what a client sees. What carries a code of the contract passes; the client's own mistakes,
 * which graphql-js words, become BAD_USER_INPUT; an absent database becomes UNAVAILABLE; everything else is a bug, shown as
 * INTERNAL_SERVER_ERROR with the request's id and logged under it, without variables.
 */
import { GraphQLError, type GraphQLFormattedError, Kind } from "graphql";
import { isProblem, operationalProblem } from "../api/problem.ts";
import type { Logger } from "../core/runtime.ts";
import { ended } from "./exchange.ts";

/** Extensions that are messages to yoga or to the log, never to a client. */
const inner: ReadonlySet<string> = new Set(["http", "unexpected", "originalError", "requestId", "stacktrace"]);

export interface Asked {
  readonly id: string;
}

export class Masker {
  private readonly logger: Logger;

  constructor(logger: Logger) {
    this.logger = logger;
  }

  /** A new error that a client may see, with `code` and `requestId`. */
  mask(error: unknown, asked: Asked): GraphQLError {
    const shown = classify(error);
    if (shown !== null) return rebuild(error, shown.message, { ...shown.extensions, requestId: asked.id });
    const cause = rootCause(error);
    const path = error instanceof GraphQLError ? error.path : undefined;
    this.logger.error(
      {
        requestId: asked.id,
        path,
        name: cause instanceof Error ? cause.name : typeof cause,
        reason: cause instanceof Error ? cause.message : String(cause),
        stack: cause instanceof Error ? cause.stack : undefined,
      },
      "a request met a bug",
    );
    return rebuild(error, "Something went wrong here; the log says what, under this request's id.", {
      code: "INTERNAL_SERVER_ERROR",
      requestId: asked.id,
    });
  }

  /** All of them; an `AggregateError` is taken apart. */
  maskAll(errors: readonly unknown[], asked: Asked): GraphQLError[] {
    return errors.flatMap((error) => (error instanceof AggregateError ? this.maskAll(error.errors, asked) : [this.mask(error, asked)]));
  }
}

interface Shown {
  readonly message: string;
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** What a client may see of an error, or null for a bug. */
function classify(error: unknown): Shown | null {
  const cause = rootCause(error);
  // Its client has left, or was told already: what still stumbles over that is no bug.
  if (cause === ended || (cause instanceof Error && cause.name === "AbortError")) {
    return { message: "The request has been ended.", extensions: { code: "UNAVAILABLE" } };
  }
  const known = isProblem(error) ? error : isProblem(cause) ? cause : operationalProblem(cause);
  if (known !== null && known.extensions["code"] !== "INTERNAL_SERVER_ERROR") return { message: known.message, extensions: visible(known) };
  return cause instanceof GraphQLError && isClients(error instanceof GraphQLError ? error : cause, cause)
    ? { message: `${placeOf(error)}${cause.message}`, extensions: { code: "BAD_USER_INPUT" } }
    : null;
}

/**
 * Where in a variable the mistake is, as a prefix: `Variable "$i" got an invalid value at "i.capacity.by"; `. graphql-js tells it in its
 * sentence only, behind the value itself, which may be a secret or hold one and stays here. Only names of the schema and indices can
 * stand in the place: a quotation mark of the value's own is escaped or followed by something else.
 */
function placeOf(error: unknown): string {
  if (!(error instanceof GraphQLError) || !(error.originalError instanceof GraphQLError)) return "";
  const [node] = error.nodes ?? [];
  if (node?.kind !== Kind.VARIABLE_DEFINITION) return "";
  const own = error.message.slice(0, error.message.length - error.originalError.message.length);
  const place = / at "(\w+(?:\.\w+|\[\d+\])+)"; $/.exec(own)?.[1];
  return `Variable "$${node.variable.name.value}" got an invalid value${place === undefined ? "" : ` at "${place}"`}; `;
}

function visible(error: GraphQLError): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(error.extensions).filter(([key]) => !inner.has(key)));
}

/**
 * True for a mistake in the request. An error without a path arose before anything was executed. With one, an argument that could
 * not be coerced points at its place in the document; a value of ours that could not be serialised does not, and is a bug.
 * @param cause where it began: equal to `error`, or what the executor wrapped in it
 */
function isClients(error: GraphQLError, cause: GraphQLError): boolean {
  if (cause.extensions["code"] === "INTERNAL_SERVER_ERROR" || error.extensions["unexpected"] === true) return false;
  return error.path === undefined || (cause.path === undefined && cause.nodes !== undefined);
}

/** The error behind GraphQL's wrappers. */
function rootCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError !== undefined && cause.originalError !== null) cause = cause.originalError;
  return cause;
}

function rebuild(error: unknown, message: string, extensions: Readonly<Record<string, unknown>>): GraphQLError {
  if (!(error instanceof GraphQLError)) return new GraphQLError(message, { extensions });
  const http = error.extensions["http"];
  return new GraphQLError(message, {
    ...(error.nodes === undefined ? {} : { nodes: error.nodes }),
    ...(error.source === undefined ? {} : { source: error.source }),
    ...(error.positions === undefined ? {} : { positions: error.positions }),
    ...(error.path === undefined ? {} : { path: error.path }),
    extensions: http === undefined ? extensions : { ...extensions, http: unspecific(http, error.extensions["originalError"]) },
  });
}

/** yoga marks a body that is no JSON by an inner error; such a request is 400 for everybody, not only for newer clients. */
function unspecific(http: unknown, originalError: unknown): unknown {
  return typeof http === "object" && http !== null && originalError !== undefined ? { ...http, spec: false } : http;
}

/** As it goes over the wire, without what was meant for yoga. */
export function wireError(error: GraphQLError): GraphQLFormattedError {
  const { extensions, ...rest } = error.toJSON();
  const shown = Object.fromEntries(Object.entries(extensions ?? {}).filter(([key]) => key !== "http" && key !== "unexpected"));
  return { ...rest, extensions: shown };
}
