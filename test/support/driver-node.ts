/** Driver nodes and call contexts for tests that call drivers directly. */
import { brandId, type NodeId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import type { Logger, Runtime } from "../../src/core/runtime.ts";
import type { CallContext, Driver, DriverError, DriverNode, Outcome } from "../../src/drivers/driver.ts";
import { realRuntime } from "../../src/main/runtime.ts";

export const runtime: Runtime = realRuntime();
const silent = (): void => undefined;
export const silentLogger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

let counter = 0;

export function driverNode(spec: JsonObject, given: Partial<DriverNode> = {}): DriverNode {
  counter += 1;
  return {
    id: brandId("node", runtime.entropy.uuid()),
    name: `web-${counter}`,
    index: counter,
    clusterId: brandId("cluster", runtime.entropy.uuid()),
    clusterName: "web",
    epoch: 1,
    physicalId: null,
    spec,
    hostId: null,
    attempt: 1,
    ...given,
  };
}

export function callContext(given: { readonly signal?: AbortSignal; readonly withinMs?: number; readonly fence?: bigint } = {}): CallContext {
  return {
    installation: "test",
    fence: () => given.fence ?? 1n,
    signal: given.signal ?? new AbortController().signal,
    deadlineMs: runtime.clock.monotonicMs() + (given.withinMs ?? 30_000),
  };
}

/** Every outcome of a call, by node. */
export async function outcomesOf<T>(stream: AsyncIterable<Outcome<T>>): Promise<ReadonlyMap<NodeId, Outcome<T>>> {
  const outcomes = new Map<NodeId, Outcome<T>>();
  for await (const outcome of stream) {
    if (outcomes.has(outcome.nodeId)) throw new Error(`two outcomes for ${outcome.nodeId}`);
    outcomes.set(outcome.nodeId, outcome);
  }
  return outcomes;
}

/** The value of the one outcome there must be. */
export async function valueOf<T>(stream: AsyncIterable<Outcome<T>>): Promise<T> {
  const [outcome] = [...(await outcomesOf(stream)).values()];
  if (outcome?.ok !== true) throw new Error(`the call failed: ${JSON.stringify(outcome)}`);
  return outcome.value;
}

/** The error of the one outcome there must be. */
export async function errorOf<T>(stream: AsyncIterable<Outcome<T>>): Promise<DriverError> {
  const [outcome] = [...(await outcomesOf(stream)).values()];
  if (outcome?.ok !== false) throw new Error(`the call did not fail: ${JSON.stringify(outcome)}`);
  return outcome.error;
}

/** The spec as it is stored: checked and with its defaults. */
export function stored(driver: Driver, spec: JsonObject): JsonObject {
  const { spec: parsed, issues } = driver.parseSpec(spec);
  if (issues.length > 0) throw new Error(`a wrong spec: ${JSON.stringify(issues)}`);
  return parsed;
}
