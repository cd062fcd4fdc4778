import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ActionDocument,
  CancelActionDocument,
  CheckClusterDocument,
  CheckNodeDocument,
  ClusterDocument,
  CreateClusterDocument,
  CreateNodeDocument,
  CreateProfileDocument,
  CreateProjectDocument,
  CreateTokenDocument,
  DeleteClusterDocument,
  DeleteNodeDocument,
  DeleteProfileDocument,
  DeleteProjectDocument,
  NodeDocument,
  ProfileDocument,
  RecoverClusterDocument,
  RecoverNodeDocument,
  ResizeClusterDocument,
  ReviseProfileDocument,
  RevokeTokenDocument,
  ScaleInClusterDocument,
  ScaleOutClusterDocument,
  TokensDocument,
  UpdateClusterDocument,
  UpdateNodeDocument,
  UpdateProfileDocument,
  UpdateProjectDocument,
} from "../../src/cli/graphql/generated/graphql.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ workers: 1 });
  await stage.ask(CreateProfileDocument, { input: { name: "plain", type: "sim", spec: {} } });
});
afterAll(() => stage.stop());

async function aCluster(name: string, desiredCapacity: number): Promise<{ id: string; action: string }> {
  const { createCluster } = await stage.ask(CreateClusterDocument, { input: { name, profile: { name: "plain" }, desiredCapacity } });
  if (!("cluster" in createCluster)) throw new Error(JSON.stringify(createCluster));
  return { id: createCluster.cluster.id, action: createCluster.action.id };
}

function settled(id: string): Promise<true> {
  return stage.world.until(`${id} has settled`, async () => {
    const { cluster } = await stage.ask(ClusterDocument, { by: { id } });
    return cluster?.generation === cluster?.observedGeneration;
  });
}

function ended(id: string): Promise<string> {
  return stage.world.until(`${id} has ended`, async () => {
    const { action } = await stage.ask(ActionDocument, { id });
    return action?.finishedAt == null ? null : action.status;
  });
}

describe("updateCluster with a profile", () => {
  test("of the same type, by its name → members are brought over; of another type → InvalidInput with its path", async () => {
    await stage.ask(CreateProfileDocument, { input: { name: "rolled", type: "sim", spec: {} } });
    const { createCluster } = await stage.ask(CreateClusterDocument, { input: { name: "rolled", profile: { name: "rolled" }, desiredCapacity: 4 } });
    if (!("cluster" in createCluster)) throw new Error(JSON.stringify(createCluster));
    const { id } = createCluster.cluster;
    await settled(id);
    await stage.ask(ReviseProfileDocument, { input: { profile: { name: "rolled" }, spec: { zones: ["a"] } } });
    const { updateCluster } = await stage.ask(UpdateClusterDocument, { input: { cluster: { id }, profile: { name: "rolled" } } });
    if (!("action" in updateCluster)) throw new Error(JSON.stringify(updateCluster));
    expect(updateCluster).toMatchObject({ cluster: { generation: 2 }, action: { kind: "CLUSTER_UPDATE", progress: { total: 4, failed: 0 } } });
    expect(await ended(updateCluster.action.id)).toBe("SUCCEEDED");
    const { data } = await stage.execute(
      "query ($by: ObjectBy!) { cluster(by: $by) { profile { revision } nodeCounts { active } nodes(first: 9) { nodes { status profile { revision } } } } }",
      { by: { id } },
    );
    expect(JSON.parse(JSON.stringify(data))).toEqual({
      cluster: {
        profile: { revision: 2 },
        nodeCounts: { active: 4 },
        nodes: { nodes: Array.from({ length: 4 }, () => ({ status: "ACTIVE", profile: { revision: 2 } })) },
      },
    });
  });
});

describe("mutations", () => {
  test("a profile: made, revised, described, and deleted when nobody uses it", async () => {
    const made = await stage.ask(CreateProfileDocument, { input: { name: "fast", type: "sim", spec: { createMs: 1 }, metadata: { team: "a" } } });
    expect(made.createProfile).toMatchObject({ profile: { name: "fast", revision: 1, metadata: { team: "a" }, spec: { createMs: 1, deleteMs: 0 } } });
    const revised = await stage.ask(ReviseProfileDocument, { input: { profile: { name: "fast" }, spec: { createMs: 2 } } });
    expect(revised.reviseProfile).toMatchObject({ profile: { revision: 2, metadata: { team: "a" }, spec: { createMs: 2 } } });
    const updated = await stage.ask(UpdateProfileDocument, { input: { profile: { name: "fast" }, metadata: {} } });
    expect(updated.updateProfile).toMatchObject({ profile: { revision: 2, metadata: {} } });
    const gone = await stage.ask(DeleteProfileDocument, { input: { profile: { name: "fast" } } });
    expect(gone.deleteProfile).toMatchObject({ deletedId: expect.stringMatching(/^profile_/) });
    expect((await stage.ask(ProfileDocument, { by: { name: "fast" } })).profile).toMatchObject({ revision: 1 });
  });

  test("a cluster's life: every change answers with the cluster and the work that follows", async () => {
    const { id, action } = await aCluster("life", 2);
    expect(await ended(action)).toBe("SUCCEEDED");
    const by = { id };
    const out = await stage.ask(ScaleOutClusterDocument, { input: { cluster: by, count: 2 } });
    expect(out.scaleOutCluster).toMatchObject({
      cluster: { desiredCapacity: 4 },
      action: { kind: "CLUSTER_SCALE_OUT", cause: "USER", progress: { total: 2 } },
    });
    const scaledIn = await stage.ask(ScaleInClusterDocument, { input: { cluster: by } });
    expect(scaledIn.scaleInCluster).toMatchObject({ cluster: { desiredCapacity: 3 }, action: { kind: "CLUSTER_SCALE_IN" } });
    const resized = await stage.ask(ResizeClusterDocument, { input: { cluster: by, capacity: { byPercent: 40 }, maxSize: 9 } });
    expect(resized.resizeCluster).toMatchObject({ cluster: { desiredCapacity: 5, maxSize: 9 }, action: { kind: "CLUSTER_RESIZE" } });
    const updated = await stage.ask(UpdateClusterDocument, { input: { cluster: by, name: "lives", metadata: { a: 1 }, maxSize: null } });
    expect(updated.updateCluster).toMatchObject({ cluster: { name: "lives", maxSize: null }, action: { kind: "CLUSTER_UPDATE" } });
    await settled(id);
    const checked = await stage.ask(CheckClusterDocument, { input: { cluster: by } });
    const recovered = await stage.ask(RecoverClusterDocument, { input: { cluster: by } });
    for (const answer of [checked.checkCluster, recovered.recoverCluster]) {
      if (!("action" in answer)) throw new Error(JSON.stringify(answer));
      expect(await ended(answer.action.id)).toBe("SUCCEEDED");
    }
    const deleted = await stage.ask(DeleteClusterDocument, { input: { cluster: by } });
    if (!("action" in deleted.deleteCluster)) throw new Error(JSON.stringify(deleted));
    expect(deleted.deleteCluster).toMatchObject({ cluster: { id, status: "DELETING" }, action: { kind: "CLUSTER_DELETE" } });
    expect(await ended(deleted.deleteCluster.action.id)).toBe("SUCCEEDED");
    expect((await stage.ask(ClusterDocument, { by })).cluster).toBeNull();
  });

  test("single nodes: made, marked, checked, recovered, deleted; beside a cluster and in one", async () => {
    const { id } = await aCluster("host", 1);
    await settled(id);
    const inside = await stage.ask(CreateNodeDocument, { input: { cluster: { id }, role: "db" } });
    const alone = await stage.ask(CreateNodeDocument, { input: { profile: { name: "plain" }, name: "alone" } });
    for (const { createClusterNode } of [inside, alone]) {
      if (!("node" in createClusterNode)) throw new Error(JSON.stringify(createClusterNode));
      const by = { id: createClusterNode.node.id };
      expect(await ended(createClusterNode.action.id)).toBe("SUCCEEDED");
      const updated = await stage.ask(UpdateNodeDocument, { input: { node: by, protected: true, role: null } });
      expect(updated.updateClusterNode).toMatchObject({ node: { protected: true }, action: { kind: "NODE_UPDATE", status: "SUCCEEDED" } });
      expect((await stage.ask(NodeDocument, { by })).clusterNode?.role).toBeNull();
      const jobs = [
        (await stage.ask(CheckNodeDocument, { input: { node: by } })).checkClusterNode,
        (await stage.ask(RecoverNodeDocument, { input: { node: by } })).recoverClusterNode,
      ];
      for (const job of jobs) {
        if (!("action" in job)) throw new Error(JSON.stringify(job));
        await ended(job.action.id);
      }
      const { deleteClusterNode } = await stage.ask(DeleteNodeDocument, { input: { node: by } });
      if (!("action" in deleteClusterNode)) throw new Error(JSON.stringify(deleteClusterNode));
      expect(await ended(deleteClusterNode.action.id)).toBe("SUCCEEDED");
      expect((await stage.ask(NodeDocument, { by })).clusterNode).toBeNull();
    }
    await settled(id);
    expect((await stage.ask(ClusterDocument, { by: { id } })).cluster).toMatchObject({ desiredCapacity: 1, nodeCounts: { total: 1 } });
  });

  test("superseded and cancelled: the chain is shown, and its live end", async () => {
    const { createProfile } = await stage.ask(CreateProfileDocument, { input: { name: "slow", type: "sim", spec: { createMs: 1_500 } } });
    expect(createProfile).toHaveProperty("profile");
    const { createCluster } = await stage.ask(CreateClusterDocument, { input: { name: "slow", profile: { name: "slow" }, desiredCapacity: 2 } });
    if (!("action" in createCluster)) throw new Error(JSON.stringify(createCluster));
    const ids = [createCluster.action.id];
    for (const exactly of [3, 4]) {
      const { resizeCluster } = await stage.ask(ResizeClusterDocument, { input: { cluster: { name: "slow" }, capacity: { exactly } } });
      if (!("action" in resizeCluster)) throw new Error(JSON.stringify(resizeCluster));
      ids.push(resizeCluster.action.id);
    }
    const { action: first } = await stage.ask(ActionDocument, { id: ids[0] ?? "" });
    expect(first).toMatchObject({ status: "SUPERSEDED", supersededBy: { id: ids[1] }, liveAction: { id: ids[2] } });
    const { action: last } = await stage.ask(ActionDocument, { id: ids[2] ?? "" });
    expect(last).toMatchObject({ supersededBy: null, liveAction: { id: ids[2] } });
    const cancelled = await stage.ask(CancelActionDocument, { input: { id: ids[2] ?? "" } });
    expect(cancelled.cancelAction).toMatchObject({ action: { status: "CANCELLED" } });
    const again = await stage.ask(CancelActionDocument, { input: { id: ids[2] ?? "" } });
    expect(again.cancelAction).toMatchObject({ __typename: "Conflict", reason: "ALREADY_FINISHED" });
    const { deleteCluster } = await stage.ask(DeleteClusterDocument, { input: { cluster: { name: "slow" } } });
    if (!("action" in deleteCluster)) throw new Error(JSON.stringify(deleteCluster));
    expect(await ended(deleteCluster.action.id)).toBe("SUCCEEDED");
  });

  test("a cluster without members, deleted: shown as it was, although it is gone at once", async () => {
    const { id } = await aCluster("brief", 0);
    const { deleteCluster } = await stage.ask(DeleteClusterDocument, { input: { cluster: { name: "brief" } } });
    expect(deleteCluster).toMatchObject({
      cluster: { id, status: "DELETING", generation: 2, nodeCounts: { total: 0 } },
      action: { kind: "CLUSTER_DELETE" },
    });
  });

  test("tokens and projects: a secret shown once, a token ended, a project made, bounded, renamed, deleted", async () => {
    const { createProject } = await stage.ask(CreateProjectDocument, { input: { name: "team" } });
    expect(createProject).toMatchObject({ project: { name: "team" } });
    const made = await stage.ask(CreateTokenDocument, {
      input: { name: "ci", project: { name: "team" }, role: "MEMBER", expiresAt: "2100-01-01T00:00:00Z" },
    });
    expect(made.createToken).toMatchObject({
      secret: expect.stringMatching(/^muster_/),
      token: { name: "ci", role: "MEMBER", project: { name: "team" }, expiresAt: "2100-01-01T00:00:00.000Z" },
    });
    const own = await stage.ask(CreateTokenDocument, { input: { name: "mine", role: "READER" } }, { role: "ADMIN" });
    expect(own.createToken).toMatchObject({ token: { project: { name: "default" } } });
    const revoked = await stage.ask(RevokeTokenDocument, { input: { token: { name: "mine" } } }, { role: "ADMIN" });
    expect(revoked.revokeToken).toMatchObject({ token: { name: "mine", revokedAt: expect.any(String) } });
    expect((await stage.ask(TokensDocument, {})).tokens.nodes).toEqual([expect.objectContaining({ name: "mine" })]);
    const bounded = await stage.ask(UpdateProjectDocument, {
      input: { project: { name: "team" }, name: "crew", quota: [{ quota: "clusters", limit: 1 }] },
    });
    expect(bounded.updateProject).toMatchObject({
      project: { name: "crew", quota: expect.arrayContaining([{ quota: "clusters", limit: 1, used: 0 }]) },
    });
    const gone = await stage.ask(DeleteProjectDocument, { input: { project: { name: "crew" } } });
    expect(gone.deleteProject).toMatchObject({ deletedId: expect.stringMatching(/^project_/) });
  });
});

describe("errors of meaning", () => {
  test("every problem of an input at once, each with its path", async () => {
    const { createCluster } = await stage.ask(CreateClusterDocument, {
      input: { name: "no such name!", profile: { name: "plain" }, minSize: 5, maxSize: 2, nodeNameFormat: "same" },
    });
    expect(createCluster).toMatchObject({ __typename: "InvalidInput", code: "INVALID_INPUT", path: null });
    if (!("issues" in createCluster)) throw new Error("no issues");
    expect(createCluster.issues.map((issue) => issue.path.join("."))).toEqual(expect.arrayContaining(["name", "maxSize", "nodeNameFormat"]));
    const { createProfile } = await stage.ask(CreateProfileDocument, { input: { name: "x", type: "teapot", spec: {} } });
    expect(createProfile).toMatchObject({ __typename: "InvalidInput", path: ["type"] });
  });

  test("not there, taken, changed, in use, used up, not for this role: each its own type, with what is needed to act", async () => {
    const nothing = await stage.ask(ResizeClusterDocument, { input: { cluster: { name: "nowhere" }, capacity: { exactly: 1 } } });
    expect(nothing.resizeCluster).toMatchObject({ __typename: "NotFound", code: "NOT_FOUND", path: ["cluster"] });
    const { id } = await aCluster("taken", 0);
    const text = `mutation ($input: CreateClusterInput!) { createCluster(input: $input) { ... on Conflict { code reason path object { __typename id } } } }`;
    const taken = await stage.execute(text, { input: { name: "taken", profile: { name: "plain" } } });
    expect(JSON.parse(JSON.stringify(taken.data))).toEqual({
      createCluster: { code: "CONFLICT", reason: "NAME_TAKEN", path: ["name"], object: { __typename: "Cluster", id } },
    });
    const changed = await stage.ask(ScaleOutClusterDocument, { input: { cluster: { id }, ifGeneration: 99 } });
    expect(changed.scaleOutCluster).toMatchObject({ __typename: "Conflict", reason: "GENERATION_CHANGED", generation: 1 });
    const used = await stage.ask(DeleteProfileDocument, { input: { profile: { name: "plain" } } });
    expect(used.deleteProfile).toMatchObject({ __typename: "Conflict", reason: "IN_USE" });
    const reader = await stage.execute(
      `mutation { createCluster(input: { name: "a", profile: { name: "plain" } }) { ... on Forbidden { code needs } } deleteProject(input: { project: { name: "default" } }) { ... on Forbidden { needs } } }`,
      {},
      { role: "READER" },
    );
    expect(JSON.parse(JSON.stringify(reader.data))).toEqual({
      createCluster: { code: "FORBIDDEN", needs: "MEMBER" },
      deleteProject: { needs: "OPERATOR" },
    });
    const project = stage.world.projectId;
    await stage.ask(UpdateProjectDocument, { input: { project: { name: "default" }, quota: [{ quota: "nodes", limit: 10 }] } });
    const full = await stage.execute(
      `mutation ($input: ResizeClusterInput!) { resizeCluster(input: $input) { ... on QuotaExceeded { code quota limit requested } } }`,
      {
        input: { cluster: { id }, capacity: { exactly: 1_000 } },
      },
    );
    expect(JSON.parse(JSON.stringify(full.data)), project).toEqual({
      resizeCluster: { code: "QUOTA_EXCEEDED", quota: "nodes", limit: 10, requested: 1_000 },
    });
    await stage.ask(UpdateProjectDocument, { input: { project: { name: "default" }, quota: [{ quota: "nodes", limit: null }] } });
  });

  test("the same key twice: the same action; with another input: KEY_REUSED", async () => {
    const input = { name: "once", profile: { name: "plain" }, idempotencyKey: "k-1" };
    const [a, b] = [await stage.ask(CreateClusterDocument, { input }), await stage.ask(CreateClusterDocument, { input })];
    if (!("action" in a.createCluster) || !("action" in b.createCluster)) throw new Error("refused");
    expect(b.createCluster.action.id).toBe(a.createCluster.action.id);
    const other = await stage.ask(CreateClusterDocument, { input: { ...input, name: "twice" } });
    expect(other.createCluster).toMatchObject({ __typename: "Conflict", reason: "KEY_REUSED" });
  });

  test("several mutations in one operation: one after the other, each seeing what came before", async () => {
    const { data, errors } = await stage.execute(`mutation {
      a: createCluster(input: { name: "serial", profile: { name: "plain" } }) { ... on CreateClusterPayload { cluster { desiredCapacity } } }
      b: scaleOutCluster(input: { cluster: { name: "serial" }, count: 2 }) { ... on ScaleOutClusterPayload { cluster { desiredCapacity generation } } }
      c: scaleOutCluster(input: { cluster: { name: "serial" } }) { ... on ScaleOutClusterPayload { cluster { desiredCapacity generation } } } }`);
    expect(errors).toBeUndefined();
    expect(JSON.parse(JSON.stringify(data))).toEqual({
      a: { cluster: { desiredCapacity: 0 } },
      b: { cluster: { desiredCapacity: 2, generation: 2 } },
      c: { cluster: { desiredCapacity: 3, generation: 3 } },
    });
  });
});
