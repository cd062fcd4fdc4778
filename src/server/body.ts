/**
 * The body of a POST, read from the socket with a limit and never held twice. JSON is the one format: a form that a foreign page
 * could send without asking (application/x-www-form-urlencoded, text/plain) is none of ours.
 */
import type { IncomingMessage } from "node:http";
import { createGraphQLError, type Plugin } from "graphql-yoga";
import type { Limits } from "../core/limits.ts";
import type { ServerContext } from "./exchange.ts";
import { refusal } from "./refusal.ts";

export function useJsonBody(limits: Pick<Limits, "bodyBytes">): Plugin<ServerContext, ServerContext> {
  return {
    onRequestParse({ request, serverContext, setRequestParser, endResponse, fetchAPI }) {
      const { exchange, incoming } = serverContext;
      if (request.method !== "POST" || incoming === null) return;
      if (!isJson(request.headers.get("content-type"))) {
        const message = "The body must be JSON: send the header Content-Type: application/json.";
        const { status, headers, body } = refusal(
          { status: 415, code: "BAD_USER_INPUT", message, requestId: exchange.id },
          request.headers.get("accept"),
        );
        endResponse(new fetchAPI.Response(body, { status, headers }));
        return;
      }
      setRequestParser(async () => parseBody(await readBody(incoming, limits.bodyBytes)));
    },
  };
}

function isJson(contentType: string | null): boolean {
  const type = contentType?.split(";")[0]?.trim().toLowerCase();
  return type === "application/json" || type === "application/graphql+json";
}

function refuse(status: number, message: string, malformed: boolean): Error {
  // yoga's own marks: `http` becomes the status; `originalError` tells a body that is no GraphQL request from a bad document.
  return createGraphQLError(message, { extensions: { http: { status }, ...(malformed ? { originalError: { name: "SyntaxError", message } } : {}) } });
}

/** The whole body as text. Rejects as soon as it is too long; the rest is read and dropped, so that the client hears the answer. */
function readBody(incoming: IncomingMessage, most: number): Promise<string> {
  const tooLong = (): Error => refuse(413, `The body is longer than ${most} bytes.`, false);
  if (Number(incoming.headers["content-length"] ?? 0) > most) return Promise.reject(tooLong());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    incoming.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= most) chunks.push(chunk);
      else {
        chunks.length = 0;
        reject(tooLong());
      }
    });
    incoming.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    const brokeOff = (): void => {
      if (!incoming.complete) reject(refuse(400, "The body broke off.", true));
    };
    incoming.once("error", brokeOff);
    incoming.once("close", brokeOff);
  });
}

/** Checked further by yoga: a batch is refused there, and so is what is no object or has no query. */
function parseBody(text: string): Record<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw refuse(400, "The body is not JSON.", true);
  }
  if (!isObject(body)) throw refuse(400, "The body must be a JSON object.", false);
  return body;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
