/** Profiles: made, revised, renamed, deleted. A revision never changes; its secrets are sealed before they are stored. */
import { documentIssues } from "../core/document.ts";
import { type InputIssue, invalidInput, notFound, type Result, refused } from "../core/errors.ts";
import { brandId, encodeId, type ProfileId } from "../core/ids.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { nameIssues } from "../core/name.ts";
import { isJsonObject, maskIn, maskKey, sealKey, secretPaths } from "../core/secret.ts";
import type { Driver } from "../drivers/driver.ts";
import {
  deleteProfileRow,
  findProfileByName,
  findProfileUser,
  insertProfile,
  lockProfile,
  lockProfileNames,
  newestRevision,
  renameProfile,
  type SealedProfile,
  setProfileMetadata,
} from "../store/profile.ts";
import { isMaskOf, openSpec, replaceAt } from "../store/vault.ts";
import { type CommandContext, type Deleted, mutate, reviveDeleted, type Work } from "./command.ts";
import type { CreateProfileInput, DeleteProfileInput, ObjectBy, ReviseProfileInput, UpdateProfileInput } from "./input.ts";
import { keyOf, notNull } from "./lookup.ts";
import { refuseProfileType } from "./profile-type.ts";
import { checkQuota, lockForQuota } from "./quota.ts";
import { sealNow } from "./secret-rotation.ts";

export type ProfileValue = { readonly profileId: ProfileId };

function reviveProfile(ids: Readonly<Record<string, string>>): ProfileValue {
  return { profileId: brandId("profile", ids["profileId"] ?? "") };
}

export async function createProfile(context: CommandContext, input: CreateProfileInput): Promise<Result<ProfileValue>> {
  const { limits, store } = context;
  const metadata = input.metadata ?? {};
  const driver = context.drivers.get(input.type);
  const sane = documentIssues(input.spec, ["spec"], limits.specBytes);
  const parsed = driver === undefined || sane.length > 0 ? null : parse(driver, input.spec);
  const issues = [
    ...nameIssues(input.name, ["name"]),
    ...(driver === undefined ? [{ path: ["type"], message: unknownType(context) }] : []),
    ...sane,
    ...(parsed?.issues ?? []),
    ...documentIssues(metadata, ["metadata"], limits.metadataBytes),
  ];
  return mutate(context, { name: "createProfile", needs: "MEMBER", input, issues, revive: reviveProfile }, async (work) => {
    const { tx } = work;
    const project = await lockForQuota(work, context);
    if (!project.ok) return project;
    const unusable = refuseProfileType(context, project.value.name, input.type, ["type"]);
    if (unusable !== null) return unusable;
    if (driver === undefined || parsed === null) throw new Error("the type and the spec were checked");
    const tooMany = await checkQuota(work, project.value, { profiles: 1 });
    if (tooMany !== null) return tooMany;
    await lockProfileNames(tx.db, project.value.id, [input.name]);
    const taken = await findProfileByName(tx.db, project.value.id, input.name);
    if (taken !== null) return nameTaken(input.name, taken.id);
    const profileId = brandId("profile", store.runtime.entropy.uuid());
    const sealedSpec = await sealNow(tx.db, context.vault, profileId, driver.specSchema, parsed.spec);
    await insertProfile(tx.db, {
      id: profileId,
      projectId: project.value.id,
      name: input.name,
      revision: 1,
      type: input.type,
      sealedSpec,
      metadata,
      now: await tx.now(),
    });
    tx.events.push({
      type: "profile.created",
      projectId: project.value.id,
      data: { profileId: encodeId("profile", profileId), name: input.name, revision: 1, type: input.type },
    });
    return { ok: true, value: { profileId } };
  });
}

export async function reviseProfile(context: CommandContext, input: ReviseProfileInput): Promise<Result<ProfileValue>> {
  const { limits, store } = context;
  const issues = [
    ...notNull({ ...input }, ["metadata"]),
    ...documentIssues(input.spec, ["spec"], limits.specBytes),
    ...documentIssues(input.metadata ?? {}, ["metadata"], limits.metadataBytes),
  ];
  return mutate(context, { name: "reviseProfile", needs: "MEMBER", input, issues, revive: reviveProfile }, async (work) => {
    const { tx } = work;
    const project = await lockForQuota(work, context);
    if (!project.ok) return project;
    const former = await lockNamedProfile(work, context, input.profile, "change");
    if (!former.ok) return former;
    const profile = former.value;
    const unusable = refuseProfileType(context, project.value.name, profile.type, ["profile"]);
    if (unusable !== null) return unusable;
    const driver = context.drivers.get(profile.type);
    if (driver === undefined) throw new Error("the type was checked");
    const kept = keepMasked(input.spec, driver.specSchema, profile, context);
    if (kept.issues.length > 0) return invalidInput(kept.issues);
    const parsed = parse(driver, kept.spec);
    if (parsed.issues.length > 0) return invalidInput(parsed.issues);
    const tooMany = await checkQuota(work, project.value, { profiles: 1 });
    if (tooMany !== null) return tooMany;
    const profileId = brandId("profile", store.runtime.entropy.uuid());
    await lockProfileNames(tx.db, profile.projectId, [profile.name]);
    const revision = (await newestRevision(tx.db, profile.projectId, profile.name)) + 1;
    const sealedSpec = await sealNow(tx.db, context.vault, profileId, driver.specSchema, parsed.spec);
    const metadata = input.metadata ?? profile.metadata;
    await insertProfile(tx.db, {
      id: profileId,
      projectId: profile.projectId,
      name: profile.name,
      revision,
      type: profile.type,
      sealedSpec,
      metadata,
      now: await tx.now(),
    });
    tx.events.push({
      type: "profile.revised",
      projectId: profile.projectId,
      data: { profileId: encodeId("profile", profileId), name: profile.name, revision, type: profile.type },
    });
    return { ok: true, value: { profileId } };
  });
}

/** The name is that of all revisions; the metadata that of the one named. */
export async function updateProfile(context: CommandContext, input: UpdateProfileInput): Promise<Result<ProfileValue>> {
  const issues = [
    ...notNull({ ...input }, ["name", "metadata"]),
    ...(typeof input.name === "string" ? nameIssues(input.name, ["name"]) : []),
    ...documentIssues(input.metadata ?? {}, ["metadata"], context.limits.metadataBytes),
  ];
  return mutate(context, { name: "updateProfile", needs: "MEMBER", input, issues, revive: reviveProfile }, async (work) => {
    const { tx } = work;
    const found = await lockNamedProfile(work, context, input.profile, "change");
    if (!found.ok) return found;
    const { id, projectId, name: former } = found.value;
    const name = input.name ?? former;
    const now = await tx.now();
    if (name !== former) {
      await lockProfileNames(tx.db, projectId, [former, name]);
      const taken = await findProfileByName(tx.db, projectId, name);
      if (taken !== null) return nameTaken(name, taken.id);
      await renameProfile(tx.db, projectId, former, name, now);
    }
    if (input.metadata != null) await setProfileMetadata(tx.db, id, input.metadata, now);
    if (name !== former || input.metadata != null) {
      tx.events.push({ type: "profile.updated", projectId, data: { profileId: encodeId("profile", id), name } });
    }
    return { ok: true, value: { profileId: id } };
  });
}

/** Deletes one revision: the one named, by name the newest. */
export async function deleteProfile(context: CommandContext, input: DeleteProfileInput): Promise<Result<Deleted>> {
  return mutate(context, { name: "deleteProfile", needs: "MEMBER", input, issues: [], revive: reviveDeleted }, async (work) => {
    const { tx } = work;
    const found = await lockNamedProfile(work, context, input.profile, "change");
    if (!found.ok) return found;
    const { id, projectId, name, revision } = found.value;
    const user = await findProfileUser(tx.db, id);
    if (user !== null) {
      const object =
        user.type === "cluster"
          ? { object: { type: "cluster" as const, id: brandId("cluster", user.id) } }
          : user.type === "node"
            ? { object: { type: "node" as const, id: brandId("node", user.id) } }
            : {};
      const who = user.type === "tombstone" ? "a member that was forgotten and may come back" : `a ${user.type}`;
      return refused({
        kind: "Conflict",
        reason: "IN_USE",
        message: `Revision ${revision} of ${name} is still used by ${who}.`,
        path: ["profile"],
        ...object,
      });
    }
    await deleteProfileRow(tx.db, id);
    const deletedId = encodeId("profile", id);
    tx.events.push({ type: "profile.deleted", projectId, data: { profileId: deletedId, name, revision } });
    return { ok: true, value: { deletedId } };
  });
}

/** The profile an input names, locked. */
export async function lockNamedProfile(
  { tx }: Work,
  context: CommandContext,
  by: ObjectBy,
  lock: "share" | "change",
): Promise<Result<SealedProfile>> {
  const key = keyOf("profile", by);
  const profile = key === null ? null : await lockProfile(tx.db, context.principal.projectId, key, lock);
  return profile === null ? notFound(["profile"], "profile") : { ok: true, value: profile };
}

function unknownType(context: CommandContext): string {
  return `must be a profile type of this installation: ${[...context.drivers.keys()].sort().join(", ")}`;
}

function nameTaken(name: string, id: ProfileId): ReturnType<typeof refused> {
  return refused({
    kind: "Conflict",
    reason: "NAME_TAKEN",
    message: `There is a profile ${name} already.`,
    path: ["name"],
    object: { type: "profile", id },
  });
}

/** The driver's opinion, its paths made to lead into `input`. */
function parse(driver: Driver, spec: JsonObject): { readonly spec: JsonObject; readonly issues: readonly InputIssue[] } {
  const reserved = reservedIssues(spec);
  if (reserved.length > 0) return { spec, issues: reserved };
  const result = driver.parseSpec(spec);
  return { spec: result.spec, issues: result.issues.map((issue) => ({ ...issue, path: ["spec", ...issue.path] })) };
}

/** Sealed and masked values are known by these names: nobody may write them. */
function reservedIssues(spec: JsonObject): InputIssue[] {
  const issues: InputIssue[] = [];
  const walk = (value: Json, path: readonly string[]): void => {
    if (Array.isArray(value)) for (const [at, item] of (value as readonly Json[]).entries()) walk(item, [...path, String(at)]);
    if (!isJsonObject(value)) return;
    for (const [key, item] of Object.entries(value)) {
      if (key === sealKey) issues.push({ path: [...path, key], message: "is a reserved name" });
      else if (key === maskKey) issues.push({ path, message: "is a masked secret: there is none to keep here, so give the value itself" });
      else walk(item, [...path, key]);
    }
  };
  walk(spec, ["spec"]);
  return issues;
}

/** The spec with the masks of the former revision's secrets replaced by the secrets themselves. */
function keepMasked(
  spec: JsonObject,
  specSchema: JsonObject,
  former: SealedProfile,
  context: CommandContext,
): { readonly spec: JsonObject; readonly issues: readonly InputIssue[] } {
  const masked = secretPaths(specSchema, spec).flatMap((path) => {
    const mask = maskIn(valueAt(spec, path));
    return mask === null ? [] : [{ path, mask }];
  });
  if (masked.length === 0) return { spec, issues: [] };
  const plain = openSpec(context.vault, former.id, former.sealedSpec);
  let kept = spec;
  const issues: InputIssue[] = [];
  for (const { path, mask } of masked) {
    const sealed = valueAt(former.sealedSpec, path);
    const known = isJsonObject(sealed) ? sealed["mask"] : undefined;
    const secret = valueAt(plain, path);
    // The one that is stored, or one that was shown before the secret key was changed.
    const same = secret !== undefined && known !== undefined && (known === mask || isMaskOf(context.vault, former.id, path, secret, mask));
    if (same) kept = replaceAt(kept, path, () => secret);
    else issues.push({ path: ["spec", ...path], message: "is the mask of another value than the one kept here: give the value itself" });
  }
  return { spec: kept, issues };
}

function valueAt(root: JsonObject, path: readonly string[]): Json | undefined {
  let at: Json | undefined = root;
  for (const key of path) {
    if (Array.isArray(at)) at = (at as readonly Json[])[Number(key)];
    else at = isJsonObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  }
  return at;
}
