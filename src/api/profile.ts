/** Profiles: recipes for nodes. Revisions are immutable; secrets of a spec read back as masks. */

import { createProfile, deleteProfile, reviseProfile, updateProfile } from "../commands/profile.ts";
import { encodeId, type ProfileId } from "../core/ids.ts";
import { listProfiles, type ProfileRow } from "../store/profile.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import { findProfile, ObjectByInput } from "./by.ts";
import { byId, pageArgs, toConnection } from "./connection.ts";
import type { ApiContext } from "./context.ts";
import { deletedPayload, showDeleted } from "./deleted.ts";
import type { ErrorName } from "./errors.ts";
import { defineMutation, idempotencyKeyDescription } from "./mutation.ts";
import { ClusterConnection, NodeInterface, ProfileConnection, ProfileRef, ProfileTypeRef } from "./object.ts";
import { checkFilter, readPage } from "./page.ts";
import { viewProfileType } from "./profile-type.ts";

ProfileRef.implement({
  description: "A recipe for one node: a profile type and its spec. One revision of it; revisions never change.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "The id of this revision.", resolve: (profile) => encodeId("profile", profile.id) }),
    name: t.exposeString("name", { description: "Its name, which all its revisions share." }),
    revision: t.exposeInt("revision", { description: "Counts from 1." }),
    profileType: t.field({
      type: ProfileTypeRef,
      description: "What its nodes are.",
      resolve: (profile, _args, context) => viewProfileType(context, profile.type),
    }),
    spec: t.expose("spec", { type: "JSONObject", description: 'The recipe, defaults filled in. Secrets read back as `{"$secret": "hmac:…"}`.' }),
    metadata: t.expose("metadata", { type: "JSONObject", description: "Anything of yours." }),
    clusters: t.field({
      type: ClusterConnection,
      description: "The clusters that were given this revision, oldest first.",
      args: pageArgs(t.arg),
      resolve: async (profile, args, context) => {
        const list = readPage(args, context.pageSize, ["Profile.clusters", profile.id]);
        return toConnection(await context.loaders.clustersOfProfiles(list.page).load(profile.id), list, byId);
      },
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When this revision was made." }),
    updatedAt: t.expose("updatedAt", { type: "DateTime", description: "When its name or metadata last changed." }),
  }),
});

builder.queryField("profile", (t) =>
  t.field({
    type: ProfileRef,
    nullable: true,
    description: "One profile; by name: its newest revision.",
    extensions: access("READER"),
    args: { by: t.arg({ type: ObjectByInput, required: true, description: "Which." }) },
    resolve: (_root, { by }, context) => findProfile(context, by),
  }),
);

const ProfileFilterInput = builder.inputType("ProfileFilter", {
  description: "Fields are ANDed, entries of a list ORed. Absent means any; a list that is empty or longer than 1000 is refused.",
  fields: (t) => ({
    nameContains: t.string({ description: "This text is in the name; case does not matter." }),
    types: t.stringList({ description: "Of one of these profile types." }),
    allRevisions: t.boolean({ description: "Older revisions as well; else only the newest of each name." }),
  }),
});

builder.queryField("profiles", (t) =>
  t.field({
    type: ProfileConnection,
    description: "The project's profiles, oldest first.",
    extensions: access("READER"),
    args: { ...pageArgs(t.arg), filter: t.arg({ type: ProfileFilterInput, description: "Only what matches." }) },
    resolve: async (_root, args, { deps, principal, pageSize }) => {
      checkFilter(args.filter);
      const list = readPage(args, pageSize, ["profiles", args.filter]);
      return toConnection(await listProfiles(deps.store.db, principal.projectId, args.filter ?? {}, list.page), list, byId);
    },
  }),
);

const errors: readonly ErrorName[] = ["InvalidInput", "NotFound", "Conflict", "Forbidden", "QuotaExceeded", "Unsupported"];

interface ProfilePayload {
  readonly profile: ProfileRow;
}

function profilePayload(name: string) {
  return builder.objectRef<ProfilePayload>(name).implement({
    description: "The profile as it now is.",
    fields: (t) => ({ profile: t.expose("profile", { type: ProfileRef, description: "The profile as it now is." }) }),
  });
}

async function showProfile({ profileId }: { readonly profileId: ProfileId }, { loaders }: ApiContext): Promise<ProfilePayload | null> {
  const profile = await loaders.profiles.load(profileId);
  return profile === null ? null : { profile };
}

defineMutation("createProfile", {
  description: "Makes a profile, as revision 1 of its name.",
  needs: "MEMBER",
  errors,
  input: builder.inputType("CreateProfileInput", {
    description: "A new recipe.",
    fields: (t) => ({
      name: t.string({ required: true, description: "1–128 of [A-Za-z0-9._-], a letter or digit first; unique among the project's profiles." }),
      type: t.string({ required: true, description: "One of `profileTypes`, by name." }),
      spec: t.field({ type: "JSONObject", required: true, description: "By the type's `specSchema`." }),
      metadata: t.field({ type: "JSONObject", description: "Anything of yours." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: profilePayload("CreateProfilePayload"),
  command: createProfile,
  show: showProfile,
});

defineMutation("reviseProfile", {
  description: "A new revision under the same name. Clusters keep the revision they were given until they are updated.",
  needs: "MEMBER",
  errors,
  input: builder.inputType("ReviseProfileInput", {
    description: "A new revision of a recipe.",
    fields: (t) => ({
      profile: t.field({ type: ObjectByInput, required: true, description: "Any revision of it." }),
      spec: t.field({ type: "JSONObject", required: true, description: "The whole new spec. A secret given as its mask stays as it is." }),
      metadata: t.field({ type: "JSONObject", description: "Absent: as the newest revision's." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: profilePayload("ReviseProfilePayload"),
  command: reviseProfile,
  show: showProfile,
});

defineMutation("updateProfile", {
  description: "Changes what does not touch nodes: the name (of all revisions) and the metadata (of this one).",
  needs: "MEMBER",
  errors,
  input: builder.inputType("UpdateProfileInput", {
    description: "Absent fields stay as they are.",
    fields: (t) => ({
      profile: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      name: t.string({ description: "The new name." }),
      metadata: t.field({ type: "JSONObject", description: "The whole new metadata." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: profilePayload("UpdateProfilePayload"),
  command: updateProfile,
  show: showProfile,
});

defineMutation("deleteProfile", {
  description: "Deletes one revision, if no cluster or node uses it.",
  needs: "MEMBER",
  errors,
  input: builder.inputType("DeleteProfileInput", {
    description: "Which revision goes.",
    fields: (t) => ({
      profile: t.field({ type: ObjectByInput, required: true, description: "Which; by name: the newest revision." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: deletedPayload("DeleteProfilePayload"),
  command: deleteProfile,
  show: showDeleted,
});
