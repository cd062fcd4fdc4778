import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommandContext } from "../../src/commands/command.ts";
import { createProject, deleteProject, updateProject } from "../../src/commands/project.ts";
import { createToken, revokeToken } from "../../src/commands/token.ts";
import { encodeId, type TokenId } from "../../src/core/ids.ts";
import { roles } from "../../src/core/principal.ts";
import { realRuntime } from "../../src/main/runtime.ts";
import { firstPage } from "../../src/store/page.ts";
import { getProjectsByIds, listProjects } from "../../src/store/project.ts";
import {
  checkTokenSecret,
  findTokenByHash,
  getTokensByIds,
  hashTokenSecret,
  listTokens,
  mintTokenSecret,
  touchTokens,
} from "../../src/store/token.ts";
import { startWorld, type World } from "../support/world.ts";
import { aProfile, expectUnchanged, issuesOf, refusalOf, valueOf } from "./support.ts";

let world: World;
let operator: CommandContext;
beforeAll(async () => {
  world = await startWorld();
  operator = world.context("OPERATOR");
});
afterAll(() => world.stop());

describe("a token's secret", () => {
  test("whatever is minted passes its check; any one changed, missing or added character does not", () => {
    const { entropy } = realRuntime();
    fc.assert(
      fc.property(fc.nat(37), fc.constantFrom(..."0AZaz9-_ "), (at, character) => {
        const secret = mintTokenSecret(entropy);
        expect(secret).toMatch(/^muster_[0-9A-Za-z]{38}$/);
        expect(checkTokenSecret(secret)).toBe(true);
        const place = "muster_".length + at;
        const changed = secret.slice(0, place) + character + secret.slice(place + 1);
        expect(checkTokenSecret(changed)).toBe(changed === secret);
        expect(checkTokenSecret(secret.slice(0, -1))).toBe(false);
        expect(checkTokenSecret(`${secret}0`)).toBe(false);
      }),
    );
  });

  test("anything else → false, never an exception", () => {
    fc.assert(fc.property(fc.string(), (text) => checkTokenSecret(text) === false));
  });
});

describe("createToken and revokeToken", () => {
  test("made → found by its hash alone; nothing of the secret is stored; revoked → says so", async () => {
    const { tokenId, secret } = valueOf(await createToken(operator, { name: "ci", role: "MEMBER" }));
    expect(await findTokenByHash(world.store.db, hashTokenSecret(secret))).toEqual({
      tokenId,
      tokenName: "ci",
      projectId: world.projectId,
      role: "MEMBER",
      expiresAtMs: null,
    });
    const { rows } = await sql<{
      dump: string;
    }>`select string_agg(t::text, ' ') || (select string_agg(e::text, ' ') from muster.event e) as dump from muster.token t`.execute(world.store.db);
    expect(rows[0]?.dump).not.toContain(secret.slice(7, 30));
    expect(valueOf(await revokeToken(operator, { token: { name: "ci" } }))).toEqual({ tokenId });
    expect(await findTokenByHash(world.store.db, hashTokenSecret(secret))).toBe("revoked");
    expect(await findTokenByHash(world.store.db, hashTokenSecret(`${secret}x`))).toBe(null);
    // Its name is free again; revoking it once more changes nothing.
    valueOf(await revokeToken(operator, { token: { id: encodeId("token", tokenId) } }));
    valueOf(await createToken(operator, { name: "ci", role: "READER" }));
  });

  test("expired by the database's clock → says so; a time that has passed → InvalidInput", async () => {
    const { secret, tokenId } = valueOf(await createToken(operator, { name: "brief", role: "READER", expiresAt: new Date(Date.now() + 3_600_000) }));
    await sql`update muster.token set expires_at = clock_timestamp() - interval '1 ms' where id = ${tokenId}`.execute(world.store.db);
    expect(await findTokenByHash(world.store.db, hashTokenSecret(secret))).toBe("expired");
    expect(issuesOf(await createToken(operator, { name: "late", role: "READER", expiresAt: new Date(0) }))).toEqual([
      "expiresAt: must be in the future",
    ]);
  });

  test("nobody makes or revokes a token that may do more than they may", async () => {
    const admin = world.context("ADMIN");
    for (const role of roles) {
      const result = await createToken(admin, { name: `by-admin-${role}`, role });
      if (role === "OPERATOR") expect(refusalOf(result)).toMatchObject({ kind: "Forbidden", needs: "OPERATOR" });
      else valueOf(result);
    }
    valueOf(await createToken(operator, { name: "root", role: "OPERATOR" }));
    expect(refusalOf(await revokeToken(admin, { token: { name: "root" } }))).toMatchObject({ kind: "Forbidden", needs: "OPERATOR" });
    for (const role of ["READER", "MEMBER"] as const) {
      expect(refusalOf(await createToken(world.context(role), { name: "no", role: "READER" }))).toMatchObject({ kind: "Forbidden", needs: "ADMIN" });
    }
  });

  test("for another project → an OPERATOR's; for anybody else it does not exist; names are per project", async () => {
    const { projectId } = valueOf(await createProject(operator, { name: "elsewhere" }));
    const { tokenId } = valueOf(await createToken(operator, { name: "far", role: "ADMIN", project: { name: "elsewhere" } }));
    expect((await getTokensByIds(world.store.db, projectId, [tokenId]))[0]).toMatchObject({ name: "far", projectId, role: "ADMIN" });
    expect(await getTokensByIds(world.store.db, world.projectId, [tokenId])).toEqual([]);
    expect(refusalOf(await createToken(world.context("ADMIN"), { name: "x", role: "READER", project: { name: "elsewhere" } }))).toMatchObject({
      kind: "NotFound",
      path: ["project"],
    });
    expect(refusalOf(await revokeToken(world.context("ADMIN"), { token: { id: encodeId("token", tokenId) } }))).toMatchObject({
      kind: "NotFound",
      path: ["token"],
    });
    valueOf(await revokeToken(operator, { token: { id: encodeId("token", tokenId) } }));
  });

  test("the same name twice at once → one token, one conflict", async () => {
    const results = await Promise.all([1, 2].map(() => createToken(operator, { name: "twin", role: "READER" })));
    expect(results.filter((result) => result.ok)).toHaveLength(1);
    for (const result of results) if (!result.ok) expect(result.refusal).toMatchObject({ reason: "NAME_TAKEN", object: { type: "token" } });
  });

  test("use is noted, coalesced; the list shows revoked ones, page by page", async () => {
    const { projectId } = valueOf(await createProject(operator, { name: "listed" }));
    const there = world.context("ADMIN", projectId);
    const ids: TokenId[] = [];
    for (const name of ["a", "b", "c"]) ids.push(valueOf(await createToken(there, { name, role: "READER" })).tokenId);
    await touchTokens(world.store.db, ids.slice(0, 1));
    valueOf(await revokeToken(there, { token: { name: "b" } }));
    const first = await listTokens(world.store.db, projectId, firstPage(2));
    expect(first).toMatchObject({
      hasNext: true,
      hasPrevious: false,
      rows: [
        { name: "a", lastUsedAt: expect.any(Date) },
        { name: "b", revokedAt: expect.any(Date) },
      ],
    });
    const rest = await listTokens(world.store.db, projectId, { ...firstPage(2), after: { id: first.rows[1]?.id ?? "" } });
    expect(rest).toMatchObject({ hasNext: false, hasPrevious: true, rows: [{ name: "c", lastUsedAt: null }] });
  });
});

describe("projects", () => {
  test("made, renamed, given quotas, deleted with its tokens", async () => {
    const { projectId } = valueOf(await createProject(operator, { name: "p1" }));
    valueOf(
      await updateProject(operator, {
        project: { name: "p1" },
        name: "p2",
        quota: [
          { quota: "nodes", limit: 5 },
          { quota: "tokens", limit: null },
        ],
      }),
    );
    expect((await getProjectsByIds(world.store.db, [projectId]))[0]).toMatchObject({ name: "p2", quota: { nodes: 5, tokens: null } });
    const { secret } = valueOf(await createToken(operator, { name: "t", role: "READER", project: { name: "p2" } }));
    expect(valueOf(await deleteProject(operator, { project: { name: "p2" } }))).toEqual({ deletedId: encodeId("project", projectId) });
    expect(await findTokenByHash(world.store.db, hashTokenSecret(secret))).toBe(null);
    expect((await listProjects(world.store.db, firstPage(100))).rows.map((row) => row.name)).not.toContain("p2");
  });

  test("a project with something in it, or one's own → Conflict IN_USE", async () => {
    const { projectId } = valueOf(await createProject(operator, { name: "full" }));
    await aProfile(world.context("MEMBER", projectId), "p");
    expect(refusalOf(await deleteProject(operator, { project: { name: "full" } }))).toMatchObject({
      reason: "IN_USE",
      object: { type: "project", id: projectId },
    });
    expect(refusalOf(await deleteProject(operator, { project: { name: "default" } }))).toMatchObject({ reason: "IN_USE" });
  });

  test("taken names, unknown quotas, negative and repeated ones → refused, all together", async () => {
    valueOf(await createProject(operator, { name: "held" }));
    valueOf(await createProject(operator, { name: "free" }));
    await expectUnchanged(operator, async () => {
      expect(refusalOf(await createProject(operator, { name: "held" }))).toMatchObject({ reason: "NAME_TAKEN" });
      expect(refusalOf(await updateProject(operator, { project: { name: "free" }, name: "held" }))).toMatchObject({ reason: "NAME_TAKEN" });
      const quota = [
        { quota: "cpus", limit: 1 },
        { quota: "nodes", limit: -1 },
        { quota: "nodes", limit: 1 },
      ];
      const paths = issuesOf(await updateProject(operator, { project: { name: "free" }, name: null, quota })).map((issue) => issue.split(":")[0]);
      expect(paths).toEqual(["name", "quota.0.quota", "quota.1.limit", "quota.2.quota"]);
    });
  });

  test("anybody but an OPERATOR → Forbidden", async () => {
    for (const role of ["READER", "MEMBER", "ADMIN"] as const) {
      const context = world.context(role);
      expect(refusalOf(await createProject(context, { name: "mine" }))).toMatchObject({ kind: "Forbidden", needs: "OPERATOR" });
      expect(refusalOf(await updateProject(context, { project: { name: "default" } }))).toMatchObject({ kind: "Forbidden" });
      expect(refusalOf(await deleteProject(context, { project: { name: "default" } }))).toMatchObject({ kind: "Forbidden" });
    }
  });
});
