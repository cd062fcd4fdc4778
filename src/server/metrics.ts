/**
 * What Prometheus reads. Labels are taken from fixed lists (methods, statuses, codes, the schema's root fields), never from what a
 * client chose: a client can neither blow up their number nor write a secret into one.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Transport } from "./exchange.ts";

export interface Metrics {
  readonly registry: Registry;
  readonly httpRequests: Counter<"method" | "status">;
  readonly operations: Counter<"type" | "field" | "outcome" | "transport">;
  readonly operationSeconds: Histogram<"type">;
  readonly refused: Counter<"reason">;
  readonly sockets: Gauge;
  readonly streams: Gauge<"transport">;
  readonly frames: Counter<"transport">;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    httpRequests: new Counter({ name: "muster_http_requests_total", help: "HTTP requests answered.", labelNames: ["method", "status"], registers }),
    operations: new Counter({
      name: "muster_graphql_operations_total",
      help: "GraphQL operations, by type, first root field, outcome and transport.",
      labelNames: ["type", "field", "outcome", "transport"],
      registers,
    }),
    operationSeconds: new Histogram({
      name: "muster_graphql_operation_seconds",
      help: "Duration of queries and mutations.",
      labelNames: ["type"],
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
      registers,
    }),
    refused: new Counter({
      name: "muster_requests_refused_total",
      help: "Requests refused before execution, by error code.",
      labelNames: ["reason"],
      registers,
    }),
    sockets: new Gauge({ name: "muster_websockets", help: "WebSockets that are open.", registers }),
    streams: new Gauge({ name: "muster_streams", help: "Subscriptions that are live.", labelNames: ["transport"], registers }),
    frames: new Counter({
      name: "muster_frames_total",
      help: "Frames of subscriptions handed to their transport.",
      labelNames: ["transport"],
      registers,
    }),
  };
}

/** A gauge that is read when Prometheus asks. */
export function addGauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

const methods: ReadonlySet<string> = new Set(["GET", "POST", "OPTIONS", "HEAD"]);

/** A method as a label: what clients make up is one. */
export function methodLabel(method: string | undefined): string {
  return method !== undefined && methods.has(method) ? method : "other";
}

/** A stream began; call the answer once when it has ended. */
export function noteStream(metrics: Metrics, transport: Transport): () => void {
  metrics.streams.inc({ transport });
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    metrics.streams.dec({ transport });
  };
}
