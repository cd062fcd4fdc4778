/** A client of the API like any other: requests over HTTP, subscriptions over WebSocket. */
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";
import { createClient } from "graphql-ws";
import { WebSocket } from "ws";

export interface ApiClient {
  /** @throws ApiError with what the server says */
  request<Data, Variables extends Record<string, unknown>>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data>;
  /** Ends when the server completes it, or the signal is aborted. @throws Refused; ApiError: for the caller to ask again */
  subscribe<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    signal: AbortSignal,
  ): AsyncIterable<Data>;
  close(): Promise<void>;
}

export class ApiError extends Error {
  override readonly name: string = "ApiError";
}

/** What asking again does not change: the token is not good, its role does not reach, the question is wrong. */
export class Refused extends ApiError {
  override readonly name = "Refused";
}

interface Problem {
  readonly message: string;
  readonly extensions?: { readonly code?: unknown };
}

interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly Problem[];
}

/** Codes of errors that pass by themselves. */
const passing: ReadonlySet<unknown> = new Set(["RATE_LIMITED", "SLOW_CONSUMER", "UNAVAILABLE", "INTERNAL_SERVER_ERROR"]);
/** With which a server closes the socket of who may not come in: graphql-transport-ws' Unauthorized and Forbidden. */
const refusing: ReadonlySet<unknown> = new Set([4401, 4403]);

/** @param url of the server, without a path; @param token an API token */
export function connect({ url, token }: { readonly url: string; readonly token: string }): ApiClient {
  const authorization = `Bearer ${token}`;
  const endpoint = `${url}/graphql`;
  const sockets = createClient({
    url: endpoint.replace(/^http/, "ws"),
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    lazy: true,
    retryAttempts: 0,
  });
  return {
    request: async <Data, Variables extends Record<string, unknown>>(
      document: TypedDocumentNode<Data, Variables>,
      variables: Variables,
    ): Promise<Data> => {
      const response = await fetch(endpoint, {
        method: "POST",
        headers: { authorization, "content-type": "application/json", accept: "application/graphql-response+json" },
        body: JSON.stringify({ query: print(document), variables }),
      });
      return read<Data>(await response.json());
    },
    subscribe: <Data, Variables extends Record<string, unknown>>(
      document: TypedDocumentNode<Data, Variables>,
      variables: Variables,
      signal: AbortSignal,
    ) => follow<Data>(sockets.iterate<Record<string, unknown>>({ query: print(document), variables }), signal),
    close: async () => sockets.dispose(),
  };
}

async function* follow<Data>(results: AsyncIterableIterator<unknown>, signal: AbortSignal): AsyncGenerator<Data, void> {
  const end = (): void => void results.return?.();
  signal.addEventListener("abort", end, { once: true });
  try {
    if (signal.aborted) return;
    for await (const result of results) yield read<Data>(result);
  } catch (error) {
    if (signal.aborted) return;
    throw error instanceof ApiError ? error : errorOf(error);
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

/** The document's type says what `data` is: codegen made it from the very schema that the server checks against. */
function read<Data>(answer: Answer | unknown): Data {
  if (!isAnswer(answer)) throw new ApiError("The server gave no GraphQL answer");
  const [problem] = answer.errors ?? [];
  if (problem !== undefined) throw errorOf([problem]);
  if (!hasData<Data>(answer)) throw new ApiError("The server gave no data");
  return answer.data;
}

function isAnswer(answer: unknown): answer is Answer {
  return typeof answer === "object" && answer !== null && ("data" in answer || "errors" in answer);
}

function hasData<Data>(answer: Answer): answer is Answer & { readonly data: Data } {
  return answer.data !== null && answer.data !== undefined;
}

/** graphql-ws throws lists of GraphQL errors, close events and errors. */
function errorOf(thrown: unknown): ApiError {
  if (isProblems(thrown)) {
    const message = thrown.map((problem) => problem.message).join("; ");
    return thrown.every(({ extensions }) => passing.has(extensions?.code)) ? new ApiError(message) : new Refused(message);
  }
  if (typeof thrown === "object" && thrown !== null && "code" in thrown && "reason" in thrown) {
    const reason = String(thrown.reason);
    if (refusing.has(thrown.code)) return new Refused(reason);
    return new ApiError(reason === "" ? "the connection broke, or could not be made" : reason);
  }
  // An error, or the event of one.
  const message = typeof thrown === "object" && thrown !== null && "message" in thrown ? String(thrown.message) : String(thrown);
  return new ApiError(message, { cause: thrown });
}

function isProblems(thrown: unknown): thrown is readonly Problem[] {
  return Array.isArray(thrown) && thrown.every((one: unknown) => typeof one === "object" && one !== null && "message" in one);
}
