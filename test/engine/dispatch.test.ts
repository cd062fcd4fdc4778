/** Choosing calls, without anything around it: tasks and drivers are made up. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { brandId, type ClusterId, type ProfileId, type ProjectId } from "../../src/core/ids.ts";
import type { Driver } from "../../src/drivers/driver.ts";
import { Dispatch, type Trial } from "../../src/engine/dispatch.ts";
import type { TaskReport } from "../../src/engine/report.ts";
import type { KnownProfile } from "../../src/engine/specs.ts";
import type { DueTask } from "../../src/store/task.ts";
import { handDriver } from "../support/hand-driver.ts";

const uuid = (space: number, number: number): string => `00000000-0000-7${String(space).padStart(3, "0")}-8000-${String(number).padStart(12, "0")}`;
const projectOf = (number: number): ProjectId => brandId("project", uuid(1, number));
const clusterOf = (number: number): ClusterId => brandId("cluster", uuid(2, number));
const profileOf = (number: number): ProfileId => brandId("profile", uuid(3, number));
let nodes = 0;

interface Wanted {
  readonly project?: number;
  readonly cluster?: number;
  readonly profile?: number;
  readonly kind?: DueTask["kind"];
}

function task({ project = 0, cluster = 0, profile = 0, kind = "DELETE" }: Wanted = {}): DueTask {
  nodes += 1;
  return {
    nodeId: brandId("node", uuid(4, nodes)),
    projectId: projectOf(project),
    clusterId: clusterOf(cluster),
    clusterName: "c",
    lane: 0,
    kind,
    attempt: 0,
    version: "1",
    begunBy: 0n,
    params: null,
    name: "n",
    index: 0,
    profileId: profileOf(profile),
    hostId: null,
    status: "ACTIVE",
    epoch: 1,
    physicalId: null,
    addresses: null,
  };
}

function driverWith(limits: Partial<Driver>): Driver {
  return { ...handDriver().driver, batchSize: 1, maxCallsInFlight: 8, ...limits };
}

function profilesOf(...drivers: Driver[]): ReadonlyMap<ProfileId, KnownProfile> {
  return new Map(drivers.map((driver, i) => [profileOf(i), { driver, sealed: {}, probe: null, timeoutMs: 1, open: () => ({}) }]));
}

const all = (): number => 1;
const much = 1_000_000;
const failure: TaskReport = { kind: "failed", error: { class: "transient", code: "BUSY", message: "try again" } };
const refusal: TaskReport = { kind: "failed", error: { class: "permanent", code: "BAD", message: "never" } };

/** Chooses, and begins what was chosen. */
function begin(dispatch: Dispatch, nowMs = 0): { readonly tasks: readonly DueTask[]; readonly trial: Trial }[] {
  const { calls, giveBack } = dispatch.choose(nowMs, much, all);
  giveBack();
  return calls.map((call) => ({ tasks: call.tasks.map((each) => each.task), trial: dispatch.started(call) }));
}

test("any clusters of any projects over many turns → no place stays empty while somebody waits, and whoever waits has as many as anybody who was served, up to a quantum", () => {
  const anyTask = fc.record({ project: fc.nat(3), cluster: fc.nat(3) });
  const anyTurn = fc.record({ come: fc.array(anyTask, { maxLength: 6 }), crowd: fc.nat(60), end: fc.nat(8) });
  fc.assert(
    fc.property(fc.array(anyTurn, { maxLength: 25 }), fc.constantFrom(1, 16), (turns, batchSize) => {
      const driver = driverWith({ batchSize });
      const quantum = Math.max(1, batchSize / 8);
      const dispatch = new Dispatch(0);
      const profiles = profilesOf(driver);
      let waiting: DueTask[] = [];
      let running: ReturnType<typeof begin> = [];
      for (const { come, crowd, end } of turns) {
        for (const { trial } of running.splice(0, end)) trial.end(0, 0);
        waiting.push(...Array.from({ length: crowd }, () => task({ project: 0, cluster: 0 })));
        waiting.push(...come.map(({ project, cluster }) => task({ project, cluster: project * 10 + cluster })));
        dispatch.fill(waiting, profiles);
        const begun = begin(dispatch);
        running = [...running, ...begun];
        const chosen = new Set(begun.flatMap(({ tasks }) => tasks));
        waiting = waiting.filter((each) => !chosen.has(each));
        if (waiting.length > 0) expect(running).toHaveLength(driver.maxCallsInFlight);
        const has = (of: (each: DueTask) => boolean): number => running.flatMap(({ tasks }) => tasks).filter(of).length;
        for (const served of chosen) {
          for (const other of waiting) {
            const theirs = { project: other.projectId, cluster: other.clusterId };
            const projects = has((each) => each.projectId === served.projectId) - has((each) => each.projectId === theirs.project);
            expect(projects).toBeLessThanOrEqual(quantum);
            const clusters = has((each) => each.clusterId === served.clusterId) - has((each) => each.clusterId === theirs.cluster);
            if (served.projectId === theirs.project) expect(clusters).toBeLessThanOrEqual(quantum);
          }
        }
      }
    }),
    { numRuns: 50 },
  );
});

test("one place, a cluster of a thousand, and one of three that came later → its three are made within six calls", () => {
  const dispatch = new Dispatch(0);
  const profiles = profilesOf(driverWith({ maxCallsInFlight: 1 }));
  let waiting = [...Array.from({ length: 1_000 }, () => task()), ...Array.from({ length: 3 }, () => task({ cluster: 1 }))];
  const order: (string | null)[] = [];
  for (let i = 0; i < 6; i++) {
    dispatch.fill(waiting, profiles);
    for (const { tasks, trial } of begin(dispatch)) {
      order.push(...tasks.map((each) => each.clusterId));
      waiting = waiting.filter((each) => !tasks.includes(each));
      trial.end(0, 0);
    }
  }
  expect(order.filter((cluster) => cluster === clusterOf(1))).toHaveLength(3);
});

test("alone → a project has all of the driver's places; creates leave a quarter to the rest", () => {
  const profiles = profilesOf(driverWith({}));
  const deletes = new Dispatch(0);
  deletes.fill(
    Array.from({ length: 20 }, () => task()),
    profiles,
  );
  expect(begin(deletes)).toHaveLength(8);
  const both = new Dispatch(0);
  both.fill([...Array.from({ length: 20 }, () => task({ kind: "CREATE" })), task({ cluster: 1 })], profiles);
  expect(begin(both)).toHaveLength(7);
});

test("a rate → as many calls as it allows, and when the next may be made; our share of the lanes is our share of it", () => {
  const dispatch = new Dispatch(0);
  dispatch.fill(
    Array.from({ length: 50 }, () => task()),
    profilesOf(driverWith({ callsPerSecond: 10, burst: 4, maxCallsInFlight: 100 })),
  );
  expect(begin(dispatch, 10_000)).toHaveLength(4);
  expect(dispatch.choose(10_000, much, all)).toMatchObject({ calls: [], nextCallMs: 100 });
  expect(begin(dispatch, 10_100)).toHaveLength(1);
  expect(dispatch.choose(10_100, much, () => 0.5)).toMatchObject({ calls: [], nextCallMs: 200 });
});

test("a driver that is full → another's calls are chosen all the same; no more nodes than there is room for", () => {
  const dispatch = new Dispatch(0);
  const profiles = profilesOf(driverWith({ maxCallsInFlight: 1 }), driverWith({}));
  dispatch.fill([...Array.from({ length: 50 }, () => task()), ...Array.from({ length: 5 }, () => task({ profile: 1, cluster: 1 }))], profiles);
  expect(begin(dispatch).flatMap(({ tasks }) => tasks.map((each) => each.profileId))).toEqual([
    profileOf(0),
    ...Array.from({ length: 5 }, () => profileOf(1)),
  ]);
  const narrow = new Dispatch(0);
  narrow.fill(
    Array.from({ length: 5 }, () => task()),
    profiles,
  );
  expect(narrow.choose(0, 0, all).calls).toEqual([]);
});

/** Lets calls fail until the provider is left alone. */
function silenced(dispatch: Dispatch, profiles: ReadonlyMap<ProfileId, KnownProfile>): void {
  for (let i = 0; i < 10; i++) {
    dispatch.fill([task()], profiles);
    for (const { tasks, trial } of begin(dispatch)) {
      for (const each of tasks) expect(trial.hear(each, failure)).toBe(true);
      trial.end(0, 1);
    }
  }
}

test("ten calls in a row fail → tasks wait, one tries, its failure is no attempt; another profile, and other verbs, go on", () => {
  const driver = driverWith({});
  const profiles = profilesOf(driver, driver);
  const dispatch = new Dispatch(0);
  silenced(dispatch, profiles);
  const due = [task(), task(), task({ profile: 1 }), task({ kind: "CREATE" })];
  dispatch.fill(due, profiles);
  const choice = dispatch.choose(0, much, all);
  expect(choice.paused).toEqual([
    { task: due[0], ms: 1_000 },
    { task: due[1], ms: 1_000 },
  ]);
  expect(choice.calls.flatMap((call) => call.tasks.map((each) => each.task))).toEqual([due[2], due[3]]);
  expect(dispatch.silenceOf(profileOf(0))).toContain("BUSY");
  dispatch.fill(due.slice(0, 2), profiles);
  const [probe, ...more] = begin(dispatch, 1_000);
  expect(more).toEqual([]);
  expect(probe?.tasks).toHaveLength(1);
  expect(probe?.tasks.map((each) => probe.trial.hear(each, failure))).toEqual([false]);
  expect(probe?.trial.end(1_000, 1)).toMatchObject([{ kind: "paused", forMs: 2_000 }]);
});

test("a batch of which one member is answered, be it with a refusal → nobody is left alone", () => {
  const profiles = profilesOf(driverWith({ batchSize: 4, failuresToPause: 1 }));
  const dispatch = new Dispatch(0);
  dispatch.fill([task(), task(), task()], profiles);
  for (const { tasks, trial } of begin(dispatch)) {
    for (const [i, each] of tasks.entries()) trial.hear(each, i === 1 ? refusal : failure);
    expect(trial.end(0, 1)).toEqual([]);
  }
  expect(dispatch.silenceOf(profileOf(0))).toBeNull();
});

test("calls that were chosen or kept → nobody else gets them, nor what the rate allows, until they are given back", () => {
  const driver = driverWith({ maxCallsInFlight: 2, callsPerSecond: 10, burst: 3 });
  const dispatch = new Dispatch(0);
  const profiles = profilesOf(driver);
  const free = (): number => dispatch.free(driver, profileOf(0), "delete", 1_000, all);
  expect(free()).toBe(2);
  const giveBack = dispatch.keep(driver, "delete", 1);
  expect(free()).toBe(1);
  dispatch.fill([task()], profiles);
  const choice = dispatch.choose(1_000, much, all);
  expect(choice.calls).toHaveLength(1);
  expect(free()).toBe(0);
  choice.giveBack();
  const [call] = choice.calls;
  if (call === undefined) throw new Error("nothing was chosen");
  const trial = dispatch.started(call);
  expect(free()).toBe(0);
  trial.end(1_000, 0);
  giveBack();
  // Three were allowed, and one was made.
  expect(free()).toBe(2);
  dispatch.keep(driver, "delete", 2);
  dispatch.fill([task()], profiles);
  expect(dispatch.choose(1_000, much, all).calls).toEqual([]);
});
