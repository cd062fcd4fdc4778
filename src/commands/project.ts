/** Projects: the OPERATOR's business. */
import { type InputIssue, notFound, type Result, refused } from "../core/errors.ts";
import { brandId, encodeId, type ProjectId } from "../core/ids.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { nameIssues } from "../core/name.ts";
import { quotaIssues } from "../core/quota.ts";
import {
  deleteProjectRow,
  findProjectByName,
  findProjectUser,
  insertProject,
  lockProject,
  type ProjectRow,
  updateProjectRow,
} from "../store/project.ts";
import { type CommandContext, type Deleted, mutate, reviveDeleted, type Work } from "./command.ts";
import type { CreateProjectInput, DeleteProjectInput, ObjectBy, UpdateProjectInput } from "./input.ts";
import { keyOf, notNull } from "./lookup.ts";

export type ProjectValue = { readonly projectId: ProjectId };

function reviveProject(ids: Readonly<Record<string, string>>): ProjectValue {
  return { projectId: brandId("project", ids["projectId"] ?? "") };
}

export async function createProject(context: CommandContext, input: CreateProjectInput): Promise<Result<ProjectValue>> {
  const issues = nameIssues(input.name, ["name"]);
  return mutate(context, { name: "createProject", needs: "OPERATOR", input, issues, revive: reviveProject }, async ({ tx }) => {
    const taken = await findProjectByName(tx.db, input.name);
    if (taken !== null) return nameTaken(taken);
    const projectId = brandId("project", context.store.runtime.entropy.uuid());
    await insertProject(tx.db, { id: projectId, name: input.name, now: await tx.now() });
    tx.events.push({ type: "project.created", projectId, data: { name: input.name } });
    return { ok: true, value: { projectId } };
  });
}

export async function updateProject(context: CommandContext, input: UpdateProjectInput): Promise<Result<ProjectValue>> {
  const issues: InputIssue[] = [
    ...notNull({ ...input }, ["name", "quota"]),
    ...(typeof input.name === "string" ? nameIssues(input.name, ["name"]) : []),
    ...quotaIssues(input.quota ?? [], ["quota"]),
  ];
  return mutate(context, { name: "updateProject", needs: "OPERATOR", input, issues, revive: reviveProject }, async (work) => {
    const { tx } = work;
    const found = await lockNamedProject(work, input.project);
    if (!found.ok) return found;
    const project = found.value;
    const name = input.name ?? project.name;
    if (name !== project.name) {
      const taken = await findProjectByName(tx.db, name);
      if (taken !== null) return nameTaken(taken);
    }
    const quota: Record<string, Json> = { ...project.quota };
    for (const change of input.quota ?? []) quota[change.quota] = change.limit ?? null;
    if (name !== project.name || (input.quota ?? []).length > 0) {
      const changed: JsonObject = quota;
      await updateProjectRow(tx.db, { id: project.id, name, quota: changed, now: await tx.now() });
      tx.events.push({ type: "project.updated", projectId: project.id, data: { name } });
    }
    return { ok: true, value: { projectId: project.id } };
  });
}

/** Deletes an empty project, its tokens with it. Not the one that the caller's own token belongs to. */
export async function deleteProject(context: CommandContext, input: DeleteProjectInput): Promise<Result<Deleted>> {
  return mutate(context, { name: "deleteProject", needs: "OPERATOR", input, issues: [], revive: reviveDeleted }, async (work) => {
    const { tx } = work;
    const found = await lockNamedProject(work, input.project);
    if (!found.ok) return found;
    const { id, name } = found.value;
    const inUse = (message: string): ReturnType<typeof refused> =>
      refused({ kind: "Conflict", reason: "IN_USE", message, path: ["project"], object: { type: "project", id } });
    if (id === context.principal.projectId) return inUse(`The token that asks belongs to the project ${name}.`);
    const user = await findProjectUser(tx.db, id);
    if (user !== null) return inUse(`The project ${name} still holds a ${user}.`);
    await deleteProjectRow(tx.db, id);
    tx.events.push({ type: "project.deleted", projectId: id, data: { name } });
    return { ok: true, value: { deletedId: encodeId("project", id) } };
  });
}

/** The project an input names, to itself: nothing is made in it meanwhile. */
async function lockNamedProject({ tx }: Work, by: ObjectBy): Promise<Result<ProjectRow>> {
  const missing = notFound(["project"], "project");
  const key = keyOf("project", by);
  if (key === null) return missing;
  const id = "id" in key ? key.id : ((await findProjectByName(tx.db, key.name))?.id ?? null);
  const project = id === null ? null : await lockProject(tx.db, id, "exclusive");
  return project === null ? missing : { ok: true, value: project };
}

function nameTaken({ id, name }: ProjectRow): ReturnType<typeof refused> {
  return refused({
    kind: "Conflict",
    reason: "NAME_TAKEN",
    message: `There is a project ${name} already.`,
    path: ["name"],
    object: { type: "project", id },
  });
}
