/** The viewer: who asks. */

import { encodeCursor } from "../core/cursor.ts";
import { brandId, encodeId } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import { NodeInterface, ProjectRef, TokenRef, type Viewer, ViewerRef } from "./object.ts";
import { problem } from "./problem.ts";
import { RoleEnum } from "./vocabulary.ts";

/** A viewer has no row: it is a principal, and its id is its token's under another prefix. */
export function viewerOf(principal: Principal): Viewer {
  return { id: brandId("viewer", principal.tokenId), principal };
}

ViewerRef.implement({
  description: "Who asks: a token, its project, its role.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id.", resolve: (viewer) => encodeId("viewer", viewer.id) }),
    token: t.field({
      type: TokenRef,
      nullable: true,
      description: "The token that this request carried.",
      resolve: ({ principal }, _args, { loaders }) => loaders.tokens.load(principal.tokenId),
    }),
    project: t.field({
      type: ProjectRef,
      description: "The project that everything here is seen from.",
      resolve: async ({ principal }, _args, { loaders }) => {
        const project = await loaders.projects.load(principal.projectId);
        if (project === null) throw problem("UNAUTHENTICATED", "This token's project is gone.");
        return project;
      },
    }),
    role: t.field({ type: RoleEnum, description: "What it may do.", resolve: ({ principal }) => principal.role }),
  }),
});

builder.queryField("viewer", (t) =>
  t.field({
    type: ViewerRef,
    description: "Who asks.",
    extensions: access("READER"),
    resolve: (_root, _args, { principal }) => viewerOf(principal),
  }),
);

builder.queryField("feedCursor", (t) =>
  t.string({
    description: "A position that every other field of this response is at least as new as: subscribe `after` it and miss nothing.",
    extensions: access("READER"),
    // Root fields begin in one synchronous turn: what the feed has reached by then was committed before any of them reads.
    resolve: (_root, _args, { deps }) => encodeCursor(deps.feed.cursor()),
  }),
);
