import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Complaint } from "../../src/main/complaint.ts";
import { readConfig, settings, settingsTable } from "../../src/main/config.ts";

function complaintOf(env: Readonly<Record<string, string>>): string {
  try {
    readConfig(env, "/work");
  } catch (error) {
    if (error instanceof Complaint) return error.message;
    throw error;
  }
  return "";
}

describe("settings", () => {
  test("an empty environment → the documented defaults", () => {
    const { config, warnings, exposed } = readConfig({}, "/work");
    expect(config).toMatchObject({
      host: "127.0.0.1",
      port: 4000,
      data: "/work/.muster",
      databaseUrl: null,
      process: null,
      graphiql: null,
      logLevel: "info",
    });
    expect(config.workers).toBeGreaterThanOrEqual(1);
    expect([...warnings, ...exposed]).toEqual([]);
  });

  test("empty text → as if it were not set", () => {
    expect(readConfig({ MUSTER_PORT: "", DATABASE_URL: " " }, "/work").config).toMatchObject({ port: 4000, databaseUrl: null });
  });

  test("limits of drivers → by type; what cannot be is said, all of it", () => {
    const limits = { sim: { batchSize: 1, maxCallsInFlight: 200, callsPerSecond: 0.5, burst: 3 }, process: { failuresToPause: 5 } };
    expect(readConfig({ MUSTER_DRIVER_LIMITS: JSON.stringify(limits) }, "/work").config.driverLimits).toEqual(limits);
    expect(readConfig({}, "/work").config.driverLimits).toEqual({});
    const said = complaintOf({
      MUSTER_DRIVER_LIMITS: '{"sim": {"burst": 2, "batchSize": 0, "callsPerSecond": "9", "maxCallsInFlight": 1.5, "speed": 1}, "process": 3}',
    });
    for (const what of ["sim.burst", "sim.batchSize", "sim.callsPerSecond", "sim.maxCallsInFlight", "sim.speed", "process must"])
      expect(said).toContain(what);
    for (const wrong of ["sim=3", "[]", "null", "3"])
      expect(complaintOf({ MUSTER_DRIVER_LIMITS: wrong })).toContain('{"sim": {"callsPerSecond": 50}}');
  });

  test("several mistakes → all at once, each by name", () => {
    const said = complaintOf({
      MUSTER_PORT: "99999",
      MUSTER_WORKERS: "0",
      DATABASE_URL: "mysql://root@localhost",
      MUSTER_PROCESS: "maybe not",
      MUSTER_SECRET_KEY: "short",
      MUSTER_CORS_ORIGINS: "example.org",
      MUSTER_LOG_LEVEL: "loud",
      MUSTER_LIMIT_DEPTH: "1",
      MUSTER_DRIVER_LIMITS: "sim=3",
    });
    for (const name of [
      "9 settings",
      "MUSTER_PORT",
      "MUSTER_WORKERS",
      "DATABASE_URL",
      "MUSTER_PROCESS",
      "MUSTER_SECRET_KEY",
      "MUSTER_CORS_ORIGINS",
      "MUSTER_LOG_LEVEL",
      "MUSTER_LIMIT_DEPTH",
      "MUSTER_DRIVER_LIMITS",
    ]) {
      expect(said).toContain(name);
    }
  });

  test.each([
    ["MUSTER_PORT", "0", true],
    ["MUSTER_PORT", "65535", true],
    ["MUSTER_PORT", "65536", false],
    ["MUSTER_PORT", "-1", false],
    ["MUSTER_PORT", "4e3", false],
    ["MUSTER_PORT", "0x10", false],
    ["MUSTER_WORKERS", "1", true],
    ["MUSTER_HOST", "::1", true],
    ["MUSTER_HOST", "a b", false],
    ["MUSTER_PROCESS", "default,web", true],
    ["MUSTER_GRAPHIQL", "yes", false],
    ["MUSTER_ADMIN_TOKEN", "x".repeat(19), false],
    ["MUSTER_ADMIN_TOKEN", "x".repeat(20), true],
    ["MUSTER_ADMIN_TOKEN", "muster_tooShortToBeOneOfOurs", false],
    ["MUSTER_SECRET_KEY", "ab".repeat(32), true],
    ["MUSTER_SECRET_KEY", Buffer.alloc(32).toString("base64"), true],
    ["MUSTER_SECRET_KEY", "ab".repeat(31), false],
    ["MUSTER_SECRET_KEY", `${"ab".repeat(32)}\n${"cd".repeat(32)}`, true],
    ["MUSTER_SECRET_KEY", `${"ab".repeat(32)}, ${Buffer.alloc(32).toString("base64")}`, true],
    ["MUSTER_SECRET_KEY", `${"ab".repeat(32)},${"cd".repeat(31)}`, false],
    ["MUSTER_SECRET_KEY", ",", false],
    ["MUSTER_HOSTS", "muster.example.org,10.0.0.1", true],
    ["MUSTER_HOSTS", "muster.example.org:4000", false],
    ["DATABASE_URL", "postgres://u:p@h:1/d?sslmode=no-verify", true],
    ["DATABASE_URL", "postgres://u:p@h:port/d", false],
  ])("%s=%s → good: %s", (name, value, good) => {
    expect(complaintOf({ [name]: value }) === "").toBe(good);
  });

  test("a secret that is wrong → is not repeated", () => {
    const said = complaintOf({ DATABASE_URL: "oracle://root:canary-1@h", MUSTER_SECRET_KEY: "canary-2", MUSTER_ADMIN_TOKEN: "muster_canary-3" });
    expect(said).not.toContain("canary");
  });

  test("a secret in a file → read from there; both ways at once, or no such file → a mistake", () => {
    const file = join(mkdtempSync(join(tmpdir(), "muster-config-")), "url");
    writeFileSync(file, "postgres://u:p@h/d\n");
    expect(readConfig({ DATABASE_URL_FILE: file }).config.databaseUrl).toBe("postgres://u:p@h/d");
    expect(complaintOf({ DATABASE_URL_FILE: file, DATABASE_URL: "postgres://u@h/d" })).toContain("both set");
    expect(complaintOf({ DATABASE_URL_FILE: `${file}.missing` })).toContain("DATABASE_URL_FILE cannot be read");
  });

  test("a slip of the pen → a warning that names what was meant", () => {
    expect(readConfig({ MUSTER_WORKRES: "3" }).warnings).toEqual([expect.stringContaining("MUSTER_WORKERS?")]);
  });

  test("a secret in the environment → named as exposed; our children inherit none", () => {
    const env = {
      DATABASE_URL: "postgres://u:canary@h/d",
      MUSTER_ADMIN_TOKEN: "canary".repeat(5),
      AWS_SECRET_ACCESS_KEY: "canary",
      PATH: "/bin",
      LANG: "C",
    };
    const { config, exposed } = readConfig(env);
    expect(exposed).toEqual(["DATABASE_URL", "MUSTER_ADMIN_TOKEN"]);
    expect(config.childEnvironment).toEqual({ PATH: "/bin", LANG: "C" });
  });

  test("the table in the README → has a line for each setting", () => {
    const table = settingsTable();
    for (const { name } of settings) expect(table).toContain(`| \`${name}\``);
  });
});
