/** The queue of the outbox. What it writes, and how, is seen wherever the engine runs. */
import { expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import { createLaneBook } from "../../src/engine/lane-book.ts";
import { type Outbox, startOutbox } from "../../src/engine/outbox.ts";
import { createSpecCache } from "../../src/engine/specs.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { openDatabase } from "../../src/store/database.ts";
import { createVault } from "../../src/store/vault.ts";
import { silentWake } from "../../src/store/wake.ts";
import { createTestLog } from "../support/log.ts";

/** Of a worker that holds no lane: what is pushed is dropped in its turn, and no database is asked. */
function idleOutbox(): Outbox {
  const runtime = realRuntime();
  const db = openDatabase({ url: "postgres://nobody@127.0.0.1:1/none", size: 1, applicationName: "test" });
  return startOutbox({
    store: { db, runtime, wake: silentWake, writer: 1 },
    lanes: createLaneBook(),
    specs: createSpecCache({ drivers: new Map(), vault: createVault([new Uint8Array(32)]) }),
    logger: createTestLog(),
    onWritten: () => undefined,
  });
}

function pushMany(outbox: Outbox, count: number): void {
  const seen = { epoch: 1, subject: "WORKLOAD", status: "HEALTHY", reason: "WORKING", message: null, observedAtMs: 0 } as const;
  for (let i = 0; i < count; i++) {
    const nodeId = brandId("node", `00000000-0000-0000-0000-${String(i).padStart(12, "0")}`);
    outbox.push({ from: "watch", nodeId, lane: 1, epoch: 1n, observation: { ...seen, nodeId } });
  }
}

test("ten thousand reports wait → full; whoever waits for room has it when some are gone, or when it stops waiting", async () => {
  const outbox = idleOutbox();
  const patient = new AbortController();
  const order: string[] = [];
  pushMany(outbox, 9_999);
  expect(outbox.full).toBe(false);
  await outbox.room(patient.signal);
  pushMany(outbox, 1);
  expect(outbox.full).toBe(true);
  const room = outbox.room(patient.signal).then(() => order.push(`room, full: ${outbox.full}`));
  const leaving = new AbortController();
  const left = outbox.room(leaving.signal).then(() => order.push("left"));
  leaving.abort();
  await Promise.all([left, room]);
  expect(order).toEqual(["left", "room, full: false"]);
  await outbox.stop();
});
