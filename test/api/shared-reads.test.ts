/** Reads that several operations share: what becomes of each when the one statement fails, and when it is very long. */
import type { KyselyPlugin } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sharedReadsOf } from "../../src/api/shared-reads.ts";
import { brandId } from "../../src/core/ids.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { noCounts } from "../../src/store/count.ts";
import { countStatements } from "../support/count-statements.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

const { entropy } = realRuntime();
const project = brandId("project", entropy.uuid());
const cluster = () => brandId("cluster", entropy.uuid());
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

function watched(failing: () => boolean) {
  const counted = countStatements(database.db);
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      if (failing()) throw new Error("out of order");
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  return { take: counted.take, reads: sharedReadsOf(counted.db.withPlugin(plugin)) };
}

test("the statement fails → all who wait for it are told, and who asks next reads anew", async () => {
  let failing = true;
  const { reads, take } = watched(() => failing);
  const [one, other] = [cluster(), cluster()];
  const answers = await Promise.allSettled([reads.counts(project, [one]), reads.counts(project, [one, other])]);
  expect(answers).toMatchObject(Array.from({ length: 2 }, () => ({ status: "rejected", reason: { message: "out of order" } })));
  expect(take()).toEqual(["count.read"]);
  failing = false;
  expect(await reads.counts(project, [one, other])).toEqual(
    new Map([
      [one, noCounts],
      [other, noCounts],
    ]),
  );
});

test("more ids than go in one statement, the same one from many → several statements, each has all that it asked for", async () => {
  const { reads, take } = watched(() => false);
  const popular = cluster();
  const wanted = Array.from({ length: 25 }, () => [popular, ...Array.from({ length: 99 }, cluster)]);
  const answers = await Promise.all(wanted.map((ids) => reads.counts(project, ids)));
  expect(answers.map((found) => [...found.keys()])).toEqual(wanted);
  expect(take()).toEqual(["count.read", "count.read", "count.read"]);
});

test("an id that nobody knows → left out", async () => {
  const { reads } = watched(() => false);
  expect((await reads.clusters(project, [cluster()])).size).toBe(0);
});
