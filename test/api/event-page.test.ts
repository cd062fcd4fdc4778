import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ApiDeps, createContext } from "../../src/api/context.ts";
import { type HistoryArgs, readHistory } from "../../src/api/event-page.ts";
import type { EventPage } from "../../src/api/object.ts";
import { brandId } from "../../src/core/ids.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import { transaction } from "../../src/store/transaction.ts";
import { createVault } from "../../src/store/vault.ts";
import { openStage, type Stage } from "../live/stage.ts";

/** More than a page's search looks at, so that a filter which nothing matches takes several. */
const quiet = 50_000;
let stage: Stage;
let deps: ApiDeps;

beforeAll(async () => {
  stage = await openStage();
  stage.startSequencer();
  const feed = await stage.startFeed();
  deps = {
    store: stage.store,
    feed,
    drivers: new Map(),
    vault: createVault([new Uint8Array(32)]),
    limits: defaultLimits,
    processPolicy: { mode: "off" },
  };
  const rare = (label: string) =>
    transaction(stage.store, async (tx) => {
      tx.events.push({ type: "cluster.deleted", projectId: stage.projectId, clusterId: stage.clusterId(1), clusterName: label, data: {} });
      await Promise.resolve();
    });
  await rare("first");
  for (let i = 0; i < quiet / 5_000; i++) await stage.write(2, 5_000, `quiet-${i}`);
  await rare("last");
  await stage.until(
    "everything has its place",
    async () => (await read({ last: 1, filter: { types: ["cluster.deleted"] } })).nodes[0]?.clusterName === "last",
  );
});
afterAll(() => stage.end());

function read(args: HistoryArgs): Promise<EventPage> {
  const principal = {
    tokenId: brandId("token", "00000000-0000-7000-8000-000000000001"),
    tokenName: "t",
    projectId: stage.projectId,
    role: "OPERATOR" as const,
    expiresAtMs: null,
  };
  return readHistory(createContext(deps, principal, "request", new AbortController().signal), args);
}

describe("event pages", () => {
  test.each(["forward", "backward"] as const)("a rare filter, %s: short pages say where to go on, until everything was found once", async (way) => {
    const found: string[] = [];
    const forward = way === "forward";
    let place: string | null = null;
    let pages = 0;
    for (;;) {
      const at: HistoryArgs = forward ? { first: 5, after: place } : { last: 5, before: place };
      const page = await read({ ...at, filter: { types: ["cluster.deleted"] } });
      pages += 1;
      found.push(...page.nodes.map((event) => event.clusterName ?? "?"));
      if (!(forward ? page.hasNextPage : page.hasPreviousPage)) break;
      place = page.stoppedAt?.cursor ?? null;
      expect(place).not.toBeNull();
    }
    expect(found).toEqual(forward ? ["first", "last"] : ["last", "first"]);
    expect(pages).toBeGreaterThan(1);
  });
});
