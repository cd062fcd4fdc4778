import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { windowSize } from "../../../src/core/plan/cluster-plan.ts";
import { ClusterModel } from "./cluster-model.ts";

type Step = (model: ClusterModel) => void;
const step = (weight: number, arbitrary: fc.Arbitrary<Step>): { weight: number; arbitrary: fc.Arbitrary<Step> } => ({ weight, arbitrary });

const outcome = fc.tuple(fc.nat(60), fc.boolean(), fc.boolean()).map(
  ([place, well, certain]): Step =>
    (model) =>
      model.happen(place, well, certain),
);
const pass = fc.constant<Step>((model) => void model.pass());
const wishes = fc.oneof(
  fc.nat(40).map(
    (size): Step =>
      (model) =>
        model.wish(size, false),
  ),
  fc.integer({ min: -10, max: 10 }).map(
    (by): Step =>
      (model) =>
        model.wish(model.wanted.desiredCapacity + by, true),
  ),
);
const bounds = fc.tuple(fc.nat(20), fc.option(fc.nat(20))).map(
  ([minSize, more]): Step =>
    (model) =>
      model.bound(minSize, more === null ? null : minSize + more),
);
const jobs = fc.constantFrom<Step>(
  (model) => model.job("CLUSTER_CHECK"),
  (model) => model.job("CLUSTER_RECOVER"),
);
const profiles = fc.integer({ min: 1, max: 4 }).map(
  (profile): Step =>
    (model) =>
      model.rollOut(profile),
);
const time = fc.nat(90_000).map(
  (ms): Step =>
    (model) => {
      model.nowMs += ms;
    },
);
const hosts = fc.boolean().map(
  (there): Step =>
    (model) => {
      model.placeable = there;
    },
);
const anyStep = fc.oneof(
  step(12, outcome),
  step(8, pass),
  step(3, wishes),
  step(1, bounds),
  step(1, jobs),
  step(2, profiles),
  step(2, time),
  step(1, hosts),
);
const anyHistory = fc.array(anyStep, { maxLength: 120 });
const anyCluster = fc.record({ window: fc.integer({ min: 1, max: 20 }), desired: fc.nat(30), minSize: fc.nat(5) });

function lived(options: { window: number; desired: number; minSize: number }, history: readonly Step[]): ClusterModel {
  const model = new ClusterModel({ ...options, desired: Math.max(options.desired, options.minSize) });
  for (const next of history) next(model);
  model.placeable = true;
  return model;
}

describe("the plan of a cluster", () => {
  test("any history of wishes, failures and deaths, then peace → exactly as many active members as wanted, every action ended, nothing left to do", () => {
    fc.assert(
      fc.property(anyCluster, anyHistory, (options, history) => {
        const model = lived(options, history);
        model.settle(500);
        expect(model.count("ACTIVE")).toBe(model.wanted.desiredCapacity);
        expect(model.members).toHaveLength(model.wanted.desiredCapacity);
        expect(model.open()).toEqual([]);
        expect(model.members.filter((member) => member.profile !== model.wanted.profile)).toEqual([]);
        const plan = model.pass();
        expect(plan).toMatchObject({
          create: 0,
          remove: 0,
          heal: 0,
          rollOut: { idle: 0, working: 0 },
          forget: false,
          actions: [],
          lookAgainAtMs: null,
          observedGeneration: model.wanted.generation,
          status: "ACTIVE",
        });
        expect(plan.conditions.map(({ type, status }) => `${type} ${status}`)).toEqual(["CONVERGED TRUE", "AVAILABLE TRUE", "HEALING_PAUSED FALSE"]);
        for (const action of model.actions) expect(action.done + action.failed).toBeLessThanOrEqual(action.total);
      }),
      { numRuns: 400 },
    );
  });

  test("any history, then deleted → all members go, then the cluster; the deletion succeeded, whatever else was open is superseded", () => {
    fc.assert(
      fc.property(anyCluster, anyHistory, anyHistory, (options, history, meanwhile) => {
        const model = lived(options, history);
        const open = model.open();
        model.remove();
        for (const next of meanwhile) if (!model.gone) next(model);
        if (!model.gone) model.settle(500);
        expect(model.gone).toBe(true);
        expect(model.members).toEqual([]);
        expect(model.actions.at(-1)).toMatchObject({ kind: "CLUSTER_DELETE", status: "SUCCEEDED" });
        for (const action of open) expect(action.status).toBe("SUPERSEDED");
      }),
      { numRuns: 300 },
    );
  });

  test("one of two is sick, and one is wanted → the sick one may be the one that goes: nobody is treated in that pass, and it looks again", () => {
    const model = new ClusterModel({ window: 10, desired: 2, minSize: 0 });
    model.settle(20);
    model.happen(0, false, true);
    model.wish(1, false);
    const plan = model.pass();
    expect(plan).toMatchObject({ remove: 1, heal: 0 });
    expect(plan.lookAgainAtMs).not.toBeNull();
  });

  test("5 → 50 → 3 in a moment → three members, the wishes between superseded", () => {
    const model = new ClusterModel({ window: 1_000, desired: 5, minSize: 0 });
    model.settle(20);
    model.wish(50, false);
    model.pass();
    model.wish(3, false);
    model.settle(20);
    expect(model.members).toHaveLength(3);
    expect(model.actions.map((action) => action.status)).toEqual(["SUCCEEDED", "SUPERSEDED", "SUCCEEDED"]);
  });

  test("a storm of wishes, all of them carried out as fast as they come → what is made and taken away is what the last one needs, and 100 at most", () => {
    const anyStorm = fc.array(
      fc.record({ size: fc.integer({ min: 300, max: 700 }), afterMs: fc.integer({ min: 1, max: 40 }), passes: fc.boolean() }),
      {
        minLength: 10,
        maxLength: 60,
      },
    );
    fc.assert(
      fc.property(anyStorm, fc.integer({ min: 300, max: 700 }), (storm, last) => {
        const model = new ClusterModel({ window: 1_000, desired: 500, minSize: 0 });
        model.settle(20);
        model.nowMs += 60_000;
        const { created, deleted } = model.totals;
        for (const { size, afterMs, passes } of storm) {
          model.wish(size, false);
          model.nowMs += afterMs;
          if (passes) model.settleNow();
        }
        model.wish(last, false);
        model.settle(50);
        expect(model.members).toHaveLength(last);
        expect(model.totals.created - created + model.totals.deleted - deleted).toBeLessThanOrEqual(Math.abs(last - 500) + 100);
      }),
      { numRuns: 60 },
    );
  });

  test("a storm begins while members wait to be begun → those that are too many by the present wish are dropped at once", () => {
    const model = new ClusterModel({ window: 1_000, desired: 10, minSize: 0 });
    model.settle(20);
    model.nowMs += 60_000;
    model.wish(300, false);
    model.nowMs += 60;
    model.pass();
    model.nowMs += 60;
    model.pass();
    expect(model.count("PLANNED")).toBe(290);
    for (const size of [290, 280, 270, 10]) model.wish(size, false);
    expect(model.pass()).toMatchObject({ create: 0, remove: 290 });
    expect(model.count("ACTIVE")).toBe(10);
  });

  test("other bounds in a storm → whoever is above maxSize goes at once, and up to minSize is made at once; only what is between waits", () => {
    const model = new ClusterModel({ window: 1_000, desired: 100, minSize: 0 });
    model.settle(20);
    model.nowMs += 60_000;
    for (const size of [99, 100, 99, 60]) {
      model.wish(size, false);
      model.settleNow();
      model.nowMs += 20;
    }
    expect(model.members).toHaveLength(100);
    expect(model.pass()).toMatchObject({ create: 0, remove: 0 });
    model.bound(0, 70);
    expect(model.pass()).toMatchObject({ create: 0, remove: 30 });
    model.nowMs += 20;
    model.bound(90, 120);
    expect(model.pass()).toMatchObject({ create: 20, remove: 0 });
  });

  test("+5 twice → ten more, both succeeded", () => {
    const model = new ClusterModel({ window: 1_000, desired: 5, minSize: 0 });
    model.settle(20);
    model.wish(10, true);
    model.wish(15, true);
    model.settle(20);
    expect(model.members).toHaveLength(15);
    expect(model.actions.map(({ status, done, total }) => ({ status, done, total }))).toEqual([
      { status: "SUCCEEDED", done: 5, total: 5 },
      { status: "SUCCEEDED", done: 5, total: 5 },
      { status: "SUCCEEDED", done: 5, total: 5 },
    ]);
  });

  test("a member that cannot be made → its action fails with the count, the others are not held up, and it is tried again", () => {
    const model = new ClusterModel({ window: 1_000, desired: 3, minSize: 0 });
    model.pass();
    for (const place of [0, 1, 2]) model.happen(place, true, true);
    model.happen(0, false, true);
    model.happen(1, true, true);
    model.happen(2, true, true);
    model.pass();
    expect(model.actions[0]).toMatchObject({ status: "FAILED", done: 2, failed: 1 });
    model.settle(50);
    expect(model.count("ACTIVE")).toBe(3);
  });

  test("an old member dies and cannot be healed while the cluster grows → the growth succeeds all the same", () => {
    const model = new ClusterModel({ window: 1_000, desired: 5, minSize: 0 });
    model.settle(20);
    model.happen(0, false, true);
    model.wish(7, true);
    model.pass();
    model.happen(0, false, true);
    model.settle(50);
    expect(model.actions.at(-1)).toMatchObject({ status: "SUCCEEDED", done: 2, failed: 0 });
  });

  test("time-out: the wish takes too long → its action FAILED, TIMED_OUT; the wish stays", () => {
    const model = new ClusterModel({ window: 1_000, desired: 5, minSize: 0 });
    model.pass();
    model.nowMs += 3_600_000;
    const plan = model.pass();
    expect(plan.actions).toMatchObject([{ event: "failed", reason: "TIMED_OUT" }]);
    model.settle(50);
    expect(model.count("ACTIVE")).toBe(5);
  });

  test("a new profile, one of ten cannot be brought over → at most a quarter at once; the action fails with the count, the member is healed", () => {
    const model = new ClusterModel({ window: 1_000, desired: 10, minSize: 0 });
    model.settle(20);
    model.rollOut(2);
    expect(model.pass()).toMatchObject({
      rollOut: { idle: 0, working: 2 },
      conditions: [{ type: "CONVERGED", status: "FALSE", reason: "ROLLING_OUT" }, {}, {}],
    });
    expect(model.pass().rollOut).toEqual({ idle: 0, working: 0 });
    model.happen(0, false, true);
    model.happen(1, true, true);
    expect(model.pass().rollOut).toEqual({ idle: 0, working: 1 });
    model.settle(100);
    expect(model.actions.at(-1)).toMatchObject({ kind: "CLUSTER_UPDATE", status: "FAILED", total: 10, done: 9, failed: 1 });
    expect(model.members.every((member) => member.profile === 2 && member.status === "ACTIVE")).toBe(true);
  });

  test("a new profile while half of them cannot be made → those that are sick already go first, the others when these are well", () => {
    const model = new ClusterModel({ window: 1_000, desired: 4, minSize: 4 });
    model.settle(20);
    for (const place of [0, 1]) model.happen(place, false, true);
    model.nowMs += 1;
    model.rollOut(2);
    expect(model.pass()).toMatchObject({ rollOut: { idle: 2, working: 0 }, heal: 0 });
    for (const place of [0, 1]) model.happen(place, true, true);
    expect(model.pass().rollOut).toEqual({ idle: 0, working: 1 });
  });

  test("a newer profile in the middle → the former action is superseded, everybody ends at the newest", () => {
    const model = new ClusterModel({ window: 1_000, desired: 10, minSize: 0 });
    model.settle(20);
    model.rollOut(2);
    model.pass();
    model.happen(0, true, true);
    model.rollOut(1);
    model.settle(100);
    expect(model.members.every((member) => member.profile === 1)).toBe(true);
    expect(model.actions.map((action) => action.status)).toEqual(["SUCCEEDED", "SUPERSEDED", "SUCCEEDED"]);
  });

  test("no host → nothing is made, and it looks again by itself", () => {
    const model = new ClusterModel({ window: 1_000, desired: 5, minSize: 0 });
    model.placeable = false;
    const plan = model.pass();
    expect(plan).toMatchObject({ create: 0, lookAgainAtMs: model.nowMs + 1_000 });
    expect(plan.conditions[0]).toMatchObject({ type: "CONVERGED", status: "FALSE", reason: "NO_HOST" });
  });

  test("the window: about two seconds' worth, from a thousand to twenty thousand", () => {
    expect([0, 400, 2_000, 1_000_000].map(windowSize)).toEqual([1_000, 1_000, 4_000, 20_000]);
  });
});
