/** The profile types of this installation: the only place that names the drivers. */
import { hostname } from "node:os";
import type { Driver, DriverCatalog, DriverDeps } from "../drivers/driver.ts";
import { type DriverLimits, withLimits } from "../drivers/driver-limits.ts";
import { processUnavailable, readHostIncarnation } from "../drivers/process/host.ts";
import { createProcessDriver } from "../drivers/process/index.ts";
import { createSimDriver } from "../drivers/sim/index.ts";
import { Complaint } from "./complaint.ts";
import type { PartSettings } from "./part.ts";

/** Every profile type, also those that this machine cannot run. */
const types = ["process", "sim"] as const;

/**
 * A machine that cannot run processes (no /proc, no sh) still does everything else.
 * @throws Complaint about limits that no driver can keep
 */
export function buildDrivers(settings: Pick<PartSettings, "config">, deps: DriverDeps): DriverCatalog {
  const { data: dataDir, environment, driverLimits } = settings.config;
  const unknown = Object.keys(driverLimits).filter((type) => !types.some((known) => known === type));
  if (unknown.length > 0) throw new Complaint(`MUSTER_DRIVER_LIMITS names ${unknown.join(", ")}; profile types are ${types.join(", ")}.`);
  const drivers: Driver[] = [createSimDriver(deps)];
  const reason = processUnavailable(environment.PATH);
  const hostIncarnation = readHostIncarnation();
  if (reason !== null) deps.logger.warn({ reason }, "Members of the type process cannot be run on this machine");
  else if (hostIncarnation !== null)
    drivers.unshift(createProcessDriver({ ...deps, dataDir, hostIncarnation, hostName: hostname(), environment, cwd: process.cwd() }));
  return new Map(drivers.map((driver) => [driver.type, limited(driver, driverLimits[driver.type])]));
}

function limited(driver: Driver, limits: DriverLimits | undefined): Driver {
  if ((limits?.batchSize ?? 0) > driver.batchSize)
    throw new Complaint(`MUSTER_DRIVER_LIMITS: ${driver.type} takes at most ${driver.batchSize} nodes a call (batchSize).`);
  return withLimits(driver, limits);
}
