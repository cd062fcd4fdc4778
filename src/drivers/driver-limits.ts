/** How much a driver may be asked at once: what its numbers are called in the settings, what they may be, and a driver with others in place of its own. */
import type { Driver } from "./driver.ts";

interface LimitRule {
  readonly least: number;
  readonly most: number;
  readonly whole: boolean;
}

const rules = {
  batchSize: { least: 1, most: 10_000, whole: true },
  maxCallsInFlight: { least: 1, most: 4_000, whole: true },
  callsPerSecond: { least: 0.01, most: 100_000, whole: false },
  burst: { least: 1, most: 100_000, whole: true },
  failuresToPause: { least: 1, most: 1_000, whole: true },
} as const satisfies Partial<Record<keyof Driver, LimitRule>>;

type LimitName = keyof typeof rules;
export type DriverLimits = { readonly [Name in LimitName]?: number };

function isLimitName(name: string): name is LimitName {
  return Object.hasOwn(rules, name);
}

/** Drivers' limits, by type. Whatever is wrong with them is added to `issues`, as sentences that begin where it is. */
export function parseDriverLimits(input: unknown, issues: string[]): ReadonlyMap<string, DriverLimits> {
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject(input)) {
    issues.push('it must be an object such as {"sim": {"callsPerSecond": 50}}');
    return new Map();
  }
  return new Map(
    Object.entries(input).map(([type, given]) => {
      if (!isObject(given)) issues.push(`${type} must be an object`);
      const limits: { [Name in LimitName]?: number } = {};
      for (const [name, value] of Object.entries(isObject(given) ? given : {})) {
        if (!isLimitName(name)) issues.push(`${type}.${name} is not one of ${Object.keys(rules).join(", ")}`);
        else if (isAllowed(value, rules[name])) limits[name] = value;
        else issues.push(`${type}.${name} must be a ${rules[name].whole ? "whole " : ""}number from ${rules[name].least} to ${rules[name].most}`);
      }
      if (limits.burst !== undefined && limits.callsPerSecond === undefined) issues.push(`${type}.burst means nothing without callsPerSecond`);
      return [type, limits];
    }),
  );
}

function isAllowed(value: unknown, { least, most, whole }: LimitRule): value is number {
  return typeof value === "number" && value >= least && value <= most && (!whole || Number.isInteger(value));
}

export function withLimits(driver: Driver, limits: DriverLimits | undefined): Driver {
  return limits === undefined ? driver : { ...driver, ...limits };
}
