/** PostgreSQL is killed and started again under load: the feed and the sequencer come back by themselves, subscribers never notice. */
import { sql } from "kysely";
import { expect, test } from "vitest";
import { brandId } from "../../src/core/ids.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import { startSequencer } from "../../src/engine/sequencer.ts";
import { startFeed } from "../../src/live/feed.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { openDatabase } from "../../src/store/database.ts";
import { isAbsence } from "../../src/store/failure.ts";
import { readEvents } from "../../src/store/ledger-read.ts";
import { migrate } from "../../src/store/migrate.ts";
import { openSession } from "../../src/store/session.ts";
import { type Store, transaction } from "../../src/store/transaction.ts";
import { createWake } from "../../src/store/wake.ts";
import { createTestLog } from "../support/log.ts";
import { startPostgres } from "../support/postgres.ts";

test("feed: PostgreSQL killed twice under load → every committed event once, in order, on streams that stayed open", async () => {
  const server = await startPostgres();
  const url = server.url("postgres");
  await migrate(url);
  const runtime = realRuntime();
  const log = createTestLog();
  const db = openDatabase({ url, size: 8, applicationName: "test" });
  const wake = createWake(db, runtime);
  const store: Store = { db, runtime, wake, writer: 0 };
  const open = () => openSession({ url, applicationName: "test" });
  const sequencers = [startSequencer({ store, openSession: open, logger: log }), startSequencer({ store, openSession: open, logger: log })];
  const feed = await startFeed({ store, openSession: open, logger: log, limits: defaultLimits });
  const projectId = brandId("project", "00000001-0000-7000-8000-000000000001");
  const ending = new AbortController();
  const from = feed.cursor();
  const heard: string[] = [];
  let told = (): void => undefined;
  const listening = (async () => {
    for await (const events of feed.subscribe({ filter: { projectId }, after: null, signal: ending.signal })) {
      heard.push(...events.map((event) => event.id));
      told();
    }
  })();

  const committed = new Set<string>();
  const write = async (name: string): Promise<void> => {
    try {
      await transaction(store, async (tx) => {
        tx.events.push({ type: "project.updated", projectId, data: { name } });
      });
      committed.add(name);
    } catch (error) {
      if (!isAbsence(error)) throw error;
      await runtime.timers.wait(50);
    }
  };
  const load = async (rounds: number, label: string): Promise<void> => {
    await Promise.all(
      Array.from({ length: 4 }, async (_, w) => {
        for (let i = 0; i < rounds; i++) await write(`${label}.${w}.${i}`);
      }),
    );
  };
  for (const round of ["one", "two"]) {
    const loading = load(60, round);
    await new Promise<void>((resolve) => {
      const enough = heard.length + 40;
      told = () => {
        if (heard.length >= enough) resolve();
      };
    });
    await server.signal("SIGKILL");
    await server.start();
    await loading;
  }
  await load(5, "last");
  const expected: string[] = [];
  const names: unknown[] = [];
  for (let positioned = false; !positioned; ) {
    const { rows } = await sql<{ left: bigint }>`select count(*) as left from muster.marker`.execute(db);
    positioned = rows[0]?.left === 0n;
  }
  for (let after = from; ; ) {
    const page = await readEvents(db, { projectId }, { first: 1_000, after });
    if ("expired" in page) throw new Error("expired");
    expected.push(...page.events.map((event) => event.id));
    names.push(...page.events.map((event) => event.data["name"]));
    after = page.resume;
    if (!page.hasNext) break;
  }
  await new Promise<void>((resolve) => {
    told = () => {
      if (heard.length >= expected.length) resolve();
    };
    told();
  });
  expect(heard).toEqual(expected);
  expect(names).toEqual(expect.arrayContaining([...committed]));
  expect(log.errors()).toEqual([]);
  ending.abort();
  await listening;
  await feed.close();
  await Promise.all(sequencers.map((sequencer) => sequencer.stop()));
  await wake.close();
  await db.destroy();
  await server.stop();
});
