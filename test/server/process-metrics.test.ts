/** What the process tells of itself: how late its event loop is. */
import { createHistogram } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { addProcessMetrics, latenessOf, lookMs } from "../../src/server/process-metrics.ts";

const nsPerMs = 1_000_000;
const names = ["min", "max", "mean", "stddev", "p50", "p90", "p99"].map((figure) => `muster_nodejs_eventloop_lag_${figure}_seconds`);

test("looks that came in time and one that came late → the sleep between them is no lateness", () => {
  const delays = createHistogram();
  for (let i = 0; i < 9; i++) delays.record(lookMs * nsPerMs);
  delays.record((lookMs + 500) * nsPerMs);
  const { min, max, mean, stddev, p50, p99 } = latenessOf(delays);
  for (const [told, ms] of [
    [min, 0],
    [p50, 0],
    [p99, 500],
    [max, 500],
    [mean, 50],
    [stddev, 150],
  ] as const)
    expect(told * 1_000).toBeCloseTo(ms, 0);
});

test("no look yet → not late", () => {
  expect(Object.values(latenessOf(createHistogram()))).toEqual(names.map(() => 0));
});

test("a process that is kept busy → told to Prometheus once, beside prom-client's own metrics", async () => {
  const registry = new Registry();
  addProcessMetrics(registry);
  const read = async (): Promise<number[]> => {
    const told = await registry.getMetricsAsJSON();
    return names.map((name) => told.find((metric) => metric.name === name)?.values[0]?.value ?? Number.NaN);
  };
  let told = await read();
  while (!told.some((value) => value > 0)) {
    // From one look to the next: the first one after a reading has none before it.
    for (let i = 0; i < 3; i++) {
      const untilMs = performance.now() + 3 * lookMs;
      while (performance.now() < untilMs);
      await setImmediate();
    }
    told = await read();
  }
  // It was busy for three times as long, and a look was due within the first third.
  expect(told[1]).toBeGreaterThan(lookMs / 1_000);
  expect(await read()).toEqual(names.map(() => 0));
  expect(await registry.getSingleMetricAsString("muster_process_cpu_seconds_total")).toContain("muster_process_cpu_seconds_total");
});
