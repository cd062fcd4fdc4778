/**
 * What an API process tells Prometheus of itself: prom-client's own metrics, but for how late the event loop is. prom-client has a timer look at that a hundred
 * times a second, which is much of what an idle process costs, and counts the time that the timer sleeps as lateness. Here it looks ten times a second, and
 * lateness alone is told, by the same names.
 */
import { type Histogram, monitorEventLoopDelay } from "node:perf_hooks";
import { collectDefaultMetrics, Gauge, type Registry } from "prom-client";

/** Between two looks, ms. */
export const lookMs = 100;
/** Between two of prom-client's, ms: the longest that a timer can take. It cannot be told to leave them. */
const neverMs = 2 ** 31 - 1;
const nsPerSecond = 1_000_000_000;

const figures = ["min", "max", "mean", "stddev", "p50", "p90", "p99"] as const;
type Figure = (typeof figures)[number];

const help: Readonly<Record<Figure, string>> = {
  min: "The least that",
  max: "The most that",
  mean: "What in the mean",
  stddev: "The standard deviation of what",
  p50: "The 50th percentile of what",
  p90: "The 90th percentile of what",
  p99: "The 99th percentile of what",
};

/** Adds them to a registry. Each reading tells of the time since the one before. */
export function addProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, prefix: "muster_", eventLoopMonitoringPrecision: neverMs });
  const delays = monitorEventLoopDelay({ resolution: lookMs });
  delays.enable();
  const tell = (): void => {
    const lateness = latenessOf(delays);
    for (const [figure, gauge] of gauges) gauge.set(lateness[figure]);
    delays.reset();
  };
  const gauges = figures.map((figure, i) => {
    const name = `muster_nodejs_eventloop_lag_${figure}_seconds`;
    registry.removeSingleMetric(name);
    // The first to be asked answers for all: they tell of the same time.
    const collect = i === 0 ? tell : () => undefined;
    const gauge = new Gauge({
      name,
      help: `${help[figure]} the event loop was late, looked at every ${lookMs} ms since the last reading.`,
      registers: [registry],
      collect,
    });
    return [figure, gauge] as const;
  });
}

/** How late the looks were, s. @param delays from each look to the next, ns */
export function latenessOf(delays: Histogram): Readonly<Record<Figure, number>> {
  const late = (delay: number): number => (delays.count === 0 ? 0 : Math.max(0, delay / nsPerSecond - lookMs / 1_000));
  return {
    min: late(delays.min),
    max: late(delays.max),
    mean: late(delays.mean),
    // The same wherever the zero lies.
    stddev: delays.count === 0 ? 0 : delays.stddev / nsPerSecond,
    p50: late(delays.percentile(50)),
    p90: late(delays.percentile(90)),
    p99: late(delays.percentile(99)),
  };
}
