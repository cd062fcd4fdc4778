/** The ledger's statements under custom and generic plans: index scans only, on a ledger large enough that it matters. */
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lastOrdinal } from "../../src/core/cursor.ts";
import { eventTypeCodes } from "../../src/core/event.ts";
import { eventId } from "../../src/core/ids.ts";
import { readLedger } from "../../src/store/ledger.ts";
import { type LedgerFilter, readEvents, readEventsById, readEventsOf } from "../../src/store/ledger-read.ts";
import { positionMarkers, standForLead, takeLead } from "../../src/store/ledger-sequence.ts";
import { readTail } from "../../src/store/ledger-tail.ts";
import type { Session } from "../../src/store/session.ts";
import type { Tables } from "../../src/store/tables.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { actionOf, clusterOf, cursorAt, nodeOf, projectOf } from "./ledger-model.ts";
import { ledgerStatements } from "./statement-names.ts";

interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

let database: TestDatabase;
let client: pg.Client;
const statements = new Map<string, Statement>();

/** Batches of five events over four partitions, a few of them late; 100 clusters, 1,000 nodes. */
async function fill(): Promise<void> {
  const stride = 20;
  await sql`
    insert into muster.event (batch, ordinal, version, type, level, occurred_at, project_id, cluster_id, cluster_name, node_id, node_name, action_id, data)
    select b * ${stride}::integer, o, 1, case when o = 1 then 16 else 20 end, case when b % 1000 = 0 then 40 else 20 end, clock_timestamp(),
           ('00000001-0000-7000-8000-' || lpad((1 + b % 2)::text, 12, '0'))::uuid,
           ('00000002-0000-7000-8000-' || lpad((b % 100)::text, 12, '0'))::uuid, 'c',
           ('00000003-0000-7000-8000-' || lpad((b * 5 % 1000 + o)::text, 12, '0'))::uuid, 'n',
           ('00000004-0000-7000-8000-' || lpad((b % 500)::text, 12, '0'))::uuid, '{"from": "a", "to": "b"}'
      from generate_series(1, 40000) b, generate_series(1, 5) o`.execute(database.db);
  // Each hundredth batch changes places with the one that is fifty behind it.
  await sql`
    insert into muster.position (position, batch, events, late)
    select p, b * ${stride}::integer, 5, b < p from (
      select p, case when p % 100 = 0 and p < 39900 then p + 50 when p % 100 = 50 and p > 100 then p - 50 else p end as b from generate_series(1, 40000) p) x`.execute(
    database.db,
  );
  await sql`update muster.ledger set position = 40000, top_batch = ${40_000 * stride}::bigint, max_lag = ${50 * stride}::bigint`.execute(database.db);
  await sql`insert into muster.marker (batch, events) select 800000 + g, 5 from generate_series(1, 300) g`.execute(database.db);
  await sql`select setval('muster.batch', 900000)`.execute(database.db);
  await sql`analyze muster.event, muster.position, muster.marker, muster.ledger`.execute(database.db);
}

function note(text: string, values: readonly unknown[]): void {
  const name = /\/\* ([a-z.-]+) \*\//.exec(text)?.[1];
  if (name === undefined) throw new Error(`a statement without a name: ${text}`);
  statements.set(name, { text, values });
}

beforeAll(async () => {
  database = await createTestDatabase();
  await fill();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { incarnation } = await readLedger(database.db);
  const noting = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: database.url, max: 1, types: { getTypeParser: typeParser } }) }),
    log: (event) => note(event.query.sql, event.query.parameters),
  });
  const filters: LedgerFilter[] = [
    { projectId: null },
    { projectId: projectOf(1) },
    { projectId: projectOf(1), clusterIds: [clusterOf(10), clusterOf(12)], minLevel: "ERROR" },
    { projectId: projectOf(1), nodeIds: [nodeOf(51)], typeCodes: eventTypeCodes(["cluster."]) },
    { projectId: projectOf(1), actionIds: [actionOf(10)] },
  ];
  // Every filter has the same statement names: each is looked at before the next one takes its place.
  for (const [i, filter] of filters.entries()) {
    const at = cursorAt(incarnation, { position: 20_010n, ordinal: 2 });
    await readEvents(noting, filter, { first: 50, after: at });
    await readEvents(noting, filter, { last: 50, before: at });
    await readEvents(noting, filter, { first: 5, after: at }, 8);
    await readEvents(noting, filter, { last: 5, before: at }, 8);
    for (const [name, statement] of [...statements]) {
      if (!name.includes("#")) {
        statements.set(`${name}#${i}`, statement);
        statements.delete(name);
      }
    }
  }
  await readEventsOf(noting, {
    by: "cluster",
    ids: Array.from({ length: 100 }, (_, i) => clusterOf(i)),
    filter: { projectId: projectOf(1) },
    range: { last: 10 },
  });
  await readEventsById(noting, [eventId(0, 40n, 1)]);
  await noting.destroy();
  const session: Pick<Session, "query"> = {
    query: async (text, values = []) => {
      note(text, values);
      const result = await client.query({ text, values: [...values], types: { getTypeParser: typeParser } });
      return result.rows;
    },
  };
  await client.query("begin");
  const asSession = {
    ...session,
    tryLock: () => Promise.resolve(true),
    listen: () => Promise.resolve(),
    backendPid: 0,
    lost: new Promise<Error>(() => undefined),
    close: () => Promise.resolve(),
  };
  await readTail(asSession, { incarnation, position: 20_000n, ordinal: lastOrdinal }, 500);
  await standForLead(asSession);
  const { epoch } = await takeLead(asSession);
  await positionMarkers(asSession, { epoch, above: 800_000n, missing: [799_999n, 799_998n], limit: 100 });
  await client.query("rollback");
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

function typeParser(oid: number, format?: string): unknown {
  if (oid === 20) return (text: string) => BigInt(text);
  return pg.types.getTypeParser(oid, format === "binary" ? "binary" : "text");
}

function literal(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return `'{${value.map((item) => (item === null ? "null" : String(item))).join(",")}}'`;
  return `'${String(value)}'`;
}

/**
 * For a page of 50 of one filter, of a ledger of some ten thousand pages, of which the positions alone, with an index, are 366: so a
 * walk of all positions is too much. Without the values (generic plans, which history never gets: only sessions prepare by name)
 * PostgreSQL does walk them, because it cannot know how narrow a range is; there only the events are held to be left alone.
 */
const mostPages = { force_custom_plan: 200, force_generic_plan: 1_000 };
/** An anchor is one row by an index; the half of the positions that a bad one would walk is less than what a page may read. */
const mostPagesOfAnchor = 20;
/** For 500 events of the tail, each batch looked up by itself. */
const mostPagesOfTail = 1_000;
/** For the newest ten of each of 100 clusters: some 1,400 rows, each with its position. */
const mostPagesOfMany = 12_000;

interface Plan {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Shared Hit Blocks": number;
  readonly "Shared Read Blocks": number;
  readonly Plans?: readonly Plan[];
}

function* nodes(plan: Plan): Generator<Plan> {
  yield plan;
  for (const child of plan.Plans ?? []) yield* nodes(child);
}

function mostPagesOf(name: string, mode: keyof typeof mostPages): number {
  if (name === "ledger.scan.backward") return mostPagesOfMany;
  if (name.startsWith("ledger.anchor.")) return mostPagesOfAnchor;
  return name === "ledger.tail" ? mostPagesOfTail : mostPages[mode];
}

describe.each(["force_custom_plan", "force_generic_plan"] as const)("plans under %s", (mode) => {
  test("every named statement of the ledger → no table is read whole, none reads many pages", async () => {
    await client.query(`set plan_cache_mode = ${mode}`);
    const bad: string[] = [];
    const judged = [...statements].filter(([name]) => !name.startsWith("ledger.state") && name !== "sequencer.settings");
    for (const [name, { text, values }] of judged) {
      await client.query("begin");
      // As the sequencer sets its session.
      if (name.startsWith("sequencer.")) await client.query("set local enable_seqscan = off");
      await client.query(`prepare one as ${text}`);
      const args = values.length > 0 ? `(${values.map(literal).join(", ")})` : "";
      const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(`explain (analyze, buffers, format json) execute one${args}`);
      await client.query("deallocate one");
      await client.query("rollback");
      const top = rows[0]?.["QUERY PLAN"][0];
      if (top === undefined) throw new Error("no plan");
      for (const node of nodes(top.Plan)) {
        // The ledger's own row is one row.
        if (node["Node Type"] === "Seq Scan" && node["Relation Name"] !== "ledger")
          bad.push(`${name}: ${node["Node Type"]} on ${node["Relation Name"] ?? "?"}`);
      }
      const pages = top.Plan["Shared Hit Blocks"] + top.Plan["Shared Read Blocks"];
      if (pages > mostPagesOf(name, mode)) bad.push(`${name}: ${pages} pages`);
    }
    expect(bad).toEqual([]);
    expect(new Set(judged.map(([name]) => name.replace(/#.*/, "")))).toEqual(ledgerStatements);
  });
});
