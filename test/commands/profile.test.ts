import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deleteCluster } from "../../src/commands/cluster.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createClusterNode } from "../../src/commands/node.ts";
import { createProfile, deleteProfile, reviseProfile, updateProfile } from "../../src/commands/profile.ts";
import { createProject } from "../../src/commands/project.ts";
import { encodeId, type ProfileId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { firstPage } from "../../src/store/page.ts";
import { findProfileByName, getProfilesByIds, listProfiles, type ProfileRow } from "../../src/store/profile.ts";
import { readProfileSpecs } from "../../src/store/profile-spec.ts";
import { createVault, openSpec, WrongKey } from "../../src/store/vault.ts";
import { startWorld, type World } from "../support/world.ts";
import { readEventsOf } from "./history.ts";
import { secretiveDriver } from "./secretive-driver.ts";
import { aCluster, aProfile, expectUnchanged, issuesOf, refusalOf, valueOf } from "./support.ts";

let world: World;
let context: CommandContext;
beforeAll(async () => {
  world = await startWorld({ drivers: [secretiveDriver(), secretiveDriver("process")] });
  context = world.context("MEMBER");
});
afterAll(() => world.stop());

const make = async (name: string, spec: JsonObject) => valueOf(await createProfile(context, { name, type: "secretive", spec })).profileId;
const read = async (id: ProfileId): Promise<ProfileRow> => {
  const [row] = await getProfilesByIds(world.store.db, world.projectId, [id]);
  if (row === undefined) throw new Error("the profile is gone");
  return row;
};
const plain = async (id: ProfileId): Promise<JsonObject> => {
  const [row] = await readProfileSpecs(world.store.db, [id]);
  return openSpec(world.vault, id, row?.spec ?? {});
};

describe("createProfile", () => {
  test("a spec → revision 1 with defaults filled in", async () => {
    const row = await read(
      valueOf(await createProfile(context, { name: "plain", type: "sim", spec: { createMs: 5 }, metadata: { a: [1] } })).profileId,
    );
    expect(row).toMatchObject({ name: "plain", revision: 1, type: "sim", metadata: { a: [1] } });
    expect(row.spec).toMatchObject({ createMs: 5, deleteMs: 0, batchSize: 1_000 });
  });

  test("several mistakes → all at once, paths into the input", async () => {
    await expectUnchanged(context, async () => {
      const spec = { createMs: -1, batchSize: 0, wat: 1 };
      const paths = issuesOf(await createProfile(context, { name: "a b", type: "sim", spec, metadata: { x: "\u0000" } })).map(
        (issue) => issue.split(":")[0],
      );
      expect(paths).toEqual(expect.arrayContaining(["name", "spec.createMs", "spec.batchSize", "metadata.x"]));
      expect(paths.some((path) => path === "spec.wat" || path === "spec")).toBe(true);
    });
  });

  test("an unknown type → InvalidInput that names those there are, beside the other mistakes", async () => {
    const issues = issuesOf(await createProfile(context, { name: "", type: "nova", spec: { a: "\ud800" } }));
    expect(issues).toContain("type: must be a profile type of this installation: process, secretive, sim");
    expect(issues.map((issue) => issue.split(":")[0])).toEqual(expect.arrayContaining(["name", "spec.a"]));
  });

  test("a spec at its limit → kept; one byte more → InvalidInput", async () => {
    const rest = JSON.stringify({ note: "" }).length;
    const note = "n".repeat(context.limits.specBytes - rest);
    expect((await read(await make("full", { note }))).spec["note"]).toBe(note);
    expect(issuesOf(await createProfile(context, { name: "over", type: "secretive", spec: { note: `${note}n` } }))[0]).toMatch(
      /^spec: must not be larger than/,
    );
  });

  test("a taken name → Conflict; the same in another project → its own", async () => {
    const id = await make("name", {});
    expect(refusalOf(await createProfile(context, { name: "name", type: "sim", spec: {} }))).toMatchObject({
      reason: "NAME_TAKEN",
      object: { type: "profile", id },
    });
    const { projectId } = valueOf(await createProject(world.context(), { name: "other" }));
    valueOf(await createProfile(world.context("MEMBER", projectId), { name: "name", type: "sim", spec: {} }));
  });

  test("a profile that runs commands: off → Unsupported; on → OPERATOR only; a list → its projects as well", async () => {
    const attempt = (role: "ADMIN" | "OPERATOR", mode: "off" | "on" | readonly string[], name: string) =>
      createProfile({ ...world.context(role), processPolicy: { mode } }, { name, type: "process", spec: {} });
    expect(refusalOf(await attempt("OPERATOR", "off", "p1"))).toMatchObject({ kind: "Unsupported", operation: "process" });
    expect(refusalOf(await attempt("ADMIN", "off", "p1"))).toMatchObject({ kind: "Unsupported", operation: "process" });
    expect(refusalOf(await attempt("ADMIN", "on", "p1"))).toMatchObject({ kind: "Forbidden", needs: "OPERATOR" });
    expect(refusalOf(await attempt("ADMIN", ["another"], "p1"))).toMatchObject({ kind: "Forbidden", needs: "OPERATOR" });
    valueOf(await attempt("ADMIN", ["default"], "p1"));
    valueOf(await attempt("OPERATOR", ["another"], "p2"));
    valueOf(await attempt("OPERATOR", "on", "p3"));
  });
});

describe("secrets", () => {
  const secret = {
    password: "canary-password",
    env: { TOKEN: "canary-env" },
    users: [
      { name: "ann", key: "canary-key" },
      { name: "bob", key: null },
    ],
    note: "open",
  };

  test("writeOnly values → masked for readers, sealed in every table, plain for the driver only", async () => {
    const id = await make("sealed", secret);
    const { spec } = await read(id);
    expect(spec["note"]).toBe("open");
    expect(spec["password"]).toEqual({ $secret: expect.stringMatching(/^hmac:[0-9a-f]{32}$/) });
    expect(spec["users"]).toMatchObject([{ name: "ann", key: { $secret: expect.any(String) } }, { name: "bob" }]);
    expect(JSON.stringify(spec)).not.toContain("canary");
    expect(await plain(id)).toEqual(secret);
    const { rows } = await sql<{ dump: string }>`
      select coalesce(string_agg(t.row, E'\n'), '') as dump from (
        select p::text as row from muster.profile p union all select e::text from muster.event e union all select a::text from muster.action a) t`.execute(
      world.store.db,
    );
    expect(rows[0]?.dump).not.toContain("canary");
  });

  test("the same secret in two profiles → two masks; sealed twice → two texts", async () => {
    const [a, b] = [await make("a1", secret), await make("b1", secret)];
    expect((await read(a)).spec["password"]).not.toEqual((await read(b)).spec["password"]);
    const texts = (await readProfileSpecs(world.store.db, [a, b])).map((row) => JSON.stringify(row.spec["password"]));
    expect(texts[0]).not.toBe(texts[1]);
  });

  test("a mask sent back → the old value is kept under the new revision; a new value replaces it", async () => {
    const first = await make("kept", secret);
    const masked = (await read(first)).spec;
    const second = valueOf(await reviseProfile(context, { profile: { name: "kept" }, spec: { ...masked, password: "canary-new" } })).profileId;
    expect(await plain(second)).toEqual({ ...secret, password: "canary-new" });
    const third = valueOf(await reviseProfile(context, { profile: { name: "kept" }, spec: (await read(second)).spec })).profileId;
    expect(await plain(third)).toEqual({ ...secret, password: "canary-new" });
    expect(await read(third)).toMatchObject({ name: "kept", revision: 3 });
  });

  test("a mask of something else → InvalidInput at each; a mask where none can be kept → InvalidInput", async () => {
    const id = await make("stale", secret);
    const { spec } = await read(id);
    const wrong = { ...spec, password: { $secret: "hmac:00000000000000000000000000000000" }, env: spec["password"] ?? null };
    expect(
      issuesOf(await reviseProfile(context, { profile: { name: "stale" }, spec: wrong }))
        .map((issue) => issue.split(":")[0])
        .sort(),
    ).toEqual(["spec.env", "spec.password"]);
    expect(issuesOf(await createProfile(context, { name: "stolen", type: "secretive", spec }))[0]).toMatch(/is a masked secret/);
    const forged = { note: { $sealed: "1.x.y" } };
    expect(issuesOf(await createProfile(context, { name: "forged", type: "secretive", spec: forged }))).toEqual([
      "spec.note.$sealed: is a reserved name",
    ]);
  });

  test("a sealed value moved to another profile or path, or read with another key → does not open", async () => {
    const [a, b] = [await make("from", { password: "x" }), await make("to", { password: "y" })];
    const sealed = (await readProfileSpecs(world.store.db, [a]))[0]?.spec ?? {};
    expect(() => openSpec(world.vault, b, sealed)).toThrow(WrongKey);
    expect(() => openSpec(world.vault, a, { env: sealed["password"] ?? null })).toThrow(WrongKey);
    expect(() => openSpec(createVault([new Uint8Array(32).fill(7)]), a, sealed)).toThrow(WrongKey);
    expect(openSpec(world.vault, a, sealed)["password"]).toBe("x");
  });
});

describe("reviseProfile and updateProfile", () => {
  test("revisions are made ten at once → ten numbers, none twice; the name means the newest", async () => {
    await make("many", {});
    const revised = await Promise.all(
      Array.from({ length: 10 }, (_, i) => reviseProfile(context, { profile: { name: "many" }, spec: { note: `n${i}` } })),
    );
    const rows = await getProfilesByIds(
      world.store.db,
      world.projectId,
      revised.map((result) => valueOf(result).profileId),
    );
    expect(rows.map((row) => row.revision).sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect((await findProfileByName(world.store.db, world.projectId, "many"))?.revision).toBe(11);
    const all = await listProfiles(world.store.db, world.projectId, { nameContains: "MANY", allRevisions: true }, firstPage(100));
    expect(all.rows).toHaveLength(11);
    const newest = await listProfiles(world.store.db, world.projectId, { nameContains: "many" }, firstPage(100));
    expect(newest.rows.map((row) => row.revision)).toEqual([11]);
  });

  test("a wrong spec → every mistake; metadata absent → the former's; null → InvalidInput", async () => {
    valueOf(await createProfile(context, { name: "meta", type: "secretive", spec: {}, metadata: { kept: true } }));
    expect(issuesOf(await reviseProfile(context, { profile: { name: "meta" }, spec: { note: 5 } }))).toEqual(["spec.note: must be a text"]);
    const { profileId } = valueOf(await reviseProfile(context, { profile: { name: "meta" }, spec: {} }));
    expect((await read(profileId)).metadata).toEqual({ kept: true });
    expect(issuesOf(await reviseProfile(context, { profile: { name: "meta" }, spec: {}, metadata: null }))[0]).toMatch(/^metadata: must not be null/);
  });

  test("a new name → all revisions have it; a taken one → Conflict; metadata → of the revision named", async () => {
    const first = await make("before", {});
    const second = valueOf(await reviseProfile(context, { profile: { name: "before" }, spec: {} })).profileId;
    valueOf(await updateProfile(context, { profile: { id: encodeId("profile", first) }, name: "after", metadata: { one: 1 } }));
    expect((await getProfilesByIds(world.store.db, world.projectId, [first, second])).map((row) => row.name)).toEqual(["after", "after"]);
    expect((await read(second)).metadata).toEqual({});
    await make("held", {});
    expect(refusalOf(await updateProfile(context, { profile: { name: "after" }, name: "held" }))).toMatchObject({ reason: "NAME_TAKEN" });
  });
});

describe("deleteProfile", () => {
  test("used by a cluster, by a node → Conflict IN_USE with it; by nobody → gone, told", async () => {
    const used = await aProfile(context, "used");
    const cluster = await aCluster(context, used, { name: "user" });
    expect(refusalOf(await deleteProfile(context, { profile: { name: "used" } }))).toMatchObject({
      reason: "IN_USE",
      object: { type: "cluster", id: cluster.clusterId },
    });
    valueOf(await deleteCluster(context, { cluster: { name: "user" }, abandon: false }));
    expect(refusalOf(await deleteProfile(context, { profile: { name: "used" } }))).toMatchObject({ reason: "IN_USE" });
    const alone = await aProfile(context, "alone");
    const { nodeId } = valueOf(await createClusterNode(context, { profile: { name: "alone" } }));
    expect(refusalOf(await deleteProfile(context, { profile: { name: "alone" } }))).toMatchObject({
      reason: "IN_USE",
      object: { type: "node", id: nodeId },
    });
    const free = await aProfile(context, "free");
    expect(valueOf(await deleteProfile(context, { profile: { name: "free" } }))).toEqual({ deletedId: encodeId("profile", free) });
    expect(await getProfilesByIds(world.store.db, world.projectId, [free, alone])).toHaveLength(1);
    const events = await readEventsOf(context, { projectId: world.projectId });
    expect(events.findLast((event) => event.type === "profile.deleted")?.data).toMatchObject({ name: "free", revision: 1 });
  });

  test("deleted while a cluster is made of it, twenty times → one of the two is refused, nothing dangles", async () => {
    for (let i = 0; i < 20; i++) {
      const id = await aProfile(context, `contested-${i}`);
      const [made, gone] = await Promise.allSettled([
        aCluster(context, id, { name: `of-${i}` }),
        deleteProfile(context, { profile: { id: encodeId("profile", id) } }),
      ]);
      const deleted = gone.status === "fulfilled" && gone.value.ok;
      expect(made.status === "fulfilled").not.toBe(deleted);
    }
  });
});
