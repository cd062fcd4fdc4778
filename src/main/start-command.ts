/** `muster start` as a person sees it. */
import { relative } from "node:path";
import { isLoopback } from "../server/origin.ts";
import type { Config } from "./config.ts";
import { adminTokenFile } from "./data-folder.ts";
import { createLogger } from "./logger.ts";
import { realRuntime } from "./runtime.ts";
import { startInstallation } from "./start.ts";
import { listenForStop, untilAborted } from "./stop-signal.ts";
import { musterVersion } from "./version.ts";

export async function runStart(config: Config): Promise<number> {
  process.title = "muster start";
  const stop = listenForStop();
  const installation = await startInstallation({
    config,
    command: "muster start",
    runtime: realRuntime(),
    logger: createLogger({ level: config.logLevel, process: "start", file: null }),
    logFile: null,
    output: "inherit",
    stop,
  });
  process.stdout.write(`${greeting(config, installation.url)}\n`);
  await untilAborted(stop.asked);
  process.stdout.write("Stopping; members live on.\n");
  await installation.stop();
  return 0;
}

function greeting(config: Config, url: string): string {
  const workers = config.workers === 1 ? "1 worker" : `${config.workers} workers`;
  const token = config.adminToken === null ? `in ${relative(process.cwd(), adminTokenFile(config.data)) || "."}` : "from MUSTER_ADMIN_TOKEN";
  const lines = [`Muster ${musterVersion()} runs: ${workers}, data in ${config.data}`, `  GraphQL   ${url}/graphql`];
  if (config.graphiql ?? isLoopback(config.host)) lines.push(`  GraphiQL  ${url}/graphiql`);
  return [...lines, `  Token     ${token}`, "Ctrl-C stops it; its members live on."].join("\n");
}
