/** The provider of `sim`, in the bench's own process: it hears each call when it comes, by the same clock that the bench asks by. Speaks as `test/support/provider.ts` asks. */
import { createServer } from "node:http";
import type { Effect } from "../src/drivers/sim/provider.ts";

export interface DriverCall {
  readonly verb: string;
  readonly nodeId: string;
  /** Which worker called. */
  readonly caller: string;
  readonly atMs: number;
}

export interface ProviderDoor {
  readonly url: string;
  /** Called for each member of each call. */
  onCall(hear: (call: DriverCall) => void): void;
  close(): Promise<void>;
}

export async function openProviderDoor(): Promise<ProviderDoor> {
  let hear = (_call: DriverCall): void => undefined;
  const server = createServer((request, response) => {
    const atMs = performance.now();
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const verb = (request.url ?? "/").slice(1);
      const { effects, caller }: { effects: readonly Effect[]; caller: string } = JSON.parse(Buffer.concat(chunks).toString("utf8"));
      const answers = effects.map((effect) => {
        hear({ verb, nodeId: effect.nodeId, caller, atMs });
        const physicalId = `sim-${effect.nodeId}-${effect.epoch}`;
        return verb === "inspect"
          ? { kind: "running", physicalId, livesMs: null }
          : { kind: "done", inMs: effect.takesMs, physicalId, livesMs: null };
      });
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ answers }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the provider has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    onCall: (call) => {
      hear = call;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
