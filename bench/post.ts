/** Requests as cheaply as a client can make them, so that the server is what is measured: finished bodies over connections that are kept. */
import { Agent, request } from "node:http";

export interface Poster {
  /** Asks once a connection is free. @returns what the server said, whatever it said */
  post(document: string, variables?: Readonly<Record<string, unknown>>): Promise<string>;
  close(): void;
}

export function openPoster({ url, token }: { readonly url: string; readonly token: string }, connections: number): Poster {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", accept: "application/graphql-response+json" };
  return {
    post: (query, variables) =>
      new Promise((resolve, reject) => {
        const body = JSON.stringify({ query, variables });
        const sent = request(
          `${url}/graphql`,
          { method: "POST", agent, headers: { ...headers, "content-length": Buffer.byteLength(body) } },
          (response) => {
            let text = "";
            response.setEncoding("utf8");
            response.on("data", (chunk: string) => {
              text += chunk;
            });
            response.on("end", () => resolve(text));
            response.on("error", reject);
          },
        );
        sent.on("error", reject);
        sent.end(body);
      }),
    close: () => agent.destroy(),
  };
}
