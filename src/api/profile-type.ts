/** Profile types: the drivers of this installation, as a caller may use them. They have no rows; an id is made from the name. */
import { createHash } from "node:crypto";
import { profileTypeProblem } from "../commands/profile-type.ts";
import { brandId, encodeId, formatUuid, type ProfileTypeId } from "../core/ids.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import type { ApiContext } from "./context.ts";
import { NodeInterface, ProfileTypeRef, type ProfileTypeView } from "./object.ts";

/** The same for a name in every installation: a UUIDv8 (RFC 9562) of the name's hash. */
function profileTypeId(name: string): ProfileTypeId {
  const hash = BigInt(`0x${createHash("sha256").update(`muster profile type ${name}`, "utf8").digest("hex").slice(0, 32)}`);
  const version = 0xfn << 76n;
  const variant = 0x3n << 62n;
  return brandId("ptype", formatUuid((hash & ~version & ~variant) | (8n << 76n) | (2n << 62n)));
}

const ids = new Map<string, ProfileTypeId>();

function idOf(name: string): ProfileTypeId {
  const known = ids.get(name);
  if (known !== undefined) return known;
  const made = profileTypeId(name);
  ids.set(name, made);
  return made;
}

/** A type by name, also one that this installation no longer has: profiles of it may still be there. */
export function viewProfileType({ deps }: ApiContext, name: string): ProfileTypeView {
  return { name, driver: deps.drivers.get(name) ?? null };
}

export function profileTypeById({ deps }: ApiContext, uuid: string): ProfileTypeView | null {
  for (const driver of deps.drivers.values()) if (idOf(driver.type) === uuid) return { name: driver.type, driver };
  return null;
}

/** Why this caller may not use a type, or null. */
async function unavailable({ name, driver }: ProfileTypeView, { deps, principal, loaders }: ApiContext): Promise<string | null> {
  if (driver === null) return "This installation has no such profile type.";
  const project = await loaders.projects.load(principal.projectId);
  return profileTypeProblem(deps.processPolicy, principal, project?.name ?? "", name)?.reason ?? null;
}

ProfileTypeRef.implement({
  description: "A kind of thing that members can be: a driver of this installation.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id, the same in every installation.", resolve: ({ name }) => encodeId("ptype", idOf(name)) }),
    name: t.exposeString("name", { description: "Its name: `type` of `createProfile`." }),
    version: t.string({ description: "The driver's version.", resolve: ({ driver }) => driver?.version ?? "" }),
    description: t.string({ description: "What its members are.", resolve: ({ driver }) => driver?.description ?? "" }),
    specSchema: t.field({
      type: "JSONObject",
      description: "JSON Schema of a profile's `spec`; `writeOnly` marks secrets.",
      resolve: ({ driver }) => driver?.specSchema ?? {},
    }),
    operations: t.stringList({
      description: "What can be done to its members beside making and removing them.",
      resolve: ({ driver }) => [...(driver?.operations ?? [])],
    }),
    updatesInPlace: t.stringList({
      description: "Paths of the spec that change without replacing the node.",
      resolve: ({ driver }) => [...(driver?.updatesInPlace ?? [])],
    }),
    available: t.boolean({
      description: "False: this installation, project or role may not use it; `reason` says why.",
      resolve: async (type, _args, context) => (await unavailable(type, context)) === null,
    }),
    reason: t.string({ nullable: true, description: "Why it is not available.", resolve: (type, _args, context) => unavailable(type, context) }),
  }),
});

builder.queryField("profileTypes", (t) =>
  t.field({
    type: [ProfileTypeRef],
    description: "What members can be, by name.",
    extensions: access("READER"),
    resolve: (_root, _args, context): readonly ProfileTypeView[] =>
      [...context.deps.drivers.keys()].sort().map((name) => viewProfileType(context, name)),
  }),
);
