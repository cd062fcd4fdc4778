import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect } from "../../src/cli/client.ts";
import { watchCluster } from "../../src/cli/watch.ts";
import { createCluster } from "../../src/commands/cluster.ts";
import { createProfile } from "../../src/commands/profile.ts";
import { revokeToken } from "../../src/commands/token.ts";
import { encodeId } from "../../src/core/ids.ts";
import { startCuttingProxy } from "../examples/cutting-proxy.ts";
import { type LiveApi, startLiveApi, valueOf } from "../server/live-api.ts";
import { builtRoot, spawnMuster } from "../support/spawn.ts";

// Building takes longer than a test may.
beforeAll(() => void builtRoot(), 300_000);

describe("muster watch", () => {
  let api: LiveApi;
  beforeAll(async () => {
    api = await startLiveApi({ workers: 0 });
    const context = api.world.context("MEMBER");
    valueOf(await createProfile(context, { name: "web", type: "sim", spec: {} }));
    valueOf(await createCluster(context, { name: "web", profile: { name: "web" }, minSize: 0, timeoutSeconds: 60 }));
  });
  afterAll(() => api.stop());

  test("its token is revoked → a sentence, and ends with 1", async () => {
    const { secret, tokenId } = await api.mint("READER");
    const watch = spawnMuster({ args: ["watch", "web"], env: { MUSTER_URL: api.url, MUSTER_TOKEN: secret } });
    await watch.line(/^Cluster web/);
    valueOf(await revokeToken(api.world.context("ADMIN"), { token: { id: encodeId("token", tokenId) } }));
    expect((await watch.exited).code).toBe(1);
    expect(watch.output()).toContain(`muster: ${api.url} answered: The token has been revoked or has expired`);
  });

  test("the server goes away and comes back → told once each, the stream goes on, Ctrl-C ends it with 0", async () => {
    const { secret } = await api.mint("READER");
    const proxy = await startCuttingProxy(Number(new URL(api.url).port));
    const watch = spawnMuster({ args: ["watch", "web"], env: { MUSTER_URL: `http://127.0.0.1:${proxy.port}`, MUSTER_TOKEN: secret } });
    await watch.line(/^Cluster web/);
    await proxy.close();
    await watch.line(/is away/);
    const again = await startCuttingProxy(Number(new URL(api.url).port), proxy.port);
    await watch.line(/is away[^\n]*\n(.*\n)*Ctrl-C ends the watching/);
    watch.kill("SIGINT");
    expect((await watch.exited).code).toBe(0);
    expect(watch.output().match(/is away/g)).toHaveLength(1);
    await again.close();
  });

  test("a server that stays away → asked again and again, told once", async () => {
    const stop = new AbortController();
    const told: (string | null)[] = [];
    let tries = 0;
    const client = connect({ url: "http://127.0.0.1:1", token: "any" });
    await watchCluster({
      client,
      display: { cluster: () => undefined, event: () => undefined, hint: () => undefined, close: () => undefined },
      cluster: "web",
      after: "",
      signal: stop.signal,
      timers: {
        wait: async () => {
          tries++;
          if (tries === 20) stop.abort();
        },
      },
      onCluster: () => undefined,
      onAway: (reason) => told.push(reason),
    });
    expect(tries).toBeGreaterThanOrEqual(20);
    expect(told).toEqual([expect.stringContaining("ECONNREFUSED")]);
    await client.close();
  });
});
