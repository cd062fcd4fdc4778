import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../../src/core/json.ts";
import type { Aggregates } from "../../../src/core/plan/aggregates.ts";
import { changesInPlace, mostMissing, rollOutNow } from "../../../src/core/plan/roll-out.ts";

const rested: Aggregates = {
  planned: 0,
  creating: 0,
  active: 0,
  updating: 0,
  recovering: 0,
  suspended: 0,
  warning: 0,
  error: 0,
  unknown: 0,
  deleting: 0,
  replacing: 0,
  healthy: 0,
};

describe("how many at once", () => {
  test("a quarter, none below minSize, but always one", () => {
    const most = (desiredCapacity: number, minSize: number): number => mostMissing({ desiredCapacity, minSize });
    expect([most(0, 0), most(1, 0), most(3, 3), most(8, 0), most(8, 7), most(8, 8), most(1_000_000, 0)]).toEqual([1, 1, 1, 2, 1, 1, 250_000]);
  });

  test("any cluster → those that work and are well never fall below the share by it; nobody is taken twice; the window holds", () => {
    const counts = fc.record({ active: fc.nat(100), updating: fc.nat(30), warning: fc.nat(5), healthy: fc.nat(120), error: fc.nat(10) });
    const wish = fc.record({ desiredCapacity: fc.nat(100), minSize: fc.nat(50) });
    const outdated = fc.record({ left: fc.nat(100), idle: fc.nat(50), working: fc.nat(100) });
    fc.assert(
      fc.property(counts, wish, outdated, fc.nat(50), (some, wanted, behind, room) => {
        const now = rollOutNow(wanted, { ...rested, ...some }, behind, room);
        expect(now.idle).toBeLessThanOrEqual(behind.idle);
        expect(now.working).toBeLessThanOrEqual(behind.working);
        expect(Math.min(now.idle, now.working)).toBeGreaterThanOrEqual(0);
        if (now.idle + now.working > 0) expect(some.updating + now.idle + now.working).toBeLessThanOrEqual(room);
        const well = Math.min(some.active + some.warning, some.healthy);
        if (now.working > 0) expect(well - now.working).toBeGreaterThanOrEqual(Math.min(well, wanted.desiredCapacity) - mostMissing(wanted));
        if (now.working > 0) expect(wanted.desiredCapacity - well + now.working).toBeLessThanOrEqual(mostMissing(wanted) + Math.max(0, now.working));
      }),
    );
  });

  test("members that do not become well → it stops by itself", () => {
    const behind = { left: 15, idle: 0, working: 15 };
    const wanted = { desiredCapacity: 20, minSize: 0 };
    expect(rollOutNow(wanted, { ...rested, active: 20, healthy: 20 }, behind, 1_000).working).toBe(5);
    expect(rollOutNow(wanted, { ...rested, active: 20, healthy: 15 }, behind, 1_000).working).toBe(0);
    expect(rollOutNow(wanted, { ...rested, active: 17, updating: 3, healthy: 20 }, behind, 1_000).working).toBe(2);
    expect(rollOutNow(wanted, { ...rested, active: 16, healthy: 16, error: 4 }, { left: 20, idle: 4, working: 16 }, 1_000)).toEqual({
      idle: 4,
      working: 1,
    });
  });
});

describe("in place or anew", () => {
  const spec: JsonObject = { image: "a", labels: { tier: "web", "x.y": 1 }, ports: [1, 2], env: null };
  const paths = ["labels", "limits.memory"];
  test.each<[string, JsonObject, boolean]>([
    ["nothing differs, in another order", { env: null, ports: [1, 2], labels: { "x.y": 1, tier: "web" }, image: "a" }, true],
    ["below a path", { ...spec, labels: { tier: "db" } }, true],
    ["at a path, that was not there", { ...spec, limits: { memory: 5 } }, true],
    ["beside a path", { ...spec, limits: { cpu: 5 } }, false],
    ["a list", { ...spec, ports: [1, 3] }, false],
    ["a path and something else", { ...spec, image: "b", labels: {} }, false],
    ["a sealed value", { ...spec, env: { $sealed: "other", mask: "m" } }, false],
    ["a name that only begins like a path", { ...spec, labels2: 1 }, false],
  ])("%s → %s", (_, next, fits) => {
    expect(changesInPlace(spec, next, paths)).toBe(fits);
    expect(changesInPlace(next, spec, paths)).toBe(fits);
  });
});
