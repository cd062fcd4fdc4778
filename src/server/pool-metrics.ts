/** How the connections to PostgreSQL of this process stand, read when Prometheus asks. */
import type { Registry } from "prom-client";
import { type Database, poolUse } from "../store/database.ts";
import { addGauge } from "./metrics.ts";

export function measurePool(registry: Registry, db: Database): void {
  addGauge(
    registry,
    "muster_database_full_refusals",
    "Statements that PostgreSQL refused since the start because its disk was full.",
    () => poolUse(db).full,
  );
  addGauge(registry, "muster_database_connections_limit", "Pooled connections to PostgreSQL at most.", () => poolUse(db).limit);
  addGauge(registry, "muster_database_connections_open", "Pooled connections that are open.", () => poolUse(db).open);
  addGauge(registry, "muster_database_connections_idle", "Pooled connections that nobody uses.", () => poolUse(db).idle);
  addGauge(
    registry,
    "muster_database_connections_waiting",
    "Statements and transactions that wait for a pooled connection.",
    () => poolUse(db).waiting,
  );
}
