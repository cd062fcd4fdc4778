/**
 * Every door of the schema, tried by everybody: no token, an ADMIN of another project, and each role. What is expected stands in the
 * table; a field that the schema has and the table has not fails, and so does one that the table has and the schema has not.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accessOf } from "../../src/api/access.ts";
import { buildSchema } from "../../src/api/schema.ts";
import { createClusterNode } from "../../src/commands/node.ts";
import { brandId, encodeId, type NodeId, type ProjectId } from "../../src/core/ids.ts";
import { type Role, roles } from "../../src/core/principal.ts";
import { transaction } from "../../src/store/transaction.ts";
import { simCluster } from "../support/cluster.ts";
import { firstFrame, type LiveApi, startLiveApi, valueOf } from "./live-api.ts";

const callers = ["nobody", "stranger", ...roles] as const;
type Caller = (typeof callers)[number];

/** Ids of what the own project has, and a cursor from before any of it. */
interface Own {
  readonly cluster: string;
  readonly node: string;
  /** A node for each caller to delete: nothing has begun for it, so it is gone at once. */
  readonly doomed: Readonly<Record<string, string>>;
  readonly action: string;
  readonly profile: string;
  readonly token: string;
  readonly project: string;
  readonly spare: string;
  readonly cursor: string;
}

interface Door {
  /** The least role that is let in. */
  readonly least: Role;
  /** What a stranger meets: nothing there; only its own world; or the same refusal as anybody of its role. */
  readonly stranger: "absent" | "own" | "FORBIDDEN";
  /** What follows the field's name: arguments and selection. `caller` makes names of new things differ. */
  readonly ask: (own: Own, caller: string) => string;
}

const page = "(first: 1000) { nodes { id } }";
const result = "{ __typename ... on Error { message } }";
const anything = (least: Role, ask: Door["ask"]): Door => ({ least, stranger: "own", ask });
const object = (least: Role, ask: Door["ask"]): Door => ({ least, stranger: "absent", ask });
const installation = (ask: Door["ask"]): Door => ({ least: "OPERATOR", stranger: "FORBIDDEN", ask });
const cluster = (own: Own, more = ""): string => `(input: { cluster: { id: "${own.cluster}" } ${more} }) ${result}`;
const node = (own: Own, more = ""): string => `(input: { node: { id: "${own.node}" } ${more} }) ${result}`;
const profile = (own: Own, more = ""): string => `(input: { profile: { id: "${own.profile}" } ${more} }) ${result}`;

const doors: Readonly<Record<string, Door>> = {
  "Query.node": object("READER", (own) => `(id: "${own.cluster}") { id }`),
  "Query.nodes": object(
    "READER",
    (own) => `(ids: ["${own.cluster}", "${own.node}", "${own.profile}", "${own.action}", "${own.project}", "${own.token}"]) { id }`,
  ),
  "Query.viewer": anything("READER", () => "{ role project { id name } }"),
  "Query.feedCursor": anything("READER", () => ""),
  "Query.profileTypes": anything("READER", () => "{ name }"),
  "Query.eventTypes": anything("READER", () => "{ name }"),
  "Query.profile": object("READER", (own) => `(by: { id: "${own.profile}" }) { id name }`),
  "Query.profiles": anything("READER", () => page),
  "Query.cluster": object("READER", (own) => `(by: { id: "${own.cluster}" }) { id name }`),
  "Query.clusters": anything("READER", () => page),
  "Query.clusterNode": object("READER", (own) => `(by: { id: "${own.node}" }) { id name }`),
  "Query.clusterNodes": anything("READER", () => page),
  "Query.action": object("READER", (own) => `(id: "${own.action}") { id }`),
  "Query.actions": anything("READER", () => page),
  "Query.events": anything("READER", () => "(first: 1000) { nodes { id clusterId clusterName nodeId data } }"),
  "Query.workers": installation(() => "{ id }"),
  "Query.projects": installation(() => page),
  "Query.tokens": { least: "ADMIN", stranger: "own", ask: () => page },

  "Mutation.createProfile": anything("MEMBER", (_own, caller) => `(input: { name: "p-${caller}", type: "sim", spec: {} }) ${result}`),
  "Mutation.reviseProfile": object("MEMBER", (own) => profile(own, "spec: {}")),
  "Mutation.updateProfile": object("MEMBER", (own) => profile(own, "metadata: {}")),
  "Mutation.deleteProfile": object("MEMBER", (own) => profile(own)),
  "Mutation.createCluster": object("MEMBER", (own, caller) => `(input: { name: "c-${caller}", profile: { id: "${own.profile}" } }) ${result}`),
  "Mutation.updateCluster": object("MEMBER", (own) => cluster(own, "metadata: {}")),
  "Mutation.resizeCluster": object("MEMBER", (own) => cluster(own, "capacity: { by: 1 }")),
  "Mutation.scaleOutCluster": object("MEMBER", (own) => cluster(own)),
  "Mutation.scaleInCluster": object("MEMBER", (own) => cluster(own)),
  "Mutation.checkCluster": object("MEMBER", (own) => cluster(own)),
  "Mutation.recoverCluster": object("MEMBER", (own) => cluster(own)),
  "Mutation.deleteCluster": object("MEMBER", (own) => cluster(own)),
  "Mutation.createClusterNode": object("MEMBER", (own, caller) => `(input: { name: "n-${caller}", profile: { id: "${own.profile}" } }) ${result}`),
  "Mutation.updateClusterNode": object("MEMBER", (own) => node(own, "metadata: {}")),
  "Mutation.checkClusterNode": object("MEMBER", (own) => node(own)),
  "Mutation.recoverClusterNode": object("MEMBER", (own) => node(own)),
  "Mutation.deleteClusterNode": object("MEMBER", (own, caller) => `(input: { node: { id: "${own.doomed[caller]}" } }) ${result}`),
  "Mutation.cancelAction": object("MEMBER", (own) => `(input: { id: "${own.action}" }) ${result}`),
  "Mutation.createToken": anything("ADMIN", (_own, caller) => `(input: { name: "t-${caller}", role: READER }) ${result}`),
  "Mutation.revokeToken": object("ADMIN", (own) => `(input: { token: { id: "${own.token}" } }) ${result}`),
  "Mutation.createProject": installation((_own, caller) => `(input: { name: "j-${caller.toLowerCase()}" }) ${result}`),
  "Mutation.updateProject": installation((own) => `(input: { project: { id: "${own.project}" } }) ${result}`),
  "Mutation.deleteProject": installation((own) => `(input: { project: { id: "${own.spare}" } }) ${result}`),

  "Subscription.events": anything("READER", (own) => `(after: "${own.cursor}") { id clusterId nodeId nodeName data }`),
  "Subscription.eventBatches": anything("READER", (own) => `(after: "${own.cursor}") { events { id clusterId nodeId nodeName data } }`),
  "Subscription.nodeHealth": anything("READER", (own) => `(after: "${own.cursor}") { nodeId nodeName clusterId }`),
  "Subscription.cluster": object("READER", (own) => `(by: { id: "${own.cluster}" }) { id name }`),
  "Subscription.action": object("READER", (own) => `(id: "${own.action}") { id }`),
};

const schema = buildSchema();
const fields = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
  Object.values(type?.getFields() ?? {}).map((field) => ({ door: `${type?.name}.${field.name}`, field })),
);

test("the table: has every root field of the schema, no other, and the role that the field itself declares", () => {
  expect(fields.map(({ door }) => door).sort()).toEqual(Object.keys(doors).sort());
  for (const { door, field } of fields) expect([door, accessOf(field)]).toEqual([door, doors[door]?.least]);
});

interface Body {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly { readonly extensions: { readonly code: string } }[];
}

/** What a caller met. */
function outcomeOf(body: Body, field: string): string {
  const code = body.errors?.[0]?.extensions.code;
  if (code !== undefined) return code;
  const value = body.data?.[field];
  if (value === null || value === undefined || (Array.isArray(value) && value.length > 0 && value.every((item) => item === null))) return "absent";
  const kind: unknown = typeof value === "object" ? Reflect.get(value, "__typename") : undefined;
  if (kind === "Forbidden") return "FORBIDDEN";
  return kind === "NotFound" ? "absent" : "let in";
}

function expected(door: Door, caller: Caller): string {
  if (caller === "nobody") return "UNAUTHENTICATED";
  if (caller === "stranger") return door.stranger === "own" ? "let in" : door.stranger;
  return roles.indexOf(caller) >= roles.indexOf(door.least) ? "let in" : "FORBIDDEN";
}

describe("doors", () => {
  let api: LiveApi;
  let own: Own;
  const tokens = new Map<Caller, string>();

  beforeAll(async () => {
    api = await startLiveApi({ limits: { tokenRequestsPerSecond: 10_000 } });
    const { world } = api;
    const admin = (await api.mint("ADMIN")).secret;
    const start: Body = await (await api.ask(admin, "{ feedCursor }")).json();
    const elsewhere = await api.project("theirs");
    tokens.set("stranger", (await api.mint("ADMIN", elsewhere)).secret);
    for (const role of roles) tokens.set(role, (await api.mint(role)).secret);
    const made = await simCluster(world, { name: "mine-cluster", desiredCapacity: 1 });
    const found: Body = await (await api.ask(admin, '{ profile(by: { name: "mine-cluster-profile" }) { id } }')).json();
    const profileId = String(Reflect.get(Object(found.data?.["profile"]), "id"));
    const nodeId = valueOf(await createClusterNode(world.context(), { name: "mine-node", profile: { id: profileId } })).nodeId;
    const doomed: Record<string, string> = {};
    for (const caller of callers) {
      doomed[caller] = encodeId(
        "node",
        valueOf(await createClusterNode(world.context(), { name: `mine-doomed-${caller}`, profile: { id: profileId } })).nodeId,
      );
    }
    own = {
      doomed,
      cluster: made.id,
      node: encodeId("node", nodeId),
      action: encodeId("action", made.actionId),
      profile: profileId,
      token: encodeId("token", (await api.mint("READER")).tokenId),
      project: encodeId("project", world.projectId),
      spare: encodeId("project", await api.project("spare")),
      cursor: String(start.data?.["feedCursor"]),
    };
    await noteHealth(world.projectId, nodeId, "mine-node");
    await noteHealth(elsewhere, nodeId, "theirs-node");
  });
  afterAll(() => api.stop());

  /** A signal's change, which the streams of health show. (A stranger's event may name any id: it is what its own project wrote.) */
  async function noteHealth(projectId: ProjectId, nodeId: NodeId, nodeName: string): Promise<void> {
    await transaction(api.world.store, async (tx) => {
      tx.events.push({
        type: "node.signal.changed",
        projectId,
        nodeId: projectId === api.world.projectId ? nodeId : brandId("node", api.world.store.runtime.entropy.uuid()),
        nodeName,
        data: { subject: "WORKLOAD", from: "UNKNOWN", to: "HEALTHY", reason: "TEST", verdict: "UNKNOWN" },
      });
    });
  }

  for (const { door: name, field } of fields) {
    const door = doors[name];
    if (door === undefined) continue;
    const operation = name.split(".")[0]?.toLowerCase();
    test.each(callers)(`${name}: %s → as the table says`, async (caller) => {
      const query = `${operation} { ${field.name} ${door.ask(own, caller)} }`;
      const token = tokens.get(caller) ?? null;
      const response = await (operation === "subscription" ? api.stream(token, query) : api.ask(token, query));
      const streams = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
      const body = (streams ? await firstFrame(response) : await response.json()) as Body;
      expect(outcomeOf(body, field.name), JSON.stringify(body)).toBe(expected(door, caller));
      expect(response.status).toBe(caller === "nobody" ? 401 : 200);
      if (caller === "stranger")
        expect(JSON.stringify(body)).not.toMatch(new RegExp(["mine-", own.cluster, own.node, own.action, own.profile, own.project].join("|")));
    });
  }
});
