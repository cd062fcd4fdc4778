/** How the feed of this process stands, read when Prometheus asks. */
import type { Registry } from "prom-client";
import type { Feed } from "../live/feed.ts";
import { addGauge } from "./metrics.ts";

export function measureFeed(registry: Registry, feed: Pick<Feed, "ready" | "stats">): void {
  const gauge = (name: string, help: string, read: () => number): void => addGauge(registry, name, help, read);
  gauge("muster_feed_ready", "1 while this process follows the ledger.", () => (feed.ready ? 1 : 0));
  gauge("muster_feed_lag_positions", "Transactions in the ledger that are not delivered yet.", () => feed.stats().lag);
  gauge("muster_feed_subscribers", "Streams that wait for what comes.", () => feed.stats().subscribers);
  gauge("muster_feed_buffered_events", "Events that wait for slow streams.", () => feed.stats().bufferedEvents);
  gauge("muster_feed_buffered_bytes", "Bytes that wait for slow streams.", () => feed.stats().bufferedBytes);
  gauge("muster_feed_delivered_events", "Events handed to streams since the start.", () => feed.stats().delivered);
  gauge("muster_feed_slow_streams_ended", "Streams ended with SLOW_CONSUMER since the start.", () => feed.stats().slowEnded);
}
