/** `sim`: members that exist only in Muster's books. Made for scale, demos and tests; it says so wherever it is named. */
import type { Driver, DriverDeps } from "../driver.ts";
import { createMembers, deleteMembers, inspectMembers, updateMembers } from "./operations.ts";
import { computingProvider, type Provider } from "./provider.ts";
import { longest, parseSimSpec, readSimSpec, simSpecSchema } from "./spec.ts";

/** Beyond what a spec says its operations take: the provider's own time and a slow machine, ms. */
const slackMs = 15_000;

export interface SimOptions extends DriverDeps {
  /** Else effects are only computed. */
  readonly provider?: Provider;
}

export function createSimDriver(options: SimOptions): Driver {
  const deps = { clock: options.clock, timers: options.timers, provider: options.provider ?? computingProvider(options.clock.wallMs) };
  return {
    type: "sim",
    version: "1",
    description: "Simulated members: they exist only in Muster's books, nothing is started anywhere.",
    idempotency: "keyed",
    hostBound: false,
    batchSize: 1_000,
    maxCallsInFlight: 32,
    timeoutMs: (spec) => {
      const { createMs, deleteMs, updateMs } = readSimSpec(spec);
      return Math.max(longest(createMs), longest(deleteMs), longest(updateMs)) + slackMs;
    },
    specSchema: simSpecSchema,
    // How calls about it go; where and how long it lives is drawn when it is made.
    updatesInPlace: ["createMs", "deleteMs", "updateMs", "failureRate", "batchSize"],
    operations: [],
    parseSpec: parseSimSpec,
    probePlan: () => null,
    create: (nodes, context) => createMembers(deps, nodes, context),
    delete: (nodes, context) => deleteMembers(deps, nodes, context),
    inspect: (nodes, context) => inspectMembers(deps, nodes, context),
    update: (nodes, context) => updateMembers(deps, nodes, context),
  };
}
