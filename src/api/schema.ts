/** The schema: every noun registers its part with the builder when its file is loaded. */
import type { GraphQLSchema } from "graphql";
import "./action.ts";
import "./cluster.ts";
import "./cluster-change.ts";
import "./event.ts";
import "./event-stream.ts";
import "./health-stream.ts";
import "./node.ts";
import "./node-change.ts";
import "./node-lookup.ts";
import "./profile.ts";
import "./profile-type.ts";
import "./project.ts";
import "./token.ts";
import "./viewer.ts";
import "./worker.ts";
import { enforceAccess } from "./access.ts";
import { builder } from "./builder.ts";

/** The whole schema, ready to execute with an `ApiContext`. Every field that needs a role checks it. */
export function buildSchema(): GraphQLSchema {
  const schema = builder.toSchema({ sortSchema: false });
  enforceAccess(schema);
  return schema;
}
