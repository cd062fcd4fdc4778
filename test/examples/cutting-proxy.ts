/** A TCP proxy between a client and the API that can cut every connection it carries. */
import net from "node:net";

export interface CuttingProxy {
  readonly port: number;
  /** Cuts all connections there are; later ones are carried. Returns how many. */
  cut(): number;
  close(): Promise<void>;
}

/** @param port to listen on; 0: any */
export async function startCuttingProxy(targetPort: number, port = 0): Promise<CuttingProxy> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((incoming) => {
    const outgoing = net.connect({ host: "127.0.0.1", port: targetPort });
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    incoming.pipe(outgoing).pipe(incoming);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const cut = (): number => {
    const count = sockets.size;
    for (const socket of sockets) socket.destroy();
    return count;
  };
  return {
    port: address.port,
    cut,
    close: async () => {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
