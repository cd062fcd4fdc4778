/** A client of the API like any other: requests over HTTP, subscriptions over WebSocket. */
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";
import { createClient } from "graphql-ws";
import { WebSocket } from "ws";

export interface ApiClient {
  /** @throws ApiError with what the server says */
  request<Data, Variables extends Record<string, unknown>>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data>;
  /** Ends when the server completes it, or the signal is aborted. @throws ApiError; what was broken off by the network is for the caller to ask again */
  subscribe<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    signal: AbortSignal,
  ): AsyncIterable<Data>;
  close(): Promise<void>;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
}

interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string }[];
}

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
    throw error instanceof Error ? error : new ApiError(describe(error));
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

/** The document's type says what `data` is: codegen made it from the very schema that the server checks against. */
function read<Data>(answer: Answer | unknown): Data {
  if (!isAnswer(answer)) throw new ApiError("The server gave no GraphQL answer");
  const [problem] = answer.errors ?? [];
  if (problem !== undefined) throw new ApiError(problem.message);
  if (!hasData<Data>(answer)) throw new ApiError("The server gave no data");
  return answer.data;
}

function isAnswer(answer: unknown): answer is Answer {
  return typeof answer === "object" && answer !== null && ("data" in answer || "errors" in answer);
}

function hasData<Data>(answer: Answer): answer is Answer & { readonly data: Data } {
  return answer.data !== null && answer.data !== undefined;
}

/** graphql-ws throws lists of errors, close events and errors. */
function describe(error: unknown): string {
  if (Array.isArray(error)) return error.map((one: unknown) => describe(one)).join("; ");
  if (typeof error === "object" && error !== null && "message" in error) return String(error.message);
  if (typeof error === "object" && error !== null && "reason" in error) return `the connection was closed: ${String(error.reason)}`;
  return String(error);
}
