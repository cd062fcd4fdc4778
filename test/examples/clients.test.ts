import { gql } from "@apollo/client";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createMusterClient as createApollo, follow as followApollo } from "../../examples/clients/apollo.ts";
import type { FollowedEvent, FollowOptions } from "../../examples/clients/follow.ts";
import { follow as followGraphqlWs } from "../../examples/clients/graphql-ws.ts";
import { follow as followSse } from "../../examples/clients/sse.ts";
import { createMusterClient as createUrql, follow as followUrql } from "../../examples/clients/urql.ts";
import { type LiveApi, startLiveApi } from "../server/live-api.ts";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";

const clients: readonly (readonly [string, (options: FollowOptions) => Promise<void>])[] = [
  ["graphql-ws", followGraphqlWs],
  ["Apollo Client", followApollo],
  ["urql", followUrql],
  ["server-sent events", followSse],
];

interface Answer<T> {
  readonly data: T;
}

describe("the example clients", () => {
  let api: LiveApi;
  let proxy: CuttingProxy;
  let token: string;
  let url: string;

  const ask = async <T>(query: string): Promise<T> => {
    const answer: Answer<T> = JSON.parse(await (await api.ask(token, query)).text());
    return answer.data;
  };
  const filter = `filter: {types: ["cluster.", "node.status.changed"]}`;

  beforeAll(async () => {
    api = await startLiveApi({ workers: 1 });
    proxy = await startCuttingProxy(Number(new URL(api.url).port));
    url = `http://127.0.0.1:${proxy.port}/graphql`;
    token = (await api.mint("MEMBER")).secret;
    await ask(`mutation { createProfile(input: {name: "sim", type: "sim", spec: {}}) { __typename } }`);
  });
  afterAll(async () => {
    await proxy.close();
    await api.stop();
  });

  test.each(clients)(
    "%s: connections are cut again and again → no event is missing, none comes twice, nothing is warned of",
    async (name, follow) => {
      const warned = [vi.spyOn(console, "warn"), vi.spyOn(console, "error")];
      const { feedCursor } = await ask<{ feedCursor: string }>("{ feedCursor }");
      const seen: FollowedEvent[] = [];
      const ending = new AbortController();
      const cluster = name.replaceAll(" ", "-");
      await ask(`mutation { createCluster(input: {name: "${cluster}", profile: {name: "sim"}}) { __typename } }`);
      let cuts = 0;
      const gone = new Promise<void>((resolve) => {
        void follow({
          url,
          token,
          after: feedCursor,
          signal: ending.signal,
          onEvent: (event) => {
            seen.push(event);
            // Cut in the middle of things, not in a lull.
            if (seen.length % 5 === 0 && cuts < 5) cuts += Math.min(1, proxy.cut());
            if (event.type === "cluster.deleted") resolve();
          },
        });
      });
      for (let i = 0; i < 5; i++) await ask(`mutation { resizeCluster(input: {cluster: {name: "${cluster}"}, capacity: {by: 3}}) { __typename } }`);
      await api.world.until("the cluster has settled", async () => {
        const { cluster: found } = await ask<{ cluster: { nodeCounts: { active: number } } }>(
          `{ cluster(by: {name: "${cluster}"}) { nodeCounts { active } } }`,
        );
        return found.nodeCounts.active === 15;
      });
      await ask(`mutation { deleteCluster(input: {cluster: {name: "${cluster}"}}) { __typename } }`);
      await gone;
      ending.abort();
      const { events } = await ask<{ events: { nodes: { cursor: string }[] } }>(
        `{ events(first: 1000, after: "${feedCursor}", ${filter}) { nodes { cursor } } }`,
      );
      expect(seen.map((event) => event.cursor)).toEqual(events.nodes.map((event) => event.cursor));
      expect(cuts).toBeGreaterThan(2);
      for (const spy of warned) {
        expect(spy).not.toHaveBeenCalled();
        spy.mockRestore();
      }
    },
  );

  const pageDocument = `query Page($after: String) { clusters(first: 2, after: $after) { edges { cursor node { id name nodeCounts { total } } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;

  test("Apollo Client: two pages of a connection, then a change → one list in the cache, without a warning", async () => {
    const warned = [vi.spyOn(console, "warn"), vi.spyOn(console, "error")];
    for (const name of ["page-1", "page-2", "page-3"])
      await ask(`mutation { createCluster(input: {name: "${name}", profile: {name: "sim"}}) { __typename } }`);
    const { client, close } = createApollo(url, token);
    interface Page {
      clusters: { edges: { node: { name: string } }[]; pageInfo: { endCursor: string } };
    }
    const first = await client.query<Page>({ query: gql(pageDocument), variables: {} });
    await client.query<Page>({
      query: gql(pageDocument),
      variables: { after: first.data?.clusters.pageInfo.endCursor },
      fetchPolicy: "network-only",
    });
    const all = client.readQuery<Page>({ query: gql(pageDocument), variables: {} });
    expect(all?.clusters.edges.map((edge) => edge.node.name)).toEqual(expect.arrayContaining(["page-1", "page-2", "page-3"]));
    await client.mutate({
      mutation: gql(
        `mutation { resizeCluster(input: {cluster: {name: "page-1"}, capacity: {exactly: 2}}) { ... on ResizeClusterPayload { cluster { id nodeCounts { total } } } ... on Error { message } } }`,
      ),
    });
    await close();
    for (const spy of warned) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
  });

  test("urql: a query, a mutation, the query again → the cache is refreshed", async () => {
    const { client, close } = createUrql(url, token);
    const before = await client.query("{ profiles { nodes { id name metadata } } }", {}).toPromise();
    expect(before.error).toBeUndefined();
    const change = await client
      .mutation(
        `mutation { updateProfile(input: {profile: {name: "sim"}, metadata: {seen: true}}) { ... on UpdateProfilePayload { profile { id metadata } } ... on Error { message } } }`,
        {},
      )
      .toPromise();
    expect(change.error).toBeUndefined();
    const after = await client.query("{ profiles { nodes { id name metadata } } }", {}).toPromise();
    expect(after.data).toMatchObject({ profiles: { nodes: [{ metadata: { seen: true } }] } });
    await close();
  });
});
