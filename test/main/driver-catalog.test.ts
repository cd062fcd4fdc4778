import { expect, test } from "vitest";
import { Complaint } from "../../src/main/complaint.ts";
import { readConfig } from "../../src/main/config.ts";
import { buildDrivers } from "../../src/main/driver-catalog.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { createTestLog } from "../support/log.ts";

function driversWith(limits: object): ReturnType<typeof buildDrivers> {
  const { config } = readConfig({ MUSTER_DRIVER_LIMITS: JSON.stringify(limits) }, "/work");
  return buildDrivers({ config }, { ...realRuntime(), logger: createTestLog() });
}

test("limits in the settings → the driver's own give way to them, the rest of it stays", () => {
  const own = driversWith({}).get("sim");
  const sim = driversWith({ sim: { batchSize: 1, callsPerSecond: 20 } }).get("sim");
  expect(sim).toMatchObject({ type: "sim", batchSize: 1, callsPerSecond: 20, maxCallsInFlight: own?.maxCallsInFlight });
  expect(own?.callsPerSecond).toBeUndefined();
});

test("a type that there is not, more nodes a call than the driver takes → a complaint that says so", () => {
  expect(() => driversWith({ simm: {} })).toThrow(Complaint);
  expect(() => driversWith({ simm: {} })).toThrow("simm");
  expect(() => driversWith({ sim: { batchSize: 5_000 } })).toThrow("at most 1000");
});
