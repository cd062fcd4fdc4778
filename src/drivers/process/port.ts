/**
 * Ports on 127.0.0.1 handed out to members. The kernel names a free one (bind to 0); a file made with O_EXCL keeps any worker of the
 * host from handing it out again before its owner is gone, also while that owner does not listen yet.
 */
import { readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { NodeId } from "../../core/ids.ts";
import { codeOf, readIfThere, type StateFolder } from "./state.ts";

/** So many ports in a row that are claimed already mean that something else is wrong. */
const triesPerPort = 200;

/** Claims one port per name for this life of the node. */
export async function claimPorts(
  state: StateFolder,
  names: readonly string[],
  owner: { readonly id: NodeId; readonly epoch: number },
): Promise<Map<string, number>> {
  const claimed = new Map<string, number>();
  for (const name of names) claimed.set(name, await claimPort(state, `${owner.id}.${owner.epoch}\n`));
  return claimed;
}

async function claimPort(state: StateFolder, owner: string): Promise<number> {
  for (let i = 0; i < triesPerPort; i++) {
    const port = await freePort();
    try {
      await writeFile(join(state.ports, String(port)), owner, { flag: "wx", mode: 0o600 });
      return port;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
  }
  throw new Error("no port is free");
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port: 0, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === "string") reject(new Error("a TCP server has a port"));
        else resolve(address.port);
      });
    });
  });
}

export async function releasePorts(state: StateFolder, ports: Iterable<number>): Promise<void> {
  for (const port of ports) await rm(join(state.ports, String(port)), { force: true });
}

/** Every claim: its port, and the life that it was made for (null: it cannot be read). */
export async function listClaims(state: StateFolder): Promise<readonly { readonly port: number; readonly owner: string | null }[]> {
  const files = await readdir(state.ports);
  return Promise.all(files.map(async (file) => ({ port: Number(file), owner: (await readIfThere(join(state.ports, file)))?.trim() ?? null })));
}
