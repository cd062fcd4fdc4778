/** API tokens: who may call, and as what. Secrets are shown once, by `createToken`. */
import { createToken, revokeToken } from "../commands/token.ts";
import { encodeId, type TokenId } from "../core/ids.ts";
import { listTokens, type TokenRow } from "../store/token.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import { ObjectByInput } from "./by.ts";
import { byId, pageArgs, toConnection } from "./connection.ts";
import type { ApiContext } from "./context.ts";
import type { ErrorName } from "./errors.ts";
import { defineMutation, idempotencyKeyDescription } from "./mutation.ts";
import { NodeInterface, ProjectRef, TokenConnection, TokenRef } from "./object.ts";
import { readPage } from "./page.ts";
import { RoleEnum } from "./vocabulary.ts";

TokenRef.implement({
  description: "An API token, without its secret.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id.", resolve: (token) => encodeId("token", token.id) }),
    name: t.exposeString("name", { description: "Its name." }),
    role: t.expose("role", { type: RoleEnum, description: "What it may do." }),
    project: t.field({
      type: ProjectRef,
      description: "The project it works in.",
      resolve: async (token, _args, { loaders }) => {
        const project = await loaders.projects.load(token.projectId);
        if (project === null) throw new Error("a token without its project");
        return project;
      },
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was made." }),
    expiresAt: t.expose("expiresAt", { type: "DateTime", nullable: true, description: "When it ends by itself; null: never." }),
    lastUsedAt: t.expose("lastUsedAt", { type: "DateTime", nullable: true, description: "When it was last used, within some seconds." }),
    revokedAt: t.expose("revokedAt", { type: "DateTime", nullable: true, description: "When it was revoked." }),
  }),
});

builder.queryField("tokens", (t) =>
  t.field({
    type: TokenConnection,
    description: "ADMIN: the tokens of the own project, oldest first, revoked ones as well.",
    extensions: access("ADMIN"),
    args: pageArgs(t.arg),
    resolve: async (_root, args, { deps, principal, pageSize }) => {
      const list = readPage(args, pageSize, ["tokens"]);
      return toConnection(await listTokens(deps.store.db, principal.projectId, list.page), list, byId);
    },
  }),
);

const errors: readonly ErrorName[] = ["InvalidInput", "NotFound", "Conflict", "Forbidden", "QuotaExceeded"];

async function tokenOf(id: TokenId, { loaders }: ApiContext): Promise<TokenRow | null> {
  return loaders.tokens.load(id);
}

interface CreateTokenPayload {
  readonly token: TokenRow;
  readonly secret: string;
}

defineMutation("createToken", {
  description: "ADMIN: makes a token of the own project, with at most the own role. OPERATOR: of any project.",
  needs: "ADMIN",
  errors,
  input: builder.inputType("CreateTokenInput", {
    description: "A new token. It takes no idempotency key: the secret is shown once.",
    fields: (t) => ({
      name: t.string({
        required: true,
        description: "1–128 of [A-Za-z0-9._-], a letter or digit first; unique among the project's tokens that are not revoked.",
      }),
      project: t.field({ type: ObjectByInput, description: "OPERATOR: the project; else the own one." }),
      role: t.field({ type: RoleEnum, required: true, description: "What it may do." }),
      expiresAt: t.field({ type: "DateTime", description: "When it ends by itself; absent: never." }),
    }),
  }),
  payload: builder.objectRef<CreateTokenPayload>("CreateTokenPayload").implement({
    description: "The token, and its secret for the only time.",
    fields: (t) => ({
      token: t.expose("token", { type: TokenRef, description: "The token." }),
      secret: t.exposeString("secret", {
        description: "`muster_…`: send it as `Authorization: Bearer …`. It is stored nowhere and never shown again.",
      }),
    }),
  }),
  command: createToken,
  show: async ({ tokenId, secret }, context): Promise<CreateTokenPayload | null> => {
    const token = await tokenOf(tokenId, context);
    return token === null ? null : { token, secret };
  },
});

interface RevokeTokenPayload {
  readonly token: TokenRow;
}

defineMutation("revokeToken", {
  description: "ADMIN: ends a token. Requests are refused at once, live connections are closed within a second.",
  needs: "ADMIN",
  errors,
  input: builder.inputType("RevokeTokenInput", {
    description: "Which token ends.",
    fields: (t) => ({
      token: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: builder.objectRef<RevokeTokenPayload>("RevokeTokenPayload").implement({
    description: "The token as it now is.",
    fields: (t) => ({ token: t.expose("token", { type: TokenRef, description: "The token as it now is." }) }),
  }),
  command: revokeToken,
  show: async ({ tokenId }, context): Promise<RevokeTokenPayload | null> => {
    const token = await tokenOf(tokenId, context);
    return token === null ? null : { token };
  },
});
