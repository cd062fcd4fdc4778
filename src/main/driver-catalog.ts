/** The profile types of this installation: the only place that names the drivers. */
import { hostname } from "node:os";
import type { Driver, DriverCatalog, DriverDeps } from "../drivers/driver.ts";
import { processUnavailable, readHostIncarnation } from "../drivers/process/host.ts";
import { createProcessDriver } from "../drivers/process/index.ts";
import { createSimDriver } from "../drivers/sim/index.ts";
import type { PartSettings } from "./part.ts";

/** A machine that cannot run processes (no /proc, no sh) still does everything else. */
export function buildDrivers(settings: Pick<PartSettings, "config">, deps: DriverDeps): DriverCatalog {
  const { data: dataDir, environment } = settings.config;
  const drivers: Driver[] = [createSimDriver(deps)];
  const reason = processUnavailable(environment.PATH);
  const hostIncarnation = readHostIncarnation();
  if (reason !== null) deps.logger.warn({ reason }, "Members of the type process cannot be run on this machine");
  else if (hostIncarnation !== null)
    drivers.unshift(createProcessDriver({ ...deps, dataDir, hostIncarnation, hostName: hostname(), environment, cwd: process.cwd() }));
  return new Map(drivers.map((driver) => [driver.type, driver]));
}
