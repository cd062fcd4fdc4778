import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import type { DriverNode, Outcome } from "../../src/drivers/driver.ts";
import { draw, drawMs, placementOf } from "../../src/drivers/sim/fate.ts";
import { createSimDriver } from "../../src/drivers/sim/index.ts";
import type { Provider } from "../../src/drivers/sim/provider.ts";
import { driverContract } from "../contracts/driver.contract.ts";
import { callContext, driverNode, errorOf, outcomesOf, runtime, silentLogger, stored, valueOf } from "../support/driver-node.ts";
import { type ProviderProcess, startProvider } from "../support/provider.ts";

const deps = { ...runtime, logger: silentLogger };

const wrong = [
  { spec: { createMs: -1, deleteMs: { min: 5, max: 1 }, nonsense: true }, paths: ["createMs", "deleteMs.min", "nonsense"] },
  { spec: { failureRate: 1.5, zones: ["a", ""], hosts: -1, batchSize: 0 }, paths: ["failureRate", "zones.1", "hosts", "batchSize"] },
  { spec: { lifetimeMs: "soon", createMs: null, zones: ["a\0"] }, paths: ["lifetimeMs", "createMs", "zones.0"] },
];

driverContract({
  name: "sim, computing",
  wrong,
  secret: null,
  open: async () => ({
    driver: createSimDriver(deps),
    other: createSimDriver(deps),
    spec: { createMs: 1 },
    existing: null,
    kill: null,
    close: async () => undefined,
  }),
});

let outside: ProviderProcess;
beforeAll(async () => {
  outside = await startProvider();
});
afterAll(async () => {
  await outside.stop();
});

driverContract({
  name: "sim, with a provider that keeps books",
  wrong: [],
  secret: null,
  open: async () => ({
    driver: createSimDriver({ ...deps, provider: outside.provider }),
    other: createSimDriver({ ...deps, provider: outside.provider }),
    spec: { createMs: { min: 1, max: 20 } },
    existing: async (id) => (await outside.books()).alive.filter((life) => life.nodeId === id).length,
    kill: (node) => outside.control({ kill: [node.id] }),
    close: async () => expect((await outside.books()).doubles).toEqual([]),
  }),
});

function nodesOf(count: number, spec: object): DriverNode[] {
  const parsed = stored(createSimDriver(deps), { ...spec });
  return Array.from({ length: count }, () => driverNode(parsed));
}

async function listOf<T>(stream: AsyncIterable<Outcome<T>>): Promise<Outcome<T>[]> {
  const list: Outcome<T>[] = [];
  for await (const outcome of stream) list.push(outcome);
  return list;
}

describe("sim", () => {
  test("its description → says that nothing is real", () => {
    expect(createSimDriver(deps).description).toMatch(/simulated/i);
  });

  test("create: durations differ → outcomes come in the order in which they are due", async () => {
    const nodes = nodesOf(200, { createMs: { min: 0, max: 100 } });
    const due = new Map(nodes.map((node) => [node.id, drawMs({ min: 0, max: 100 }, node, "create")]));
    const outcomes = await listOf(createSimDriver(deps).create(nodes, callContext()));
    const times = outcomes.map((outcome) => due.get(outcome.nodeId) ?? -1);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(outcomes).toHaveLength(200);
  });

  test("create: 10,000 in one call → one wait for each slot, not for each member", async () => {
    let waits = 0;
    const wait = (ms: number, signal?: AbortSignal): Promise<void> => {
      waits += 1;
      return runtime.timers.wait(ms, signal);
    };
    const timers = { wait };
    const outcomes = await outcomesOf(
      createSimDriver({ ...deps, timers }).create(nodesOf(10_000, { createMs: { min: 0, max: 50 }, batchSize: 1_000 }), callContext()),
    );
    expect(outcomes.size).toBe(10_000);
    expect(waits).toBeLessThan(30);
  });

  test("create: a batch greater than the spec's batchSize → so many calls of the provider", async () => {
    const sizes: number[] = [];
    const provider: Provider = {
      ...outside.provider,
      create: (effects, signal) => {
        sizes.push(effects.length);
        return outside.provider.create(effects, signal);
      },
    };
    await outcomesOf(createSimDriver({ ...deps, provider }).create(nodesOf(25, { batchSize: 10 }), callContext()));
    expect(sizes).toEqual([10, 10, 5]);
  });

  test("create: failureRate → that share of attempts fails as transient, another attempt is another draw", async () => {
    const nodes = nodesOf(2_000, { failureRate: 0.25 });
    const failed = (await listOf(createSimDriver(deps).create(nodes, callContext()))).filter((outcome) => !outcome.ok);
    expect(failed.length / 2_000).toBeGreaterThan(0.2);
    expect(failed.length / 2_000).toBeLessThan(0.3);
    const again = nodes.filter((node) => failed.some((outcome) => outcome.nodeId === node.id)).map((node) => ({ ...node, attempt: 2 }));
    const failedAgain = (await listOf(createSimDriver(deps).create(again, callContext()))).filter((outcome) => !outcome.ok);
    expect(failedAgain.length).toBeLessThan(failed.length / 2);
  });

  test("create: the deadline passes before some are due → those are unknown, the others made", async () => {
    const quick = nodesOf(3, { createMs: 0 });
    const slow = nodesOf(3, { createMs: 60_000 });
    const outcomes = await outcomesOf(createSimDriver(deps).create([...quick, ...slow], callContext({ withinMs: 50 })));
    for (const { id } of quick) expect(outcomes.get(id)).toMatchObject({ ok: true });
    for (const { id } of slow) expect(outcomes.get(id)).toMatchObject({ ok: false, error: { class: "unknown", code: "DEADLINE" } });
  });

  test("create: a provider that never answers, and the signal → ends at once", async () => {
    const stop = new AbortController();
    const create: Provider["create"] = () => {
      stop.abort();
      return new Promise(() => undefined);
    };
    const provider: Provider = { ...outside.provider, create };
    const error = await errorOf(createSimDriver({ ...deps, provider }).create(nodesOf(1, {}), callContext({ signal: stop.signal })));
    expect(error).toMatchObject({ class: "unknown", code: "ABORTED" });
  });

  test("create: the provider's answer is lost → unknown; called again → made once", async () => {
    const [node] = nodesOf(1, {});
    if (node === undefined) throw new Error("one was asked for");
    const driver = createSimDriver({ ...deps, provider: outside.provider });
    await outside.control({ mute: 1 });
    expect(await errorOf(driver.create([node], callContext()))).toMatchObject({ class: "unknown" });
    await valueOf(driver.create([node], callContext()));
    const { alive, calls } = await outside.books();
    expect(alive.filter((life) => life.nodeId === node.id)).toHaveLength(1);
    expect(calls[`test/${node.id}/1/create`]).toBe(2);
  });

  test("create: an older lane epoch than the provider has seen → refused", async () => {
    const [node] = nodesOf(1, {});
    if (node === undefined) throw new Error("one was asked for");
    const driver = createSimDriver({ ...deps, provider: outside.provider });
    await valueOf(driver.create([node], callContext({ fence: 7n })));
    expect(await errorOf(driver.create([node], callContext({ fence: 6n })))).toMatchObject({ code: "FENCED" });
  });

  test("lifetime: not over → looked at again when it is; over → dead", async () => {
    const [node] = nodesOf(1, { lifetimeMs: 1_000 });
    if (node === undefined) throw new Error("one was asked for");
    let now = 1_700_000_000_000;
    const driver = createSimDriver({ ...deps, clock: { ...runtime.clock, wallMs: () => now } });
    const made = await valueOf(driver.create([node], callContext()));
    expect(made.checkAfterMs).toBeGreaterThanOrEqual(1_000);
    const there = { ...node, physicalId: made.physicalId };
    now += 999;
    expect(await valueOf(driver.inspect([there], callContext()))).toMatchObject({ presence: "running" });
    now += made.checkAfterMs ?? 0;
    expect(await valueOf(driver.inspect([there], callContext()))).toMatchObject({ presence: "dead", reason: "LIFETIME_OVER" });
  });

  test("fate: any node, epoch and purpose → a draw in [0, 1), always the same", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(), fc.string(), (uuid, epoch, purpose) => {
        const life = { id: brandId("node", uuid), epoch };
        const value = draw(life, purpose);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThan(1);
        expect(draw(life, purpose)).toBe(value);
      }),
    );
  });

  test("fate: a range → within it, both ends reached", () => {
    const drawn = new Set(nodesOf(500, {}).map((node) => drawMs({ min: 3, max: 6 }, node, "create")));
    expect([...drawn].sort()).toEqual([3, 4, 5, 6]);
  });

  test("placement: zones and hosts → spread over all, the same for every life of a node", () => {
    const nodes = nodesOf(900, {});
    const spec = { zones: ["a", "b", "c"], hosts: 4 };
    const counts = new Map<string, number>();
    for (const { id } of nodes) {
      const placement = placementOf(spec, id);
      expect(placementOf(spec, id)).toEqual(placement);
      counts.set(placement?.zone ?? "", (counts.get(placement?.zone ?? "") ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(["a", "b", "c"]);
    for (const count of counts.values()) expect(count).toBeGreaterThan(200);
  });
});
