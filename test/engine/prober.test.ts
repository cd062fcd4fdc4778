/** When the prober asks for members to probe, and when it lets that be: in a time of its own, against a real table. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import type { Timers } from "../../src/core/runtime.ts";
import { createLaneBook, type LaneBook } from "../../src/engine/lane-book.ts";
import { type Prober, startProber } from "../../src/engine/maintenance/prober.ts";
import { startOutbox } from "../../src/engine/outbox.ts";
import { createSpecCache } from "../../src/engine/specs.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { startProbes } from "../../src/store/node-memory.ts";
import { createVault } from "../../src/store/vault.ts";
import { silentWake } from "../../src/store/wake.ts";
import { countStatements } from "../support/count-statements.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createTestLog } from "../support/log.ts";

const real = realRuntime();
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(() => database.db.deleteFrom("muster.probe").execute());

interface Stage extends Prober {
  readonly lanes: LaneBook;
  /** The names of the statements that were sent since it was last asked. */
  asked(): readonly string[];
  /** So many turns, a second apart. */
  pass(turns: number): Promise<void>;
}

/** A prober that holds lane 7 under epoch 1, after its first turn. */
async function startStage(): Promise<Stage> {
  let nowMs = 1_000_000;
  let wake = (): void => undefined;
  let fallAsleep = (): void => undefined;
  const timers: Timers = {
    wait: (_ms, signal) =>
      new Promise((resolve) => {
        signal?.addEventListener("abort", () => resolve());
        wake = resolve;
        fallAsleep();
      }),
  };
  const asleepAfter = (act: () => void): Promise<void> =>
    new Promise((resolve) => {
      fallAsleep = resolve;
      act();
    });
  const counted = countStatements(database.db);
  const runtime = { ...real, timers, clock: { ...real.clock, monotonicMs: () => nowMs } };
  const store = { db: counted.db, runtime, wake: silentWake, writer: 0 };
  const lanes = createLaneBook();
  lanes.add(new Map([[7, 1n]]));
  const specs = createSpecCache({ drivers: new Map(), vault: createVault([new Uint8Array(32)]) });
  const outbox = startOutbox({ store: { ...store, runtime: real }, lanes, specs, logger: createTestLog(), onWritten: () => undefined });
  let prober: Prober | null = null;
  await asleepAfter(() => {
    prober = startProber({ store, lanes, specs, outbox, logger: createTestLog() });
  });
  return {
    welcome: (ids) => prober?.welcome(ids),
    stop: async () => {
      await prober?.stop();
      await outbox.stop();
    },
    lanes,
    asked: counted.take,
    pass: async (turns) => {
      for (let i = 0; i < turns; i++) {
        nowMs += 1_000;
        await asleepAfter(() => wake());
      }
    },
  };
}

const probed = (lane: number) => [{ id: brandId("node", real.entropy.uuid()), lane, intervalMs: 2_000, phaseMs: 0 }];

test("nobody in these lanes is probed → asked once, and again after ten seconds", async () => {
  await startProbes(database.db, probed(8));
  const { stop, asked, pass } = await startStage();
  await pass(9);
  expect(asked()).toEqual(["probe.any"]);
  await pass(1);
  expect(asked()).toEqual(["probe.any"]);
  await stop();
});

test("somebody is probed → what is due is read at each turn", async () => {
  await startProbes(database.db, probed(7));
  const { stop, asked, pass } = await startStage();
  expect(asked()).toEqual(["probe.any", "clock.read", "probe.due"]);
  await pass(2);
  expect(asked()).toEqual(["probe.due", "probe.due"]);
  await stop();
});

test("the first who is to be probed begins to run here → not overlooked for a turn", async () => {
  const { stop, welcome, asked, pass } = await startStage();
  asked();
  const first = probed(7);
  await startProbes(database.db, first);
  welcome(first.map(({ id }) => id));
  await pass(1);
  expect(asked()).toEqual(expect.arrayContaining(["probe.read", "probe.any", "probe.due"]));
  await stop();
});

test.each([
  ["another lane comes", (lanes: LaneBook) => lanes.add(new Map([[8, 1n]]))],
  [
    "a lane goes and another comes",
    (lanes: LaneBook) => {
      lanes.remove([7]);
      lanes.add(new Map([[8, 1n]]));
    },
  ],
  ["a lane comes back under a new epoch, probed by whoever had it", (lanes: LaneBook) => lanes.add(new Map([[7, 3n]]))],
])("%s → asked anew at once", async (_case, move) => {
  const { stop, lanes, asked, pass } = await startStage();
  await startProbes(database.db, [...probed(7), ...probed(8)]);
  asked();
  move(lanes);
  await pass(1);
  expect(asked()).toEqual(["probe.any", "clock.read", "probe.due"]);
  await stop();
});
