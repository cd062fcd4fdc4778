/** API tokens: made (the secret is answered once and kept nowhere) and revoked. Nobody makes one that may do more than they may. */
import { type InputIssue, notFound, type Result, refused } from "../core/errors.ts";
import { brandId, encodeId, type ProjectId, type TokenId } from "../core/ids.ts";
import { nameIssues } from "../core/name.ts";
import { mayAct } from "../core/principal.ts";
import { findProjectByName } from "../store/project.ts";
import { findTokenByName, getTokensByIds, hashTokenSecret, insertToken, mintTokenSecret, revokeTokenRow } from "../store/token.ts";
import { type CommandContext, forbidden, mutate, type Work } from "./command.ts";
import type { CreateTokenInput, ObjectBy, RevokeTokenInput } from "./input.ts";
import { keyOf } from "./lookup.ts";
import { checkQuota, lockForQuota } from "./quota.ts";

export type TokenSecret = { readonly tokenId: TokenId; readonly secret: string };
export type TokenValue = { readonly tokenId: TokenId };

function reviveToken(ids: Readonly<Record<string, string>>): TokenValue {
  return { tokenId: brandId("token", ids["tokenId"] ?? "") };
}

/** Takes no idempotency key: the secret is not kept, so it could not be answered again. */
export async function createToken(context: CommandContext, input: CreateTokenInput): Promise<Result<TokenSecret>> {
  const { principal, store } = context;
  const issues: InputIssue[] = nameIssues(input.name, ["name"]);
  if (input.expiresAt != null && Number.isNaN(input.expiresAt.getTime())) issues.push({ path: ["expiresAt"], message: "must be a date" });
  const revive = (): TokenSecret => {
    throw new Error("createToken takes no idempotency key");
  };
  return mutate<TokenSecret>(context, { name: "createToken", needs: "ADMIN", input: {}, issues, revive }, async (work) => {
    const { tx } = work;
    if (!mayAct(principal.role, input.role)) return forbidden(input.role);
    const projectId = await findProject(work, context, input.project ?? null);
    if (projectId === null) return notFound(["project"], "project");
    const project = await lockForQuota(work, context, projectId);
    if (!project.ok) return notFound(["project"], "project");
    const now = await tx.now();
    if (input.expiresAt != null && input.expiresAt <= now)
      return refused({ kind: "InvalidInput", issues: [{ path: ["expiresAt"], message: "must be in the future" }] });
    const tooMany = await checkQuota(work, project.value, { tokens: 1 });
    if (tooMany !== null) return tooMany;
    const taken = await findTokenByName(tx.db, projectId, input.name);
    if (taken !== null) {
      const message = `There is a token ${input.name} already.`;
      return refused({ kind: "Conflict", reason: "NAME_TAKEN", message, path: ["name"], object: { type: "token", id: taken.id } });
    }
    const tokenId = brandId("token", store.runtime.entropy.uuid());
    const secret = mintTokenSecret(store.runtime.entropy);
    await insertToken(tx.db, {
      id: tokenId,
      projectId,
      name: input.name,
      role: input.role,
      hash: hashTokenSecret(secret),
      expiresAt: input.expiresAt ?? null,
      now,
    });
    tx.events.push({ type: "token.created", projectId, data: { tokenId: encodeId("token", tokenId), name: input.name, role: input.role } });
    return { ok: true, value: { tokenId, secret } };
  });
}

/** Revoking what is revoked already changes nothing. */
export async function revokeToken(context: CommandContext, input: RevokeTokenInput): Promise<Result<TokenValue>> {
  const { principal } = context;
  return mutate(context, { name: "revokeToken", needs: "ADMIN", input, issues: [], revive: reviveToken }, async ({ tx }) => {
    const missing = notFound(["token"], "token");
    const key = keyOf("token", input.token);
    if (key === null) return missing;
    const scope = mayAct(principal.role, "OPERATOR") ? null : principal.projectId;
    const token = "id" in key ? (await getTokensByIds(tx.db, scope, [key.id]))[0] : await findTokenByName(tx.db, principal.projectId, key.name);
    if (token == null) return missing;
    if (!mayAct(principal.role, token.role)) return forbidden(token.role);
    if (await revokeTokenRow(tx.db, token.id, await tx.now())) {
      tx.events.push({ type: "token.revoked", projectId: token.projectId, data: { tokenId: encodeId("token", token.id), name: token.name } });
    }
    return { ok: true, value: { tokenId: token.id } };
  });
}

/** The project a token is for: the caller's own, or any for an OPERATOR. Another one looks as if it did not exist. */
async function findProject({ tx }: Work, { principal }: CommandContext, by: ObjectBy | null): Promise<ProjectId | null> {
  if (by === null) return principal.projectId;
  const key = keyOf("project", by);
  if (key === null) return null;
  const id = "id" in key ? key.id : ((await findProjectByName(tx.db, key.name))?.id ?? null);
  return id === principal.projectId || mayAct(principal.role, "OPERATOR") ? id : null;
}
