/** A worker that does nothing but create members: told what by its standard input, made to be killed. */
import { text } from "node:stream/consumers";
import type { DriverNode } from "../../src/drivers/driver.ts";
import { createProcessDriver, type ProcessOptions } from "../../src/drivers/process/index.ts";
import { callContext, outcomesOf, runtime, silentLogger } from "./driver-node.ts";

const input: { options: Pick<ProcessOptions, "dataDir" | "hostIncarnation" | "environment" | "cwd">; nodes: readonly DriverNode[] } = JSON.parse(
  await text(process.stdin),
);
const driver = createProcessDriver({ ...runtime, logger: silentLogger, ...input.options });
await outcomesOf(driver.create(input.nodes, callContext()));
