/** Projects: tenants. An OPERATOR makes and changes them; everybody sees their own. */
import { createProject, deleteProject, updateProject } from "../commands/project.ts";
import { encodeId, type ProjectId } from "../core/ids.ts";
import { quotaNames, quotaOf } from "../core/quota.ts";
import { listProjects, type ProjectRow } from "../store/project.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import { ObjectByInput } from "./by.ts";
import { byId, pageArgs, toConnection } from "./connection.ts";
import type { ApiContext } from "./context.ts";
import { deletedPayload, showDeleted } from "./deleted.ts";
import type { ErrorName } from "./errors.ts";
import { defineMutation, idempotencyKeyDescription } from "./mutation.ts";
import { NodeInterface, ProjectConnection, ProjectRef } from "./object.ts";
import { readPage } from "./page.ts";

interface QuotaLine {
  readonly quota: string;
  readonly limit: number | null;
  readonly used: number;
}

const QuotaUseRef = builder.objectRef<QuotaLine>("QuotaUse").implement({
  description: "One quota of a project.",
  fields: (t) => ({
    quota: t.exposeString("quota", { description: "`clusters`, `nodes` (wanted ones), `profiles` or `tokens`." }),
    limit: t.exposeInt("limit", { nullable: true, description: "How much the project may have; null: no limit." }),
    used: t.exposeInt("used", { description: "How much it has." }),
  }),
});

ProjectRef.implement({
  description: "A tenant. Every object belongs to one; another project's objects look as if they did not exist.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id.", resolve: (project) => encodeId("project", project.id) }),
    name: t.exposeString("name", { description: "Its name." }),
    quota: t.field({
      type: [QuotaUseRef],
      description: "How much it may have, and has.",
      resolve: async (project, _args, { loaders }): Promise<QuotaLine[]> => {
        const used = await loaders.quotaUse.load(project.id);
        const limits = quotaOf(project.quota);
        return quotaNames.map((quota) => ({ quota, limit: limits[quota], used: used[quota] }));
      },
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was made." }),
  }),
});

builder.queryField("projects", (t) =>
  t.field({
    type: ProjectConnection,
    description: "OPERATOR: every project, oldest first.",
    extensions: access("OPERATOR"),
    args: pageArgs(t.arg),
    resolve: async (_root, args, { deps, pageSize }) => {
      const list = readPage(args, pageSize, ["projects"]);
      return toConnection(await listProjects(deps.store.db, list.page), list, byId);
    },
  }),
);

const errors: readonly ErrorName[] = ["InvalidInput", "NotFound", "Conflict", "Forbidden", "QuotaExceeded"];

interface ProjectPayload {
  readonly project: ProjectRow;
}

function projectPayload(name: string) {
  return builder.objectRef<ProjectPayload>(name).implement({
    description: "The project as it now is.",
    fields: (t) => ({ project: t.expose("project", { type: ProjectRef, description: "The project as it now is." }) }),
  });
}

async function showProject({ projectId }: { readonly projectId: ProjectId }, { loaders }: ApiContext): Promise<ProjectPayload | null> {
  const project = await loaders.projects.load(projectId);
  return project === null ? null : { project };
}

defineMutation("createProject", {
  description: "OPERATOR: makes a project. `createToken` then makes it usable.",
  needs: "OPERATOR",
  errors,
  input: builder.inputType("CreateProjectInput", {
    description: "A new tenant.",
    fields: (t) => ({
      name: t.string({ required: true, description: "1–128 of [A-Za-z0-9._-], a letter or digit first; unique in the installation." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: projectPayload("CreateProjectPayload"),
  command: createProject,
  show: showProject,
});

const QuotaInputRef = builder.inputType("QuotaInput", {
  description: "One quota to set.",
  fields: (t) => ({
    quota: t.string({ required: true, description: "`clusters`, `nodes`, `profiles` or `tokens`." }),
    limit: t.int({ description: "How much the project may have; null: no limit." }),
  }),
});

defineMutation("updateProject", {
  description: "OPERATOR: renames a project or sets quotas. Lowering one below what is used only stops growth.",
  needs: "OPERATOR",
  errors,
  input: builder.inputType("UpdateProjectInput", {
    description: "Absent fields stay as they are.",
    fields: (t) => ({
      project: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      name: t.string({ description: "The new name." }),
      quota: t.field({ type: [QuotaInputRef], description: "The quotas to set; others stay." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: projectPayload("UpdateProjectPayload"),
  command: updateProject,
  show: showProject,
});

defineMutation("deleteProject", {
  description: "OPERATOR: deletes a project that holds nothing any more. Its tokens go with it.",
  needs: "OPERATOR",
  errors,
  input: builder.inputType("DeleteProjectInput", {
    description: "Which project goes.",
    fields: (t) => ({
      project: t.field({ type: ObjectByInput, required: true, description: "Which." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: deletedPayload("DeleteProjectPayload"),
  command: deleteProject,
  show: showDeleted,
});
