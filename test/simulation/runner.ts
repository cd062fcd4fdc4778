/** Who runs seeds, one by one, each in a database of its own: this process, or for `--jobs` others like it. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startPostgres } from "../support/postgres.ts";
import { type Run, runSeed } from "./scenario.ts";
import { openSimulatedServer } from "./server.ts";

export interface Runner {
  run(seed: number, print?: ((line: string) => void) | null): Promise<Run>;
  close(): Promise<void>;
}

/** On a server of its own: what others do on a server can be seen (ids of transactions), and its processes are stopped at will. */
export async function openRunner(): Promise<Runner> {
  // By a socket in its data directory: a tenth faster than TCP.
  const postgres = await startPostgres({ autovacuum: "off", unix_socket_directories: "." });
  const url = new URL(postgres.url("DATABASE"));
  url.searchParams.set("host", `${postgres.folder}/data`);
  const server = await openSimulatedServer(url.href, "simulation");
  return {
    run: (seed, print = null) => runSeed(server, seed, print),
    close: async () => {
      await server.close();
      await postgres.stop();
    },
  };
}

/** A run as it travels between processes. */
type Message = Omit<Run, "faults"> & { readonly faults: readonly (readonly [string, number])[] };

/** A runner in a process of its own: it prints no steps. */
export function forkRunner(): Runner {
  const child = fork(fileURLToPath(import.meta.url), { execArgv: ["--import", "tsx"] });
  const ended = once(child, "exit").then(([code]) => Promise.reject(new Error(`a process that runs seeds ended with ${String(code)}`)));
  // It is looked at by whoever waits for a run.
  ended.catch(() => undefined);
  return {
    run: async (seed) => {
      child.send(seed);
      const [{ faults, ...run }] = (await Promise.race([once(child, "message"), ended])) as [Message];
      return { ...run, faults: new Map(faults) };
    },
    close: async () => {
      child.send("end");
      await ended.catch(() => undefined);
    },
  };
}

const [, entry] = process.argv;
if (process.send !== undefined && entry === fileURLToPath(import.meta.url)) {
  // Whoever started it may be killed.
  process.once("disconnect", () => process.exit());
  const runner = await openRunner();
  process.on("message", async (seed: number | "end") => {
    if (seed === "end") {
      await runner.close();
      process.disconnect();
    } else {
      const run = await runner.run(seed);
      process.send?.({ ...run, faults: [...run.faults] } satisfies Message);
    }
  });
}
