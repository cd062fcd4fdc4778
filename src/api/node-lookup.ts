/** `node` and `nodes`: any object by its id alone. Junk, foreign, gone and not-for-this-role all look the same: null. */
import { brandId, encodeId, type IdPrefix, parseId } from "../core/ids.ts";
import { mayAct } from "../core/principal.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import type { ApiContext } from "./context.ts";
import { asNode, NodeInterface, type NodeObject } from "./object.ts";
import { badInput } from "./problem.ts";
import { profileTypeById } from "./profile-type.ts";
import { viewerOf } from "./viewer.ts";

export async function loadNode(context: ApiContext, prefix: IdPrefix, uuid: string): Promise<NodeObject | null> {
  const { loaders, principal } = context;
  switch (prefix) {
    case "viewer": {
      const viewer = viewerOf(principal);
      return viewer.id === uuid ? asNode("Viewer", viewer) : null;
    }
    case "project":
      return asNode("Project", await loaders.projects.load(brandId("project", uuid)));
    case "token":
      return mayAct(principal.role, "ADMIN") || principal.tokenId === uuid
        ? asNode("Token", await loaders.tokens.load(brandId("token", uuid)))
        : null;
    case "ptype":
      return asNode("ProfileType", profileTypeById(context, uuid));
    case "profile":
      return asNode("Profile", await loaders.profiles.load(brandId("profile", uuid)));
    case "cluster":
      return asNode("Cluster", await loaders.clusters.load(brandId("cluster", uuid)));
    case "node":
      return asNode("ClusterNode", await loaders.nodes.load(brandId("node", uuid)));
    case "action":
      return asNode("Action", await loaders.actions.load(brandId("action", uuid)));
    case "event":
      return asNode("Event", await loaders.events.load(brandId("event", uuid)));
    case "worker":
      return mayAct(principal.role, "OPERATOR") ? asNode("Worker", await loaders.workers.load(brandId("worker", uuid))) : null;
    case "host":
      return null;
  }
}

/** Any object by its TypeID. Only the one spelling that we write names anything. */
function loadById(context: ApiContext, id: string): Promise<NodeObject | null> {
  const parsed = parseId(id);
  if (parsed === null || encodeId(parsed.prefix, brandId(parsed.prefix, parsed.uuid)) !== id) return Promise.resolve(null);
  return loadNode(context, parsed.prefix, parsed.uuid);
}

builder.queryField("node", (t) =>
  t.field({
    type: NodeInterface,
    nullable: true,
    description: "Any object by its id; null if there is no such object in the caller's project.",
    extensions: access("READER"),
    args: { id: t.arg.id({ required: true, description: "Its id." }) },
    resolve: (_root, { id }, context) => loadById(context, id),
  }),
);

builder.queryField("nodes", (t) =>
  t.field({
    type: [NodeInterface],
    nullable: { list: false, items: true },
    description: "Objects by their ids, in the same order, null where there is none.",
    extensions: access("READER"),
    args: { ids: t.arg.idList({ required: true, description: "At most 1000 ids." }) },
    resolve: (_root, { ids }, context) => {
      const { nodeIds } = context.deps.limits;
      if (ids.length > nodeIds) throw badInput(`\`ids\` must not hold more than ${nodeIds} ids; it holds ${ids.length}.`);
      return ids.map((id) => loadById(context, id));
    },
  }),
);
